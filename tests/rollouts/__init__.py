"""Tests of the rollout engine."""
