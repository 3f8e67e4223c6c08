"""Of a switch of several Services nothing more is written by a worker that another has taken over from."""

from typing import Any

import pytest

from releases.catalog.models import Environment
from releases.models import Release
from releases.rollouts.leases import LeaseLost
from releases.rollouts.models import Step
from releases.rollouts.steps.kind import Change, Work
from releases.rollouts.steps.switch_service import SwitchService

NAMES = ("web", "api", "admin")


class Writes:
    """A cluster that keeps what is written."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def change(self, _plural: str, seen: dict[str, Any], _body: dict[str, Any]) -> None:
        """Note the Service."""
        self.names.append(seen["metadata"]["name"])


@pytest.mark.parametrize(("holds_for", "written"), [(1, ["web"]), (9, list(NAMES))])
def test_it_ends_between_two_services(
    monkeypatch: pytest.MonkeyPatch, holds_for: int, written: list[str]
) -> None:
    cluster = Writes()

    def beat() -> None:
        if len(cluster.names) >= holds_for:
            raise LeaseLost

    monkeypatch.setattr(Work, "cluster", property(lambda _work: cluster))
    work = Work(step=Step(key="switch"), release=Release(), environment=Environment(), items=(), beat=beat)
    patches: list[Any] = [({"metadata": {"name": name}}, {"spec": {}}) for name in NAMES]
    change = Change(changes=[], payload=({}, patches))
    try:
        SwitchService().act(work, change)
    except LeaseLost:
        assert holds_for == 1
    assert cluster.names == written
