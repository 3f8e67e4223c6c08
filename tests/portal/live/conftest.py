"""What every test of the sockets needs."""

from collections.abc import Iterator

import pytest

from portal.people.models import User
from tests.people import person
from tests.portal.live.browser import practice_topics


@pytest.fixture
def minji(transactional_db: None) -> Iterator[User]:
    """A person who may follow practice topics."""
    with practice_topics():
        yield person("minji")
