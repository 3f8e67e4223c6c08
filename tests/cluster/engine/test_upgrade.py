"""A new version of the portal is brought out in mid rollout: this one, the old one, runs beside it."""

import json
import signal
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from portal import jobs
from releases.rollouts.models import Rollout
from tests.cluster.engine.conftest import Lay
from tests.embedded.processes import wait_for
from tests.portal.api import ApiClient
from tests.rollouts.floor import Floor, kinds, states, until, why
from tests.rollouts.next_version import KIND, next_version
from tests.rollouts.processes import Processes
from tests.soak import long

EACH = (
    {"kind": "set_image"},
    {"kind": "wait_rollout", "timeoutSeconds": 60, "settleSeconds": 0},
    {"kind": KIND},
    {"kind": "wait_rollout", "id": "wait_again", "timeoutSeconds": 60, "settleSeconds": 0},
)
ERRANDS = 20
TURNS = 4
ENDS = ("succeeded", "failed", "paused", "stopped")


@pytest.fixture
def new(transactional_db: None, tmp_path: Path) -> Iterator[Path]:
    """The manage.py of the next version, whose tables are there."""
    with next_version(tmp_path / "next") as manage:
        yield manage


def start(floor: Floor, roles: Processes, new: Path) -> Rollout:
    """Start a release as a person does who has come to a web process of the new version."""
    release = floor.release()
    address = roles.serve(manage=new)
    token = ApiClient(floor.shop.cast.author).secret
    request = urllib.request.Request(
        f"{address}/api/v1/releases/{release.number}/start",
        data=b"{}",
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        return Rollout.objects.get(pk=json.load(answer)["id"])


def ask(statement: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return list(cursor.fetchall()) if cursor.description else []


def turns(rollout: Rollout) -> int:
    """Sweep as the old version does, and say how often some worker has taken the rollout."""
    jobs.sweep_once()
    rollout.refresh_from_db()
    return rollout.lease_epoch


def require_left_alone(rollout: Rollout, roles: Processes, client: Client) -> None:
    """An old worker alone takes it again and again, and does nothing to it; old pages show it."""
    before = states(rollout)
    assert wait_for(lambda: turns(rollout) >= TURNS, seconds=30), roles.logs()
    assert states(rollout) == before
    assert (rollout.state, rollout.stumble) == ("queued", None)
    page = client.get(f"/rollouts/{rollout.pk}/")
    assert page.status_code == 200
    assert KIND in page.content.decode()


@long
def test_old_workers_beside_new_ones_lose_repeat_and_blame_nothing(
    lay_floor: Lay, roles: Processes, new: Path
) -> None:
    floor = lay_floor(services=("a", "b"), waves=(("a",), ("b",)), each=EACH)
    before = {name: floor.space.get("deployments", name)["metadata"]["generation"] for name in ("a", "b")}
    client = Client()
    client.force_login(floor.shop.cast.author)
    old = roles.start("worker")
    rollout = start(floor, roles, new)
    roles.start("sweeper", manage=new)
    ask(f"INSERT INTO rollouts_errand SELECT n FROM generate_series(1, {ERRANDS}) n")
    require_left_alone(rollout, roles, client)
    # It was handed jobs of a name, and with an argument, that it does not know.
    assert wait_for(lambda: all(each in roles.wrote(old) for each in ("NotAJob", "TypeError")), seconds=20)
    doomed = roles.start(
        "worker", manage=new, PORTAL_TEST_STOP_POINTS="on", PORTAL_STOP_AT=f"after_act:{KIND}"
    )
    assert doomed.wait(timeout=60) == -signal.SIGKILL
    roles.start("worker", manage=new)
    until(rollout, *ENDS, seconds=90)
    assert rollout.state == "succeeded", why(rollout)
    after = {name: floor.space.get("deployments", name)["metadata"]["generation"] for name in before}
    assert {name: after[name] - before[name] for name in before} == {"a": 2, "b": 2}
    assert [floor.image(name) for name in before] == [floor.wanted(name, "2.0.0") for name in before]
    told = kinds(rollout)
    assert told.count("step.acted") == 4
    assert not {"rollout.paused", "step.failed", "step.errored"} & set(told)
    assert ask(f"SELECT note FROM rollouts_rollout WHERE id = {rollout.pk}") == [("stamped",)]
    left = "SELECT count(*) FROM rollouts_errand WHERE NOT done"
    assert wait_for(lambda: ask(left) == [(0,)], seconds=30)
