"""How much is tried: `make test` is quick, `make test-all` is everything, `make soak` repeats at length."""

import os

import hypothesis
import pytest

SOAKING = bool(os.environ.get("PORTAL_SOAK"))
# More of what another test has proven by example.
soak = pytest.mark.soak
# Costs about a quarter of a second of processor time or more: `make test` leaves it to `make test-all` and
# the CI, so that it stays under three minutes on two cores (interface.md, "Commands").
long = pytest.mark.long


def examples(usual: int, *, soaking: int) -> int:
    """How many examples a property is tried on."""
    return soaking if SOAKING else usual


# For rules that touch no database.
many = hypothesis.settings(deadline=None, max_examples=examples(100, soaking=5_000))
