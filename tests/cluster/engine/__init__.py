"""Whole rollouts, on whichever cluster the fixture gives."""
