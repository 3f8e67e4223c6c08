"""A controller wrote between the look and the write: the step reads again, at once and within its rights."""

import json

import pytest

from portal.audit.models import AuditEntry
from portal.errors import TemporaryError
from releases.rollouts import engine, operations
from releases.rollouts.graph import Node
from releases.rollouts.models import Rollout
from releases.rollouts.steps.kind import ActingKind, Change, Json, Outcome, Work, done
from releases.rollouts.steps.kinds import KINDS
from tests.factories import Shop, make_release
from tests.people import acting
from tests.soak import long


class Contested(ActingKind):
    """A write that meets so many conflicts, and rests on what was read for it."""

    name = "set_image"

    def __init__(self, conflicts: int) -> None:
        self.conflicts = conflicts
        self.tries: list[bool] = []

    def prepare(self, work: Work) -> Change:
        self.tries.append("deployments" in work.listed)
        work.listed["deployments"] = []
        return Change(changes=[])

    def act(self, work: Work, change: Change) -> Json:
        if len(self.tries) <= self.conflicts:
            raise TemporaryError("the object has been modified", retry_in=0.1, code="conflict")
        return {"images": {}, "spec": {}}

    def observe(self, work: Work) -> Outcome:
        return done()


class Halved(Contested):
    """A write of two objects, the first of which is written when the second one meets the conflict."""

    def prepare(self, work: Work) -> Change:
        objects = ("service/web", "service/api")[len(self.tries) :]
        super().prepare(work)
        return Change(
            changes=[
                {"object": each, "field": "selector.colour", "before": "blue", "after": "green"}
                for each in objects
            ]
        )


def played(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, conflicts: int, make: type[Contested] = Contested
) -> tuple[Rollout, Contested]:
    """A rollout of one write, advanced once."""
    kind = make(conflicts)
    monkeypatch.setitem(KINDS, "set_image", kind)
    params = {"workload": {"kind": "Deployment", "name": "shopping-service"}}
    nodes = [Node(key="write", kind="set_image", position=1, wave=1, params=params)]
    monkeypatch.setattr(operations, "graph_of", lambda _release: nodes)
    rollout = operations.start_rollout(
        make_release(shop, at="approved").number, actor=acting(shop.cast.author)
    )
    engine.advance(rollout.pk)
    rollout.refresh_from_db()
    return rollout, kind


@long
def test_the_first_conflict_is_followed_by_a_fresh_look_and_the_write(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    rollout, kind = played(shop, monkeypatch, conflicts=1)
    assert kind.tries == [False, False]
    assert rollout.steps.get().state == "succeeded"


@long
def test_whoever_meets_one_conflict_after_the_other_backs_off(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    rollout, kind = played(shop, monkeypatch, conflicts=9)
    step = rollout.steps.get()
    assert (len(kind.tries), step.state, step.tries) == (2, "running", 1)
    assert step.wake_at is not None


@long
def test_what_was_written_before_a_conflict_stays_in_the_record(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    rollout, _kind = played(shop, monkeypatch, conflicts=1, make=Halved)
    step = rollout.steps.get()
    entry = AuditEntry.objects.get(action="step.acted", subject=str(step.pk))
    for found in (step.intent, step.planned, json.loads(entry.body)["before"]):
        assert found is not None
        assert [each["object"] for each in found["changes"]] == ["service/web", "service/api"]
