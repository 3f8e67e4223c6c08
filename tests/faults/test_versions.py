"""The portal itself is brought out in mid rollout: old and new processes share rows and tables."""

from collections.abc import Iterator
from datetime import timedelta
from importlib import import_module
from pathlib import Path

import pytest
from django.db import migrations, models

from portal import clock, jobs
from releases.rollouts import engine, leases, operations, orders
from releases.rollouts.models import Rollout, Step
from tests.factories import Shop
from tests.people import acting
from tests.rollouts.conftest import notices
from tests.soak import long

__all__ = ["notices"]

ADVANCE = "releases.rollouts.jobs.advance"
# What came before went out with the first version.
FIRST = "0007"
FOLDER = Path(engine.__file__).parent / "migrations"


@pytest.fixture(autouse=True)
def connection_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """The runner would close the connection that has the test's transaction."""
    monkeypatch.setattr(jobs, "refresh", lambda **_how: None)


@pytest.fixture
def newer(notices: Rollout) -> Rollout:
    """A rollout with a kind of step that this version has never heard of."""
    Step.objects.filter(rollout=notices, key="third").update(kind="of_the_next_version")
    return notices


@long
def test_an_old_worker_leaves_a_new_kind_of_step_to_new_workers(newer: Rollout) -> None:
    before = list(newer.steps.values_list("key", "state"))
    for _ in range(5):
        jobs.run(ADVANCE, newer.pk)
    newer.refresh_from_db()
    assert list(newer.steps.values_list("key", "state")) == before
    assert (newer.state, newer.stumble, newer.lease_until) == ("queued", None, None)
    assert newer.wake_at is not None
    assert newer.wake_at > clock.now()
    Step.objects.filter(rollout=newer, key="third").update(kind="notice")
    jobs.run(ADVANCE, newer.pk)
    newer.refresh_from_db()
    assert newer.state == "succeeded"


def test_the_death_of_a_new_worker_is_still_to_be_counted_after_an_old_one_came(newer: Rollout) -> None:
    """Or a step at which new workers die would kill them for as long as there are old ones."""
    seen = {"code": "worker_died", "count": 1, "stood": "so", "at": "step:1"}
    gone = clock.now() - timedelta(seconds=1)
    Rollout.objects.filter(pk=newer.pk).update(lease_owner="gone:1", lease_until=gone, stumble=seen)
    jobs.run(ADVANCE, newer.pk)
    newer.refresh_from_db()
    assert (newer.lease_owner, newer.lease_until, newer.stumble) == ("gone:1", None, seen)
    Step.objects.filter(rollout=newer, key="third").update(kind="notice")
    lease = leases.take(newer.pk)
    assert lease is not None
    assert lease.dead == "gone:1"


def test_an_old_worker_leaves_a_new_state_to_new_workers(
    notices: Rollout, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {state: moves for state, moves in Rollout.MOVES.items() if state != "queued"}
    monkeypatch.setattr(Rollout, "MOVES", known)
    jobs.run(ADVANCE, notices.pk)
    notices.refresh_from_db()
    assert (notices.state, notices.lease_until) == ("queued", None)
    assert notices.wake_at is not None


def test_an_old_worker_honours_the_orders_that_it_knows_and_leaves_a_new_kind(
    notices: Rollout, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    actor = acting(shop.cast.author)
    for kind in ("pause", "stop"):
        operations.give_order(notices.pk, kind, actor=actor, reason="Wait")
    with monkeypatch.context() as old:
        old.delitem(orders.POSSIBLE, "pause")
        jobs.run(ADVANCE, notices.pk)
    outcomes = dict(notices.orders.values_list("kind", "outcome"))
    notices.refresh_from_db()
    assert (outcomes, notices.state) == ({"pause": "", "stop": "honoured"}, "stopped")
    jobs.run(ADVANCE, notices.pk)
    assert notices.orders.get(kind="pause").outcome == "refused: wrong_state"


def _operations() -> Iterator[tuple[str, migrations.operations.base.Operation]]:
    for path in sorted(FOLDER.glob("0*.py")):
        module = import_module(f"releases.rollouts.migrations.{path.stem}")
        yield from ((path.stem, each) for each in module.Migration.operations if path.stem >= FIRST)


def test_old_workers_can_write_to_the_tables_of_a_new_version() -> None:
    """They do not name a new column, and still name one that went: it gets its value from the database."""
    for name, operation in _operations():
        assert not isinstance(operation, migrations.RemoveField | migrations.RenameField), name
        if isinstance(operation, migrations.AddField):
            field: models.Field[object, object] = operation.field
            fills = field.null or field.db_default is not models.NOT_PROVIDED
            assert fills, f"{name}: {operation.name} needs a db_default, or must be nullable"
