"""A plan may let what was measured bad roll back by itself; all else holds and asks a person."""

import json

import pytest
from django.test import Client
from django.utils import translation

from portal.audit.models import AuditEntry
from releases.rollouts import engine, operations, release_side
from releases.rollouts.graph import Node
from releases.rollouts.models import Rollout
from tests.factories import Shop, make_rollout
from tests.people import acting
from tests.portal.api import ApiClient
from tests.rollouts.test_engine_properties import Scripted, World
from tests.soak import long

WORKLOAD = {"workload": {"kind": "Deployment", "name": "web"}, "section": "wave"}
NODES = [
    Node(key="look", kind="health", position=0, params={"section": "before"}),
    Node(key="act", kind="set_image", position=1, wave=1, params=WORKLOAD, depends_on=("look",)),
    Node(key="wait", kind="wait_rollout", position=2, wave=1, params=WORKLOAD, depends_on=("act",)),
]


@pytest.fixture
def world() -> World:
    """Everything goes well until a test says otherwise."""
    return World(verdicts={})


@pytest.fixture
def rollout(shop: Shop, world: World, monkeypatch: pytest.MonkeyPatch) -> Rollout:
    """A rollout by a plan that rolls back by itself."""
    kinds = {"set_image": Scripted(world, acts=True), "health": Scripted(world, acts=False)}
    kinds |= {"wait_rollout": kinds["health"], "restore_image": kinds["set_image"]}
    monkeypatch.setattr(engine, "KINDS", kinds | {"verify_digests": kinds["health"]})
    monkeypatch.setattr(release_side, "missing_for", lambda _release, **_how: [])
    shop.plan.spec["onFailure"] = "rollback"
    shop.plan.save(update_fields=["spec"])
    world.rollout, world.actor = make_rollout(shop, NODES), acting(shop.cast.author)
    return world.rollout


def end(rollout: Rollout) -> str:
    """Advance until nothing moves any more."""
    for _again in range(5):
        engine.advance(rollout.pk)
    rollout.refresh_from_db()
    return rollout.state


@long
def test_what_is_measured_bad_goes_back_in_the_name_of_the_portal(
    shop: Shop, rollout: Rollout, world: World, client: Client
) -> None:
    world.verdicts["wait"] = ["failed"]
    assert end(rollout) == "rolled_back"
    order = rollout.orders.get()
    assert (order.kind, order.by, order.outcome) == ("rollback", None, "honoured")
    asked = AuditEntry.objects.get(action="order.asked")
    assert (asked.actor, json.loads(asked.body)["reason"]) == ("portal", order.reason)
    page = page_of(shop, rollout, client)
    assert "Rolled back by itself, as the plan says." in page
    assert "Here nothing was" not in page
    assert "words" in page.partition("as the plan says.")[2].partition("</p>")[0]


def test_why_it_went_back_by_itself_is_said_in_the_readers_language(
    shop: Shop, rollout: Rollout, world: World, client: Client
) -> None:
    world.verdicts["wait"] = ["failed"]
    with translation.override("ko"):
        end(rollout)
    client.force_login(shop.cast.author)
    page = client.get(f"/rollouts/{rollout.pk}/", headers={"accept-language": "en"}).content.decode()
    assert "rolling back: The plan rolls back by itself" in page
    told = ApiClient(shop.cast.author).get(f"/rollouts/{rollout.pk}", accept_language="en").json()
    assert told["orders"][0]["reason"] == "The plan rolls back by itself"


@pytest.mark.parametrize(
    ("verdict", "state"), [("errored", "paused"), ("refused", "paused"), ("wait", "running")]
)
def test_what_could_not_be_measured_holds(rollout: Rollout, world: World, verdict: str, state: str) -> None:
    world.verdicts["wait"] = [verdict] * 20
    assert end(rollout) == state
    assert not rollout.orders.exists()


def page_of(shop: Shop, rollout: Rollout, client: Client) -> str:
    client.force_login(shop.cast.author)
    return client.get(f"/rollouts/{rollout.pk}/", headers={"accept-language": "en"}).content.decode()


@pytest.mark.parametrize("refused", ["wait", "act"])
def test_a_cluster_that_lets_nobody_look_is_not_measured_and_looked_at_again(
    shop: Shop, rollout: Rollout, world: World, client: Client, refused: str
) -> None:
    world.verdicts[refused] = ["refused"]
    assert end(rollout) == "paused"
    step = rollout.steps.get(key=refused)
    assert (step.state, step.failure["code"]) == ("errored", "forbidden")  # type: ignore[index]  # it has one
    page = page_of(shop, rollout, client)
    assert "Why it stopped" in page
    assert "The cluster refuses: no right. So it could not be measured" in page
    assert "no right</p>" in page
    marks = list(world.marks)
    operations.give_order(rollout.pk, "resume", actor=world.actor)
    assert end(rollout) == "succeeded"
    assert world.marks == marks, "what was done is only looked at again"


