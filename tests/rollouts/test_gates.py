"""Before a write: the approval still counts, at the very last moment; and a silent cluster is asked once."""

from typing import Any
from unittest import mock

import pytest

from portal.errors import TemporaryError
from portal.people.operations import revoke_role
from releases.rollouts import engine, gates, operations
from releases.rollouts.graph import Node
from releases.rollouts.models import Rollout, Step
from releases.rollouts.steps.kind import ActingKind, Change, Json, Outcome, Work, done
from releases.rollouts.steps.kinds import KINDS
from tests.factories import Shop, make_release
from tests.people import BY_THE_PORTAL, acting
from tests.soak import long

WORKLOAD = {"kind": "Deployment", "name": "shopping-service"}


class Write(ActingKind):
    """A write before which somebody loses the role in which they approved."""

    name = "set_image"

    def __init__(self) -> None:
        self.acted = 0

    def prepare(self, work: Work) -> Change:
        revoke_role("pl", role="pl", scope="service:shopping-service", actor=BY_THE_PORTAL)
        return Change(changes=[])

    def act(self, work: Work, change: Change) -> Json:
        self.acted += 1
        return {"images": {}, "spec": {}}

    def observe(self, work: Work) -> Outcome:
        return done()


@pytest.fixture
def rollout(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Rollout:
    """A started rollout of three writes in three waves."""
    nodes = [
        Node(key=f"s{wave}", kind="set_image", position=wave, wave=wave, params={"workload": WORKLOAD})
        for wave in (1, 2, 3)
    ]
    monkeypatch.setattr(operations, "graph_of", lambda _release: nodes)
    release = make_release(shop, at="approved")
    return operations.start_rollout(release.number, actor=acting(shop.cast.author))


@long
def test_a_role_lost_between_the_look_and_the_write_stops_the_write(
    rollout: Rollout, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = Write()
    monkeypatch.setitem(KINDS, "set_image", kind)
    engine.advance(rollout.pk)
    rollout.refresh_from_db()
    assert kind.acted == 0
    assert rollout.state == "paused"
    assert (rollout.pause or {})["reason"] == "approval"


@long
def test_a_cluster_that_is_silent_is_asked_once_for_all_earlier_waves(rollout: Rollout) -> None:
    Step.objects.filter(rollout=rollout, wave__lt=3).update(state="succeeded", acted={"spec": {}, "uid": ""})
    for wave in (1, 2):
        params = {"workload": WORKLOAD}
        Step.objects.create(rollout=rollout, key=f"r{wave}", kind="record_running", wave=wave, params=params)
    steps = list(rollout.steps.filter(kind="set_image").order_by("wave")) + list(
        rollout.steps.filter(kind="record_running")
    )
    cluster: Any = mock.Mock()
    cluster.find.side_effect = TemporaryError("silence")
    work = Work(
        step=steps[2],
        release=rollout.release,
        environment=rollout.environment,
        items=list(rollout.release.items.all()),
        siblings=steps,
    )
    with mock.patch.object(Work, "cluster", cluster):
        assert gates.before_start(work) is None
    assert cluster.find.call_count == 1
