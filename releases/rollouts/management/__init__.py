"""Commands of the rollouts."""
