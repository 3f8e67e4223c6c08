"""How long a rollout stands still after everybody has died, with the lease that the portal ships with."""

from pathlib import Path

import django_rq
import pytest

from portal.embedded.child import is_alive
from portal.live.models import Event
from releases.rollouts import leases
from releases.rollouts.models import Rollout
from tests.cluster.engine.conftest import Lay
from tests.embedded.processes import wait_for
from tests.rollouts.floor import longest_silence, until, why
from tests.rollouts.nursery import nursery
from tests.rollouts.processes import database_url
from tests.soak import soak

PLACES = ("after_intent", "before_act", "after_act", "before_record", "after_record")
ROLES = ("worker", "watcher", "sweeper")
ENDS = ("succeeded", "failed", "paused", "stopped")
SHIPPED_SECONDS = 15
GO_ON_SECONDS = 20.0
PATIENCE_SECONDS = 60.0


@soak
@pytest.mark.parametrize("place", PLACES)
def test_a_rollout_goes_on_within_twenty_seconds_of_a_death_anywhere(
    lay_floor: Lay, transactional_db: None, tmp_path: Path, place: str
) -> None:
    assert leases.LEASE_SECONDS == SHIPPED_SECONDS
    floor = lay_floor(services=("a", "b"), waves=(("a",), ("b",)))
    django_rq.get_connection("default").flushdb()
    with nursery(tmp_path / "roles.log", DATABASE_URL=database_url()) as roles:
        others = [roles.birth(role) for role in ROLES[1:]]
        doomed = roles.birth("worker", PORTAL_TEST_STOP_POINTS="on", PORTAL_STOP_AT=f"{place}:set_image")
        rollout = floor.start()
        assert wait_for(lambda: not is_alive(doomed), seconds=PATIENCE_SECONDS), why(rollout)
        told = count(rollout)
        for pid in (doomed, *others):
            roles.kill(pid)
        for role in ROLES:
            roles.birth(role)
        assert wait_for(lambda: count(rollout) > told, seconds=GO_ON_SECONDS), why(rollout)
        until(rollout, *ENDS, seconds=PATIENCE_SECONDS)
    assert rollout.state == "succeeded", why(rollout)
    assert SHIPPED_SECONDS / 2 < longest_silence(rollout) <= GO_ON_SECONDS


def count(rollout: Rollout) -> int:
    """How many events it has."""
    return Event.objects.filter(topic=rollout.topic).count()