def test_a_way_back_that_lets_nobody_look_holds_and_goes_on(rollout: Rollout, world: World) -> None:
    world.verdicts |= {"wait": ["failed"], "back.act.wait_rollout": ["refused"]}
    assert end(rollout) == "paused"
    assert rollout.steps.get(state="errored").direction == "back"
    marks = list(world.marks)
    operations.give_order(rollout.pk, "resume", actor=world.actor)
    assert end(rollout) == "rolled_back"
    assert world.marks == marks


def test_a_change_that_is_refused_fails_and_does_not_go_back_by_itself(
    shop: Shop, rollout: Rollout, world: World, client: Client
) -> None:
    world.verdicts["act.act"] = ["refused"]
    assert end(rollout) == "failed"
    assert not rollout.orders.exists()
    page = page_of(shop, rollout, client)
    assert "The plan rolls back by itself what was measured bad. Here nothing was" in page
    assert "could not be measured" not in page
    # It was never made: another attempt makes it.
    operations.give_order(rollout.pk, "retry", actor=world.actor, step_id=rollout.steps.get(key="act").pk)
    assert end(rollout) == "succeeded"
    assert len(world.marks) == 1


def test_a_plan_that_does_not_say_so_holds(shop: Shop, rollout: Rollout, world: World) -> None:
    shop.plan.spec = {"waves": []}
    shop.plan.save(update_fields=["spec"])
    world.verdicts["wait"] = ["failed"]
    assert end(rollout) == "failed"


def test_where_nothing_was_changed_there_is_nothing_to_take_back(rollout: Rollout, world: World) -> None:
    world.verdicts["look"] = ["failed"]
    assert end(rollout) == "failed"


HELD = (
    "So it did not go back by itself, as its plan would have it: roll it back, retry the step, "
    "or skip it and say why."
)


def test_a_rollout_that_a_person_paused_stays_in_their_hands_and_says_so(
    shop: Shop, rollout: Rollout, world: World, client: Client
) -> None:
    world.verdicts["wait"] = ["wait"] * 9
    engine.advance(rollout.pk)
    operations.give_order(rollout.pk, "pause", actor=world.actor, reason="lunch")
    world.verdicts["wait"] = ["wait", "failed"]
    with translation.override("ko"):
        assert end(rollout) == "failed"
    said = f"Paused by Author: lunch. {HELD}"
    page = page_of(shop, rollout, client)
    assert f"<p>{said}</p>" in page
    assert "Here nothing was" not in page
    api = ApiClient(shop.cast.author)
    assert api.get(f"/rollouts/{rollout.pk}", accept_language="en").json()["stands"] == said
    told = api.get(f"/rollouts/{rollout.pk}/events?after=0", accept_language="en").json()["events"]
    failed = [event["text"] for event in told if event["kind"] == "rollout.failed"]
    assert [text.endswith(said) for text in failed] == [True]
    operations.give_order(rollout.pk, "rollback", actor=world.actor)
    assert end(rollout) == "rolled_back"
    assert f"<p>{said}</p>" not in page_of(shop, rollout, client)


def test_where_a_pause_was_asked_in_the_moment_of_the_failure_it_says_so(
    shop: Shop, rollout: Rollout, world: World, client: Client
) -> None:
    world.verdicts["wait"] = ["failed"]
    # The look that fails is the fifth place at which a person may come in between.
    world.orders = {5: "pause"}
    assert end(rollout) == "failed"
    assert f"<p>Somebody had asked to halt it when it failed. {HELD}</p>" in page_of(shop, rollout, client)


def test_what_does_not_go_back_by_itself_has_nothing_to_say_of_it(
    shop: Shop, rollout: Rollout, world: World, client: Client
) -> None:
    shop.plan.spec = {"waves": []}
    shop.plan.save(update_fields=["spec"])
    world.verdicts["wait"] = ["wait"] * 9
    engine.advance(rollout.pk)
    operations.give_order(rollout.pk, "pause", actor=world.actor)
    world.verdicts["wait"] = ["wait", "failed"]
    assert end(rollout) == "failed"
    assert HELD not in page_of(shop, rollout, client)


def test_a_stop_that_was_asked_before_the_failure_stays_a_stop(rollout: Rollout, world: World) -> None:
    world.verdicts["wait"] = ["failed"]
    # The look that fails is the fifth place at which a person may come in between.
    world.orders = {5: "stop"}
    assert end(rollout) == "stopped"
    assert [order.kind for order in rollout.orders.all()] == ["stop"]


def test_a_person_may_stop_the_way_back_that_began_by_itself(rollout: Rollout, world: World) -> None:
    world.verdicts["wait"] = ["failed"]
    # The first act of the way back.
    world.orders = {7: "stop"}
    assert end(rollout) == "paused"
