"""Template tags of pages about rollouts."""
