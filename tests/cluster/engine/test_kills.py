"""kill -9 at every named place of every kind of act, and hundreds at random: one end, each act once.

What changed is counted on the line to the cluster, and on the real control plane in its own audit log as
well.
"""

import random
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import django_rq
import pytest

from portal import jobs
from portal.embedded.child import is_alive
from portal.live.models import Event
from portal.outbox.models import Message
from releases.rollouts.models import Rollout
from tests.cluster.audit_log import effective
from tests.cluster.conftest import Cluster
from tests.cluster.objects import Space, cron_job, service
from tests.embedded.processes import wait_for
from tests.faults.proxy import Proxy, proxy_to
from tests.rollouts.floor import Floor, kinds, lay, states, why
from tests.rollouts.nursery import Nursery, nursery
from tests.rollouts.processes import database_url
from tests.soak import SOAKING, long, repeated, soak

ENDS = ("succeeded", "failed", "paused", "stopped")
# Shorter than in earnest, so that a test need not wait for the leases of the dead.
LEASE_SECONDS = "2"
ACTING = ("run_job", "set_image", "scale", "switch_service")
PLACES = ("after_intent", "before_act", "after_act", "before_record", "after_record")
SHOPS = ("shop", "shop-admin")
SERVICES = 3
DEATHS, SERVICES_FOR_DEATHS = (200, 24) if SOAKING else (6, SERVICES)
ROLES = ("worker", "worker", "watcher", "sweeper")
# A third death at the same place would park the step (F21): who looks sees a count that may be one behind.
MOST_IN_A_ROW = 1
# Beside the cluster's own time for the step in hand; test_going_on.py measures with the lease that ships.
GO_ON_SECONDS = 20.0
# A rollout of seconds, on a machine that has other work.
PATIENCE_SECONDS = 150.0


@dataclass
class Far:
    """A floor with every kind of act, over a line that counts what changed, and who works on it."""

    floor: Floor
    line: Proxy
    nursery: Nursery
    audit_log: Path | None

    @property
    def names(self) -> list[str]:
        """The services, in the order of their waves."""
        return list(self.floor.services)

    def require_end(self, rollout: Rollout) -> None:
        """What an undisturbed rollout leaves: all is done, the cluster as wanted, each act made once."""
        rollout.refresh_from_db()
        assert rollout.state == "succeeded", why(rollout)
        assert set(states(rollout).values()) == {"succeeded"}
        for name in self.names:
            assert self.floor.image(name) == self.floor.wanted(name, "2.0.0")
            assert self.floor.space.get("deployments", name)["spec"]["replicas"] == 2
        found = [self.floor.space.get("services", name)["spec"]["selector"] for name in SHOPS]
        assert found == [{"app": self.names[-1]}] * len(SHOPS)
        assert len(self.floor.space.find("jobs")) == 1
        self._require_once(rollout)

    def _require_once(self, rollout: Rollout) -> None:
        """An image and a size for each, a selector for each Service, one Job; no event or message twice."""
        objects = {f"/{self.floor.space.path('deployments', name)}": 2 for name in self.names}
        objects |= {f"/{self.floor.space.path('services', name)}": 1 for name in SHOPS}
        objects[f"/{self.floor.space.path('jobs')}"] = 1
        assert self.line.effective == objects
        if self.audit_log is not None:
            assert effective(self.audit_log, namespace=self.floor.space.name) == objects
        acts = rollout.steps.filter(kind__in=ACTING).count()
        assert kinds(rollout).count("step.acted") == acts == 2 * len(self.names) + 2
        numbers = list(Event.objects.filter(topic=rollout.topic).order_by("number").values_list("number"))
        assert [number for (number,) in numbers] == list(range(1, len(numbers) + 1))
        told = Counter(Message.objects.filter(key__startswith=f"rollout.{rollout.pk}.").values_list("key"))
        assert set(told.values()) == {1}


