"""Template tags of the release pages."""
