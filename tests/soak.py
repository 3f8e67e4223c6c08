"""What is repeated at length: `make test` gives an example of everything, `make soak` as much as there is."""

import os

import hypothesis
import pytest

SOAKING = bool(os.environ.get("PORTAL_SOAK"))
# Runs in `make soak` only: more of what a test in `make test` has proven by example.
soak = pytest.mark.soak


def examples(usual: int, *, soaking: int) -> int:
    """How many examples a property is tried on."""
    return soaking if SOAKING else usual


# For rules that touch no database.
many = hypothesis.settings(deadline=None, max_examples=examples(100, soaking=5_000))
