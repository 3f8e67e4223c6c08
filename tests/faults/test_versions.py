"""The portal itself is brought out in mid rollout: old and new processes share rows and tables."""

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
from django.db import migrations, models

from portal import clock, jobs
from releases.rollouts import engine
from releases.rollouts.models import Rollout, Step
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
    monkeypatch.setattr(jobs, "close_old_connections", lambda: None)


@long
def test_an_old_worker_leaves_a_new_kind_of_step_to_new_workers(notices: Rollout) -> None:
    Step.objects.filter(rollout=notices, key="third").update(kind="of_the_next_version")
    before = list(notices.steps.values_list("key", "state"))
    for _ in range(5):
        jobs.run(ADVANCE, notices.pk)
    notices.refresh_from_db()
    assert list(notices.steps.values_list("key", "state")) == before
    assert (notices.state, notices.stumble, notices.lease_until) == ("queued", None, None)
    assert notices.wake_at is not None
    assert notices.wake_at > clock.now()
    Step.objects.filter(rollout=notices, key="third").update(kind="notice")
    jobs.run(ADVANCE, notices.pk)
    notices.refresh_from_db()
    assert notices.state == "succeeded"


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
