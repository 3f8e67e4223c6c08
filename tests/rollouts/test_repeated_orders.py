"""An order that asks for what is so already: it is no error, and says who asked first."""

from typing import Any

import pytest

from portal.people.models import User
from releases.rollouts import engine, lifting
from releases.rollouts.models import Rollout, Step
from releases.rollouts.steps.kind import wait
from releases.rollouts.steps.notice import Notice
from tests.factories import Shop
from tests.pages.rollouts.conftest import browser
from tests.portal.api import ApiClient
from tests.soak import long


@pytest.fixture
def waiting(notices: Rollout, monkeypatch: pytest.MonkeyPatch) -> Rollout:
    """A rollout whose first notice does not get any further."""
    monkeypatch.setattr(Notice, "observe", lambda _kind, _work: wait("made_up", seconds=60))
    engine.advance(notices.pk)
    return notices


def goes_back(rollout: Rollout) -> None:
    """Let there be one step of a way back, which runs."""
    Step.objects.create(rollout=rollout, key="back", kind="notice", direction="back", state="running")
    rollout.steps.filter(direction="forward").update(state="cancelled")
    Rollout.objects.filter(pk=rollout.pk).update(state="rolling_back")


def ask(user: User, rollout: Rollout, kind: str) -> dict[str, Any]:
    """Ask through the API; it is no error."""
    answer = ApiClient(user).send("POST", f"/rollouts/{rollout.pk}/{kind}")
    assert answer.status_code == 202, answer.json()
    asked: dict[str, Any] = answer.json()
    return asked


def outcomes(rollout: Rollout) -> list[str]:
    """What became of every order."""
    told = ApiClient(rollout.release.author).get(f"/rollouts/{rollout.pk}").json()
    return [order["outcome"] for order in told["orders"]]


def last_event(rollout: Rollout) -> str:
    """The newest event, in words."""
    api = ApiClient(rollout.release.author)
    told = api.get(f"/rollouts/{rollout.pk}/events?after=0", accept_language="en").json()
    return str(told["events"][-1]["text"])


@pytest.mark.parametrize(
    ("kind", "order", "state"), [("pause", "Pause", "paused"), ("stop", "Stop", "stopped")]
)
def test_the_second_of_two_at_once_is_told_who_asked_first(
    waiting: Rollout, shop: Shop, kind: str, order: str, state: str
) -> None:
    first, second = ask(shop.cast.qa, waiting, kind), ask(shop.cast.author, waiting, kind)
    assert ("repeats" in first, second["repeats"]["by"]) == (False, "qa")
    engine.advance(waiting.pk)
    waiting.refresh_from_db()
    assert waiting.state == state
    assert outcomes(waiting) == ["honoured", f"already: order {first['id']}"]
    assert last_event(waiting) == f"It was so already when Author asked: {order}; Qa had asked first"


@long
@pytest.mark.parametrize("kind", ["pause", "stop"])
def test_one_that_comes_later_is_told_so_as_well(waiting: Rollout, shop: Shop, kind: str) -> None:
    first = ask(shop.cast.qa, waiting, kind)
    engine.advance(waiting.pk)
    assert ask(shop.cast.author, waiting, kind)["repeats"]["order"] == first["id"]
    engine.advance(waiting.pk)
    assert outcomes(waiting) == ["honoured", f"already: order {first['id']}"]


@long
def test_two_who_roll_back_at_once_roll_back_once(waiting: Rollout, shop: Shop) -> None:
    first = ask(shop.cast.team_lead, waiting, "rollback")
    ask(shop.cast.author, waiting, "rollback")
    engine.advance(waiting.pk)
    waiting.refresh_from_db()
    assert waiting.state == "rolled_back"
    assert outcomes(waiting) == ["honoured", f"already: order {first['id']}"]
    late = ask(shop.cast.author, waiting, "rollback")
    assert late["repeats"]["order"] == first["id"]


@long
def test_who_looks_at_the_panel_of_a_stop_too_late_reads_who_stopped_it(waiting: Rollout, shop: Shop) -> None:
    ask(shop.cast.qa, waiting, "stop")
    engine.advance(waiting.pk)
    page = browser(shop.cast.author)
    panel = page.get(f"/rollouts/{waiting.pk}/stop/", headers={"accept-language": "en"})
    assert panel.status_code == 200
    assert "Qa has asked for this already." in panel.content.decode()
    assert '<button class="button button-edge button-danger"' not in panel.content.decode()
    pressed = page.post(f"/rollouts/{waiting.pk}/stop/", {"reason": "Errors seen"})
    assert pressed["Location"] == f"/rollouts/{waiting.pk}/"


@long
def test_a_paused_way_back_is_not_offered_to_be_stopped(waiting: Rollout, shop: Shop) -> None:
    """A stop on the way back is a pause: half a way back is no place to end."""
    goes_back(waiting)
    page = browser(shop.cast.author)
    assert b"bar-stop" in page.get(f"/rollouts/{waiting.pk}/").content
    first = ask(shop.cast.qa, waiting, "pause")
    engine.advance(waiting.pk)
    waiting.refresh_from_db()
    assert waiting.state == "paused"
    shown = page.get(f"/rollouts/{waiting.pk}/").content
    assert b"bar-stop" not in shown
    assert b"bar-resume" in shown
    ask(shop.cast.author, waiting, "stop")
    engine.advance(waiting.pk)
    assert outcomes(waiting) == ["honoured", f"already: order {first['id']}"]


@long
def test_what_the_portal_paused_names_nobody(waiting: Rollout, shop: Shop) -> None:
    reason = {"reason": "errored"}
    found = lifting.pause_of(reason, step=None, actor=engine.ENGINE)
    Rollout.objects.filter(pk=waiting.pk).update(state="paused", pause=found)
    assert "repeats" not in ask(shop.cast.author, waiting, "pause")
    engine.advance(waiting.pk)
    assert outcomes(waiting) == ["already"]
    assert last_event(waiting) == "It was so already when Author asked: Pause"


@long
def test_who_may_not_stop_is_refused_also_where_it_is_so_already(waiting: Rollout, shop: Shop) -> None:
    ask(shop.cast.qa, waiting, "stop")
    engine.advance(waiting.pk)
    refused = ApiClient(shop.cast.outsider).send("POST", f"/rollouts/{waiting.pk}/stop")
    assert refused.status_code == 403
