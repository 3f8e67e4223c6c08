"""How much is tried: `make test` is quick, `make test-all` is everything, `make soak` repeats at length.

`make soak SOAK=5` tries five in a hundred of the examples; every test, place and fault is still among them.
"""

import os

import hypothesis
import pytest

# Of the examples that a property is tried on at length, how many in a hundred.
PERCENT = int(os.environ.get("PORTAL_SOAK") or 0)
SOAKING = PERCENT > 0
# More of what another test has proven by example.
soak = pytest.mark.soak
# Tries more, or something larger, when soaking.
repeated = pytest.mark.repeated
# Costs about a quarter of a second of processor time or more: `make test` leaves it to `make test-all` and
# the CI, so that it stays under three minutes on two cores (interface.md, "Commands").
long = pytest.mark.long


def examples(usual: int, *, soaking: int) -> int:
    """How many examples a property is tried on."""
    return max(usual, soaking * PERCENT // 100)


# For rules that touch no database.
many = hypothesis.settings(deadline=None, max_examples=examples(100, soaking=5_000))
