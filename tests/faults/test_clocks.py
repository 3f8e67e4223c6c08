"""Workers whose clocks are wrong, one ten minutes fast and one as slow: time is the database's."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import django_rq
import pytest

from portal import clock, jobs
from portal.audit.models import AuditEntry
from portal.live.models import Event
from releases.rollouts.models import Rollout
from tests.embedded.processes import wait_for
from tests.rollouts.conftest import notices
from tests.rollouts.nursery import CLOCK, Nursery, nursery
from tests.rollouts.processes import database_url
from tests.soak import long

__all__ = ["notices"]

MINUTES = 600


@pytest.fixture
def wrong(transactional_db: None, tmp_path: Path) -> Iterator[Nursery]:
    """A worker that is fast, one that is slow, and a fast sweeper."""
    django_rq.get_connection("default").flushdb()
    with nursery(tmp_path / "roles.log", DATABASE_URL=database_url(), LEASE_SECONDS="2") as made:
        for role, by in (("worker", MINUTES), ("worker", -MINUTES), ("sweeper", MINUTES)):
            made.birth(role, **{CLOCK: str(by)})
        yield made
    django_rq.get_connection("default").flushdb()


@long
def test_nothing_begins_early_and_every_time_is_the_databases(wrong: Nursery, notices: Rollout) -> None:
    begun = clock.now()
    early = begun + timedelta(seconds=MINUTES / 2)
    Rollout.objects.filter(pk=notices.pk).update(wake_at=early)
    assert not wait_for(lambda: _state(notices) != "queued", seconds=3), "a fast clock began early"
    Rollout.objects.filter(pk=notices.pk).update(wake_at=clock.now())
    jobs.enqueue("releases.rollouts.jobs.advance", notices.pk)
    assert wait_for(lambda: _state(notices) == "succeeded", seconds=40), wrong.log.read_text()[-3000:]
    times = [
        *Event.objects.filter(topic=notices.topic).values_list("at", flat=True),
        *AuditEntry.objects.filter(release=notices.release_id, action__startswith="step.").values_list(
            "at", flat=True
        ),
        *notices.steps.values_list("ended_at", flat=True),
    ]
    assert all(at is not None and begun <= at <= clock.now() for at in times)


def _state(rollout: Rollout) -> str:
    rollout.refresh_from_db()
    return rollout.state
