"""The routes of rollouts: promised shapes, orders written down at once, rights of each order."""

from typing import Any

import pytest
from django.test import Client

from portal.live.models import Event
from releases.catalog.models import Plan
from releases.rollouts import engine
from releases.rollouts.models import Order, Rollout, Step
from tests.factories import Shop, make_release, runs
from tests.portal.api import ApiClient
from tests.soak import long

WAVES = {"expectedMinutes": 30, "waves": [{"title": "All", "services": ["shopping-service"]}]}


def ask(shop: Shop, name: str, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    """Send one request as somebody of the cast."""
    answer = ApiClient(getattr(shop.cast, name)).send(method, path, body)
    return answer.status_code, answer.json()


@pytest.fixture
def rollout(shop: Shop) -> Rollout:
    """A rollout that was started over the API; no worker runs."""
    Plan.objects.filter(pk=shop.plan.pk).update(spec=WAVES)
    release = make_release(shop, at="approved")
    status, answer = ask(shop, "author", "POST", f"/releases/{release.number}/start")
    assert status == 201, answer
    return Rollout.objects.get(pk=answer["id"])


@long
def test_a_started_rollout_answers_in_the_promised_shape(shop: Shop, rollout: Rollout) -> None:
    status, answer = ask(shop, "author", "GET", f"/rollouts/{rollout.pk}")
    assert status == 200
    promised = {
        "id",
        "release",
        "environment",
        "state",
        "progress",
        "expected_seconds",
        "orders",
        "pause",
        "eta",
    }
    assert promised <= answer.keys()
    assert (answer["state"], answer["environment"]) == ("queued", "shop-production")
    assert answer["progress"] == {"done": 0, "total": 3}
    assert answer["expected_seconds"] == 1800
    assert rollout.release.__class__.objects.get(pk=rollout.release_id).state == "rolling_out"


@long
def test_steps_name_what_they_wait_for(shop: Shop, rollout: Rollout) -> None:
    _status, answer = ask(shop, "author", "GET", f"/rollouts/{rollout.pk}/steps")
    steps = {step["key"]: step for step in answer["items"]}
    promised = {
        "id",
        "kind",
        "service",
        "wave",
        "state",
        "attempt",
        "depends_on",
        "plan",
        "observed",
        "failure",
        "started_at",
        "ended_at",
        "deadline_at",
    }
    assert all(promised <= step.keys() for step in steps.values())
    record, change = steps["1.shopping-service.record_running"], steps["1.shopping-service.set_image"]
    assert change["depends_on"] == [record["id"]]
    assert (change["kind"], change["service"], change["wave"]) == ("set_image", "shopping-service", 1)
    assert answer["next"] is None


@long
def test_every_door_counts_the_same_steps_forward_and_back(shop: Shop, rollout: Rollout) -> None:
    """The step that records what runs is listed, but not counted: no page shows it."""
    pages = Client()
    pages.force_login(shop.cast.author)

    def counts() -> list[tuple[int, int]]:
        api = ask(shop, "author", "GET", f"/rollouts/{rollout.pk}")[1]["progress"]
        page = pages.get(f"/rollouts/{rollout.pk}/").context["view"]
        (glance,) = pages.get("/").context["moving"]
        return [(api["done"], api["total"]), (page.done, page.total), (glance.done, glance.total)]

    rollout.steps.filter(kind__in=["record_running", "set_image"]).update(state="succeeded")
    assert counts() == [(1, 3)] * 3
    Step.objects.create(rollout=rollout, key="back", kind="restore_image", direction="back")
    assert counts() == [(0, 1)] * 3


@long
def test_a_second_start_is_refused(shop: Shop, rollout: Rollout) -> None:
    status, problem = ask(shop, "author", "POST", f"/releases/{rollout.release_id}/start")
    assert (status, problem["code"]) == (409, "wrong_state")
    assert Rollout.objects.count() == 1


@long
def test_an_emergency_rolled_back_by_the_engine_owes_its_review(shop: Shop) -> None:
    Plan.objects.filter(pk=shop.plan.pk).update(spec=WAVES)
    incident = {"link": "https://incidents.example/7", "reason": "payments fail"}
    release = make_release(shop, grade="E", incident=incident)
    path = f"/releases/{release.number}"
    assert ask(shop, "author", "POST", f"{path}/submit")[1]["state"] == "submitted"
    _status, started = ask(shop, "author", "POST", f"{path}/start")
    assert ask(shop, "author", "POST", f"/rollouts/{started['id']}/rollback", {"reason": "worse"})[0] == 202
    engine.advance(started["id"])
    assert ask(shop, "author", "GET", f"/rollouts/{started['id']}")[1]["state"] == "rolled_back"
    assert ask(shop, "author", "GET", path)[1]["state"] == "review_owed"
    body = {"verdict": "approve", "content_digest": release.content_digest}
    assert ask(shop, "team_lead", "POST", f"{path}/decisions", body)[1]["state"] == "closed"


@long
def test_an_order_is_written_down_and_told(shop: Shop, rollout: Rollout) -> None:
    status, answer = ask(shop, "author", "POST", f"/rollouts/{rollout.pk}/pause", {"reason": "lunch"})
    assert status == 202
    assert answer.keys() == {"id", "kind", "asked_at"}
    order = Order.objects.get(pk=answer["id"])
    assert (order.kind, order.reason, order.by, order.honoured_at) == (
        "pause",
        "lunch",
        shop.cast.author,
        None,
    )
    _status, shown = ask(shop, "author", "GET", f"/rollouts/{rollout.pk}")
    assert [each["kind"] for each in shown["orders"]] == ["pause"]


@long
def test_events_are_numbered_from_one_without_gaps(shop: Shop, rollout: Rollout) -> None:
    ask(shop, "author", "POST", f"/rollouts/{rollout.pk}/stop")
    _status, answer = ask(shop, "author", "GET", f"/rollouts/{rollout.pk}/events?after=0")
    assert [event["id"] for event in answer["events"]] == list(range(1, answer["last"] + 1))
    assert [event["kind"] for event in answer["events"]] == ["rollout.queued", "rollout.order_asked"]
    assert all(event["text"] for event in answer["events"])
    _status, rest = ask(shop, "author", "GET", f"/rollouts/{rollout.pk}/events?after=1&limit=5")
    assert [event["id"] for event in rest["events"]] == [2]
    assert Event.objects.filter(topic=rollout.topic).count() == 2


@long
@pytest.mark.parametrize(
    ("order", "answers"),
    [
        ("pause", {"author": 202, "qa": 202, "administrator": 202, "auditor": 403, "outsider": 403}),
        ("stop", {"author": 202, "qa": 202, "administrator": 202, "auditor": 403, "outsider": 403}),
        ("rollback", {"author": 202, "team_lead": 202, "qa": 403, "administrator": 403, "auditor": 403}),
        ("resume", {"author": 409, "qa": 403, "administrator": 403, "auditor": 403, "outsider": 403}),
    ],
)
def test_each_order_asks_for_its_own_right(
    shop: Shop, rollout: Rollout, order: str, answers: dict[str, int]
) -> None:
    for name, expected in answers.items():
        status, _answer = ask(shop, name, "POST", f"/rollouts/{rollout.pk}/{order}")
        assert (name, status) == (name, expected)


@long
def test_a_skip_needs_its_reason_and_a_rollout_that_is_not_queued(shop: Shop, rollout: Rollout) -> None:
    step = rollout.steps.get(kind="set_image")
    path = f"/rollouts/{rollout.pk}/steps/{step.pk}/skip"
    status, problem = ask(shop, "author", "POST", path, {"reason": " "})
    assert (status, problem["code"]) == (422, "invalid")
    status, problem = ask(shop, "author", "POST", path, {"reason": "known"})
    assert (status, problem["code"]) == (409, "wrong_state")
    other = f"/rollouts/{rollout.pk}/steps/{step.pk + 1000}/retry"
    assert ask(shop, "author", "POST", other)[0] == 404


def test_a_rollout_that_is_not_there_is_not_found(shop: Shop) -> None:
    for path in ("/rollouts/4711", "/rollouts/4711/steps", "/rollouts/4711/events"):
        assert ask(shop, "author", "GET", path)[0] == 404
    assert ask(shop, "author", "POST", "/rollouts/4711/stop")[0] == 404


@long
def test_the_board_shows_what_runs_waits_and_rolls_out(shop: Shop, rollout: Rollout) -> None:
    row = runs(shop.shopping, shop.environment, "2.7.4")
    row.expected = {"digests": ["sha256:other"]}
    row.save(update_fields=["expected"])
    status, answer = ask(shop, "author", "GET", "/board?environment=shop-production")
    cells = {cell["service"]: cell for cell in answer["items"]}
    assert status == 200
    assert cells.keys() == {"shopping-service", "payment-service", "auth-service"}
    assert (cells["shopping-service"]["version"], cells["shopping-service"]["rollout"]) == (
        "2.7.4",
        rollout.pk,
    )
    # While one rolls out, what differs is no unapproved change.
    assert cells["shopping-service"]["drift"] is None
    assert ask(shop, "author", "GET", "/board?environment=nowhere")[0] == 404
