"""Tags of the pages on which people sign in."""
