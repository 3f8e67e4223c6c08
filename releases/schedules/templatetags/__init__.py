"""Template tags of recovery beside its aims."""
