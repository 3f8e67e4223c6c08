"""From the click to the write in the cluster: the engine goes on under the trace of who asked last."""

import pytest

from portal import trace
from releases.rollouts import engine, operations
from releases.rollouts.graph import Node
from releases.rollouts.models import Order, Rollout
from releases.rollouts.steps.kind import Change, Json, Outcome, Work, done, failed
from releases.rollouts.steps.kinds import KINDS
from tests.factories import Shop, make_release
from tests.portal.api import ApiClient
from tests.rollouts.test_freezes import Write
from tests.soak import long


class Traced(Write):
    """A write that fails at first, and remembers under which trace it was made."""

    def __init__(self) -> None:
        super().__init__(stops_at="")
        self.under: list[str] = []

    def act(self, work: Work, change: Change) -> Json:
        self.under.append(trace.current())
        return super().act(work, change)

    def observe(self, work: Work) -> Outcome:
        return done() if len(self.under) > 1 else failed("crashed")


@long
def test_a_write_is_made_under_the_trace_of_the_click_behind_it(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = Traced()
    monkeypatch.setitem(KINDS, "set_image", kind)
    monkeypatch.setattr("releases.rollouts.gates._drift_so_far", lambda _work: None)
    monkeypatch.setattr("releases.rollouts.running.expect_release", lambda _rollout: None)
    node = Node(
        key="a", kind="set_image", position=1, wave=1, params={"workload": {"name": "shopping-service"}}
    )
    monkeypatch.setattr(operations, "graph_of", lambda _release: [node])
    manager = ApiClient(shop.cast.author)
    start = manager.post(f"/releases/{make_release(shop, at='approved').number}/start")
    rollout = Rollout.objects.get()
    engine.advance(rollout.pk)
    again = manager.post(f"/rollouts/{rollout.pk}/steps/{rollout.steps.get().pk}/retry")
    engine.advance(rollout.pk)
    assert kind.under == [start["X-Trace-Id"], again["X-Trace-Id"]]
    assert Order.objects.get().trace == again["X-Trace-Id"] != start["X-Trace-Id"]
