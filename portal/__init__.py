"""The ground every part stands on, and the wiring above them."""
