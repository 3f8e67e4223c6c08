"""The look: one table of states and the template tags that draw them."""
