"""The kinds of steps, one file each; `kinds` is the one list of them."""
