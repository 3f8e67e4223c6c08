"""A rollout of made-up steps: acts that a made-up cluster remembers by their marks, and looks after them."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from django.db import DatabaseError, InterfaceError, connection

from portal import clock, jobs
from portal.audit.models import AuditEntry
from portal.live.models import Event
from releases.rollouts import engine, release_side
from releases.rollouts.graph import Node
from releases.rollouts.models import Rollout
from releases.rollouts.steps.kind import ActingKind, Change, Found, Json, Outcome, Work, done
from tests.factories import Shop, make_rollout, registry, shop
from tests.faults.line import Line, line_to_database

__all__ = ["registry", "shop"]

ADVANCE = "releases.rollouts.jobs.advance"
KINDS = ("set_image", "wait_rollout", "set_image", "wait_rollout")
ACTS = KINDS.count("set_image")
MOST_ROUNDS = 40


@dataclass
class World:
    """What a cluster would be; `during` happens while an act is on its way."""

    acts: list[str] = field(default_factory=list)
    during: Callable[[], None] | None = None


class Marked(ActingKind):
    """Acts once per mark."""

    name = "marked"

    def __init__(self, world: World, *, acts: bool) -> None:
        self.world = world
        self.acts = acts  # type: ignore[misc]

    def prepare(self, work: Work) -> Change | Found | Outcome:
        if work.mark["portal/step"] in self.world.acts:
            return Found(acted={"images": {}, "spec": {}}, observed={"code": "image_set"})
        return Change(changes=[])

    def act(self, work: Work, change: Change) -> Json:
        self.world.acts.append(work.mark["portal/step"])
        if self.world.during is not None:
            self.world.during()
        return {"images": {}, "spec": {}}

    def observe(self, work: Work) -> Outcome:
        return done()


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """A cluster of the test's own, for releases that are always approved."""
    made = World()
    kinds = {"set_image": Marked(made, acts=True), "wait_rollout": Marked(made, acts=False)}
    monkeypatch.setattr(engine, "KINDS", kinds)
    monkeypatch.setattr(release_side, "missing_for", lambda _release, **_more: [])
    return made


@pytest.fixture
def line(transactional_db: None) -> Iterator[Line]:
    """The line between this test and its database."""
    with line_to_database() as made:
        yield made


def made_up(shop: Shop) -> Rollout:
    """A rollout of two acts, each with a look behind it."""
    nodes = [
        Node(
            key=f"s{at}",
            kind=kind,
            position=at,
            wave=1,
            params={"workload": {"name": f"w{at}"}, "section": "wave"},
            depends_on=(f"s{at - 1}",) if at else (),
        )
        for at, kind in enumerate(KINDS)
    ]
    return make_rollout(shop, nodes)


def work(rollout: Rollout) -> None:
    """Let a worker take one nudge, whatever becomes of it, long after the one before."""
    with contextlib.suppress(DatabaseError, InterfaceError):
        jobs.run(ADVANCE, rollout.pk)
    connection.close()


def let_time_pass(rollout: Rollout) -> None:
    """Let a lease that nobody gave back run out."""
    Rollout.objects.filter(pk=rollout.pk, lease_until__isnull=False).update(
        lease_until=clock.now() - timedelta(seconds=1)
    )


def finish(rollout: Rollout) -> int:
    """Let workers go on until the rollout has ended; returns how many rounds that took."""
    for rounds in range(1, MOST_ROUNDS):
        let_time_pass(rollout)
        work(rollout)
        rollout.refresh_from_db()
        if rollout.state == "succeeded":
            return rounds
    raise AssertionError(f"{rollout.state}: {list(rollout.steps.values_list('key', 'state'))}")


def require_whole(rollout: Rollout, world: World) -> None:
    """Every act was made once, every event and entry is there once, and no step was blamed."""
    numbers = list(Event.objects.filter(topic=rollout.topic).values_list("number", flat=True))
    moves = AuditEntry.objects.filter(subject_kind="step", action="step.succeeded")
    assert len(world.acts) == len(set(world.acts)) == ACTS
    assert sorted(numbers) == list(range(1, len(numbers) + 1))
    assert moves.filter(release=rollout.release_id).count() == rollout.steps.count()
    assert rollout.stumble is None


def address() -> str:
    """Where another connection reaches the server, past this test's database."""
    found = connection.settings_dict
    host = f"{found['USER']}:{found['PASSWORD']}@{found['HOST']}:{found['PORT']}"
    return f"postgresql://{host}/postgres"
