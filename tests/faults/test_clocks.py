"""Workers whose clocks are wrong, one ten minutes fast and one as slow: time is the database's."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import django_rq
import pytest

from portal import clock, jobs
from portal.audit.models import AuditEntry
from portal.live.models import Event
from releases.rollouts.models import Rollout, WatchLead
from tests.embedded.processes import wait_for
from tests.rollouts.conftest import notices
from tests.rollouts.nursery import CLOCK, Nursery, nursery
from tests.rollouts.processes import database_url
from tests.soak import long

__all__ = ["notices"]

MINUTES = 600


@pytest.fixture
def begun(transactional_db: None) -> datetime:
    """When the test began."""
    return clock.now()


@pytest.fixture
def asleep(begun: datetime, notices: Rollout) -> Rollout:
    """A rollout that is due while only the fast clocks say so; it is watched, or sweeps would wake it."""
    now = clock.now()
    later = now + timedelta(seconds=3 * MINUTES)
    WatchLead.objects.create(cluster=notices.environment.cluster.name, owner="another", until=later)
    Rollout.objects.filter(pk=notices.pk).update(wake_at=now + timedelta(seconds=MINUTES / 2))
    return notices


@pytest.fixture
def wrong(asleep: Rollout, tmp_path: Path) -> Iterator[Nursery]:
    """A worker that is fast, one that is slow, and a fast sweeper, with the rollout there already."""
    django_rq.get_connection("default").flushdb()
    with nursery(tmp_path / "roles.log", DATABASE_URL=database_url(), LEASE_SECONDS="2") as made:
        for role, by in (("worker", MINUTES), ("worker", -MINUTES), ("sweeper", MINUTES)):
            made.birth(role, **{CLOCK: str(by)})
        yield made
    django_rq.get_connection("default").flushdb()


@long
def test_nothing_begins_early_and_every_time_is_the_databases(
    wrong: Nursery, asleep: Rollout, begun: datetime
) -> None:
    assert not wait_for(lambda: _state(asleep) != "queued", seconds=8), "a fast clock began early"
    Rollout.objects.filter(pk=asleep.pk).update(wake_at=clock.now())
    jobs.enqueue("releases.rollouts.jobs.advance", asleep.pk)
    assert wait_for(lambda: _state(asleep) == "succeeded", seconds=40), wrong.log.read_text()[-3000:]
    times = [
        *Event.objects.filter(topic=asleep.topic).values_list("at", flat=True),
        *AuditEntry.objects.filter(release=asleep.release_id, action__startswith="step.").values_list(
            "at", flat=True
        ),
        *asleep.steps.values_list("ended_at", flat=True),
    ]
    assert all(at is not None and begun <= at <= clock.now() for at in times)


def _state(rollout: Rollout) -> str:
    rollout.refresh_from_db()
    return rollout.state
