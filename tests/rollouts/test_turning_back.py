"""Once a rollout has turned back nothing forward begins again, whatever is asked of it, in any order."""

import contextlib

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from portal.errors import PortalError
from releases.rollouts import engine, operations, release_side
from releases.rollouts.graph import Node
from releases.rollouts.models import Rollout
from releases.rollouts.states import TROUBLED
from tests.factories import Shop, make_rollout
from tests.people import acting
from tests.portal.api import ApiClient
from tests.rollouts.test_engine_properties import ORDERS, Scripted, World, forward_since_turned, graphs
from tests.soak import examples, long

# What is asked, and whether the engine hears it before the next is asked.
Asked = list[tuple[str, bool]]
PAUSED_ON_THE_WAY: Asked = [("stop", True), ("resume", True)]


def node(at: int, kind: str, *earlier: str) -> Node:
    """A step of the wave: one that writes, or one that looks."""
    params = {"workload": {"kind": "Deployment", "name": f"w{at}"}, "section": "wave"}
    return Node(key=f"s{at}", kind=kind, position=at, wave=1, params=params, depends_on=earlier)


WRITTEN_AND_LOOKED_AT = [node(0, "set_image"), node(1, "wait_rollout", "s0")]
ONLY_LOOKED_AT = [node(0, "wait_rollout")]


def unclear(shop: Shop, monkeypatch: pytest.MonkeyPatch, nodes: list[Node]) -> Rollout:
    """A rollout that holds, as its looks cannot be measured for a while."""
    world = World(verdicts={each.key: ["errored"] * 2 for each in nodes})
    kinds = {"set_image": Scripted(world, acts=True), "wait_rollout": Scripted(world, acts=False)}
    kinds |= {"restore_image": kinds["set_image"], "verify_digests": kinds["wait_rollout"]}
    monkeypatch.setattr(engine, "KINDS", kinds)
    monkeypatch.setattr(release_side, "missing_for", lambda _release, **_how: [])
    rollout = make_rollout(shop, nodes)
    engine.advance(rollout.pk)
    return rollout


def ask(shop: Shop, rollout: Rollout, kind: str) -> None:
    """Ask it, of a step that is in trouble where there is one; what is refused changes nothing."""
    troubled = rollout.steps.filter(state__in=TROUBLED).first() if kind in {"retry", "skip"} else None
    with contextlib.suppress(PortalError):
        operations.give_order(
            rollout.pk,
            kind,
            actor=acting(shop.cast.author),
            step_id=troubled.pk if troubled else None,
            reason="a reason of the test",
        )


@long
@pytest.mark.repeated
@settings(
    max_examples=examples(25, soaking=500),
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    nodes=graphs(),
    heard=st.booleans(),
    asked=st.lists(st.tuples(st.sampled_from(ORDERS), st.booleans()), max_size=8),
)
@example(nodes=WRITTEN_AND_LOOKED_AT, heard=False, asked=PAUSED_ON_THE_WAY)
@example(nodes=ONLY_LOOKED_AT, heard=False, asked=PAUSED_ON_THE_WAY)
def test_nothing_forward_begins_again(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, nodes: list[Node], heard: bool, asked: Asked
) -> None:
    rollout = unclear(shop, monkeypatch, nodes)
    for kind, advances in [("rollback", heard), *asked, ("rollback", True)]:
        ask(shop, rollout, kind)
        if advances:
            engine.advance(rollout.pk)
    assert forward_since_turned(rollout) <= {"step.undone"}
    rollout.refresh_from_db()
    assert rollout.state == "rolled_back"


def test_what_was_rolled_back_shows_no_step_that_is_ready(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    rollout = unclear(shop, monkeypatch, WRITTEN_AND_LOOKED_AT)
    api = ApiClient(shop.cast.author)
    for kind in ("rollback", "stop"):
        assert api.post(f"/rollouts/{rollout.pk}/{kind}").status_code == 202
    engine.advance(rollout.pk)
    assert api.get(f"/rollouts/{rollout.pk}").json()["state"] == "paused"
    assert api.post(f"/rollouts/{rollout.pk}/resume").status_code == 202
    engine.advance(rollout.pk)
    assert api.get(f"/rollouts/{rollout.pk}").json()["state"] == "rolled_back"
    steps = {each["key"]: each for each in api.get(f"/rollouts/{rollout.pk}/steps").json()["items"]}
    looked_at = steps["s1"]
    assert (looked_at["state"], looked_at["attempt"], looked_at["failure"]["code"]) == (
        "errored",
        1,
        "made_up",
    )