@pytest.fixture
def far(
    cluster: Cluster, space: Space, tmp_path: Path, transactional_db: None, request: pytest.FixtureRequest
) -> Iterator[Far]:
    """Waves of one service each; the first runs a Job, each scales, the last leads the traffic over."""
    names = [f"s{number}" for number in range(1, getattr(request, "param", SERVICES) + 1)]
    with proxy_to(cluster.limited_kubeconfig(tmp_path), tmp_path) as (line, kubeconfig):
        after = ({"kind": "notice", "to": ["role:qa"]},)
        floor = lay(space, kubeconfig, services=names, waves=[[name] for name in names], after=after)
        _add_acts(floor)
        django_rq.get_connection("default").flushdb()
        env = {"DATABASE_URL": database_url(), "LEASE_SECONDS": LEASE_SECONDS}
        with nursery(tmp_path / "roles.log", **env) as made:
            yield Far(floor, line, made, cluster.audit_log)
        django_rq.get_connection("default").flushdb()


def _add_acts(floor: Floor) -> None:
    first, last = next(iter(floor.services.values())), list(floor.services)[-1]
    first.spec["jobs"] = [{"name": "migrate", "cronJob": "migrate", "containers": ["web"]}]
    first.save(update_fields=["spec"])
    floor.space.create(cron_job("migrate"))
    for name in SHOPS:
        floor.space.create(service(name, selector={"app": "nobody"}))
    waves = floor.plan.spec["waves"]
    for wave in waves:
        wave["after"] = [{"kind": "scale", "service": wave["services"][0], "replicas": 2}]
    waves[0]["before"] = [{"kind": "run_job", "service": first.name, "job": "migrate"}]
    switch = {"kind": "switch_service", "service": last, "services": list(SHOPS), "selector": {"app": last}}
    waves[-1]["after"].append(switch)
    floor.plan.save(update_fields=["spec"])


@long
@pytest.mark.parametrize(
    "place", [pytest.param(each, marks=[] if each == "after_act" else soak) for each in PLACES]
)
def test_a_worker_that_dies_at_any_kind_of_act_leaves_what_the_next_one_ends(far: Far, place: str) -> None:
    rollout = far.floor.start()
    for kind in ACTING:
        doomed = far.nursery.birth("worker", PORTAL_TEST_STOP_POINTS="on", PORTAL_STOP_AT=f"{place}:{kind}")
        assert wait_for(partial(_gone, doomed), seconds=PATIENCE_SECONDS), why(rollout)
        far.nursery.living.pop(doomed)
    far.nursery.birth("worker")
    assert wait_for(lambda: _swept() and _state(rollout) in ENDS, seconds=PATIENCE_SECONDS), why(rollout)
    far.require_end(rollout)


@long
def test_two_of_every_role_do_what_one_does(far: Far) -> None:
    for role in (*ROLES, "watcher", "sweeper"):
        far.nursery.birth(role)
    rollout = far.floor.start()
    assert wait_for(lambda: _state(rollout) in ENDS, seconds=PATIENCE_SECONDS), why(rollout)
    far.require_end(rollout)


@long
@repeated
@pytest.mark.parametrize("far", [SERVICES_FOR_DEATHS], indirect=True, ids=str)
def test_deaths_at_random_change_nothing_but_the_time_it_takes(far: Far) -> None:
    chance = random.Random(20_240_607)
    for role in ROLES:
        far.nursery.birth(role)
    rollout = far.floor.start()
    deaths = Counter[str]()
    while deaths.total() < DEATHS and _state(rollout) not in ENDS:
        time.sleep(chance.uniform(0.02, 0.5))
        pid = chance.choice(list(far.nursery.living))
        rollout.refresh_from_db()
        if far.nursery.living[pid] == "worker" and (rollout.stumble or {}).get("count", 0) >= MOST_IN_A_ROW:
            continue
        role = far.nursery.kill(pid)
        deaths[role] += 1
        far.nursery.birth(role)
    seen = kinds(rollout)
    assert wait_for(lambda: kinds(rollout) != seen or _state(rollout) in ENDS, seconds=GO_ON_SECONDS)
    assert wait_for(lambda: _state(rollout) in ENDS, seconds=2 * PATIENCE_SECONDS), why(rollout)
    far.require_end(rollout)
    assert deaths.total() == DEATHS, deaths


def _state(rollout: Rollout) -> str:
    rollout.refresh_from_db()
    return rollout.state


def _gone(pid: int) -> bool:
    """Whether it is; nudged meanwhile."""
    return _swept() and not is_alive(pid)


def _swept() -> bool:
    """Nudge as the sweeper would."""
    jobs.sweep_once()
    return True
