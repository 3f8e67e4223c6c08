"""Template tags that other pages lead to incidents with."""
