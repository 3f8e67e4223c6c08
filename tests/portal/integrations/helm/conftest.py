"""What helm's tests stand on: refusals in English, as their words are looked at."""

from collections.abc import Iterator

import pytest
from django.utils import translation


@pytest.fixture(autouse=True)
def english() -> Iterator[None]:
    """Read refusals in English."""
    with translation.override("en"):
        yield
