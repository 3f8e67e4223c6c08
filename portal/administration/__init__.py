"""An administrator's pages of people: what each holds and how each comes in, and ending it."""
