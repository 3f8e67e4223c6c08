"""The look that belongs to a new size rests on what the write was answered, and on nothing older."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from releases.rollouts.steps.kind import Work
from releases.rollouts.steps.scale import _answered

Json = dict[str, Any]


def deployment(*, generation: int, observed: int) -> Json:
    return {
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "shop", "generation": generation, "uid": "u"},
        "spec": {"replicas": 3},
        "status": {"observedGeneration": observed, "replicas": 2, "readyReplicas": 2},
    }


def work(*listed: Json, generation: int = 5, acted_at: datetime | None = None) -> Work:
    """A step that has written a size, with what was listed and answered in its round."""
    step: Any = SimpleNamespace(
        acted={"generation": generation}, acted_at=acted_at, params={"workload": {"name": "web"}}
    )
    place: Any = SimpleNamespace(namespace="shop")
    release: Any = None
    return Work(step=step, release=release, environment=place, items=(), listed={"deployments": list(listed)})


def test_what_its_controller_has_not_seen_is_what_the_write_was_answered() -> None:
    found = _answered(work(deployment(generation=5, observed=4)))
    assert found is not None
    assert (found.generation, found.replicas) == (5, 3)


@pytest.mark.parametrize(
    "asked",
    [
        # Nothing was written, or to an autoscaler: how it stands is not known from before the act.
        work(deployment(generation=5, observed=5)),
        # Written by somebody else since, or by a step that did not tell what it was answered.
        work(deployment(generation=4, observed=4)),
        work(deployment(generation=6, observed=5)),
        work(),
        # A later look.
        work(deployment(generation=5, observed=4), acted_at=datetime(2026, 3, 2, tzinfo=UTC)),
    ],
)
def test_anything_else_is_read_anew(asked: Work) -> None:
    assert _answered(asked) is None
