"""Signed events of CI systems: whether the bytes are theirs, and what they say has happened."""
