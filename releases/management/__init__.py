"""Management commands of the releases."""
