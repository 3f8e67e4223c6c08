"""Windows, freezes and the stopped line before every start, through the doors."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from approvals.calendar import operations as calendar
from approvals.calendar.models import Freeze
from portal import clock
from portal.audit.models import AuditEntry
from portal.errors import Conflict, NotAllowed
from portal.outbox.models import Message
from portal.people.models import User
from releases.catalog.models import Plan
from releases.models import Release
from releases.rollouts import operations as rollouts
from tests.factories import Shop, make_release
from tests.people import acting
from tests.portal.api import ApiClient
from tests.soak import long

WAVES = {"expectedMinutes": 30, "waves": [{"title": "All", "services": ["shopping-service"]}]}
DAY = timedelta(days=1)
INCIDENT = {"link": "https://wiki.example/incidents/1", "reason": "Sign-in fails for everybody"}


@pytest.fixture
def api(shop: Shop) -> ApiClient:
    """The author's way in, to a shop whose plan fits."""
    Plan.objects.filter(pk=shop.plan.pk).update(spec=WAVES)
    return ApiClient(shop.cast.author)


def freeze(shop: Shop, *, scope: str = "*", days: float = 2, by: User | None = None) -> Freeze:
    """A freeze that has just begun."""
    now = clock.now()
    return calendar.add_freeze(
        actor=acting(by or shop.cast.director),
        name="Year end",
        reason="The books are closed",
        scope=scope,
        starts=now,
        ends=now + days * DAY,
    )


def closed_now(shop: Shop) -> None:
    """Give the shop a window that is shut at this time and opens within a day."""
    opens = (clock.now() + timedelta(hours=3)).replace(minute=0)
    days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
    window = {"days": days, "from": f"{opens:%H:%M}", "to": f"{opens + timedelta(hours=1):%H:%M}"}
    shop.environment.spec = {"windows": [{**window, "timeZone": "UTC"}]}
    shop.environment.save()


@long
@pytest.mark.parametrize(
    "scope", ["*", "environment:shop-production", "team:commerce", "service:shopping-service"]
)
def test_a_freeze_of_what_it_touches_holds_the_start_by_name_reason_and_next_opening(
    shop: Shop, api: ApiClient, scope: str
) -> None:
    release = make_release(shop, at="approved")
    held = freeze(shop, scope=scope)
    answer = api.post(f"/releases/{release.number}/start")
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (409, "frozen")
    (entry,) = problem["missing"]
    assert (entry["code"], entry["id"]) == ("freeze", held.pk)
    assert held.ends_at is not None
    assert datetime.fromisoformat(entry["until"]) == held.ends_at
    assert datetime.fromisoformat(entry["opens_at"]) == held.ends_at
    assert "Year end" in entry["text"]
    assert "The books are closed" in entry["text"]
    assert AuditEntry.objects.filter(action="release.start_refused", release=release.number).count() == 1


@long
@pytest.mark.parametrize("scope", ["team:identity", "service:auth-service"])
def test_a_freeze_of_something_else_holds_nothing(shop: Shop, api: ApiClient, scope: str) -> None:
    release = make_release(shop, at="approved")
    freeze(shop, scope=scope)
    assert api.post(f"/releases/{release.number}/start").status_code in {200, 201, 202}


@long
def test_a_start_outside_the_windows_is_refused_with_the_next_one(shop: Shop, api: ApiClient) -> None:
    release = make_release(shop, at="approved")
    closed_now(shop)
    problem = api.post(f"/releases/{release.number}/start").json()
    assert problem["code"] == "frozen"
    (entry,) = problem["missing"]
    assert entry["kind"] == "windows"
    assert clock.now() < datetime.fromisoformat(entry["until"]) < clock.now() + DAY


def test_a_freeze_is_told_together_with_everything_else_that_is_missing(shop: Shop, api: ApiClient) -> None:
    release = make_release(shop, at="in_review")
    freeze(shop)
    problem = api.post(f"/releases/{release.number}/start").json()
    assert problem["code"] == "not_approved"
    assert {entry["code"] for entry in problem["missing"]} == {"requirement", "freeze"}


@long
def test_an_emergency_passes_and_the_freeze_keeps_why(shop: Shop, api: ApiClient) -> None:
    held = freeze(shop)
    closed_now(shop)
    made = api.post("/releases", shop.data(grade="E", incident=INCIDENT)).json()["number"]
    assert api.post(f"/releases/{made}/submit").status_code == 200
    assert api.post(f"/releases/{made}/start").status_code in {200, 201, 202}
    (passage,) = held.passages.all()
    assert (passage.subject, passage.reason) == (f"release:{made}", INCIDENT["reason"])
    kept = AuditEntry.objects.filter(release=made, action__in=["freeze.passed", "window.passed"])
    assert {entry.action for entry in kept} == {"freeze.passed", "window.passed"}
    listed = api.get("/freezes").json()
    assert listed["items"][0]["passed"][0]["subject"] == f"release:{made}"
    assert [window["open"] for window in listed["windows"]] == [False]


@long
def test_the_line_is_stopped_at_once_and_only_somebody_else_starts_it_again(
    shop: Shop, api: ApiClient
) -> None:
    release = make_release(shop, at="approved")
    lead, director = ApiClient(shop.cast.team_lead), ApiClient(shop.cast.director)
    answer = lead.post("/freezes", {"kind": "stop", "reason": "Payments are lost", "scope": "team:commerce"})
    assert answer.status_code == 201, answer.json()
    stop = answer.json()["id"]
    problem = api.post(f"/releases/{release.number}/start").json()
    assert (problem["code"], problem["missing"][0]["until"]) == ("frozen", None)
    assert "Director" in problem["missing"][0]["text"]
    assert "Lead" not in problem["missing"][0]["text"]
    assert lead.send("DELETE", f"/freezes/{stop}", {"reason": "It was me"}).status_code == 403
    assert api.send("DELETE", f"/freezes/{stop}", {"reason": "It looks fine"}).status_code == 403
    assert director.send("DELETE", f"/freezes/{stop}", {"reason": ""}).status_code == 422
    assert director.send("DELETE", f"/freezes/{stop}", {"reason": "Repaired"}).status_code == 200
    assert director.send("DELETE", f"/freezes/{stop}", {"reason": "Repaired"}).status_code == 409
    assert api.post(f"/releases/{release.number}/start").status_code in {200, 201, 202}
    actions = AuditEntry.objects.filter(subject_kind="freeze").order_by("id").values_list("action", flat=True)
    refused = "freeze.refused"
    assert list(actions) == ["freeze.stopped", refused, refused, "freeze.lifted", refused]
    told = Message.objects.filter(key__startswith=f"freeze.{stop}.").values_list("key", flat=True)
    assert {f"freeze.{stop}.freeze.stopped:author", f"freeze.{stop}.freeze.lifted:author"} <= set(told)


def test_the_line_is_stopped_once_in_a_place(shop: Shop) -> None:
    calendar.stop_line(actor=acting(shop.cast.director), reason="a")
    with pytest.raises(Conflict):
        calendar.stop_line(actor=acting(shop.cast.administrator), reason="b")


# Wide: everybody who stands near. Narrow: who approves, and answers for the whole place.
ADD = {"director", "administrator", "author", "team_lead"}
MAY: dict[tuple[str, str], set[str]] = {
    ("stop", "*"): {"director", "administrator", "qa"},
    ("add", "*"): {"director", "administrator"},
    ("lift", "*"): {"director", "administrator"},
    ("stop", "environment:shop-production"): ADD | {"qa", "pl", "infra_senior"},
    ("add", "environment:shop-production"): ADD,
    ("lift", "environment:shop-production"): {"director", "administrator"},
    ("stop", "team:commerce"): ADD | {"qa", "pl"},
    ("add", "team:commerce"): ADD,
    ("lift", "team:commerce"): {"director", "administrator", "team_lead"},
    ("stop", "service:shopping-service"): ADD | {"qa", "pl"},
    ("add", "service:shopping-service"): ADD,
    ("lift", "service:shopping-service"): {"director", "administrator", "team_lead"},
}
EVERYBODY = (
    "author",
    "pl",
    "team_lead",
    "infra_senior",
    "director",
    "qa",
    "auditor",
    "administrator",
    "outsider",
)


@long
def test_stopping_is_wide_and_lifting_is_narrow(shop: Shop) -> None:
    assert {key: _through(shop, *key) for key in MAY} == MAY


def _through(shop: Shop, act: str, scope: str) -> set[str]:
    """Who gets through with an act; what they did is undone."""
    from django.db import transaction  # noqa: PLC0415

    through = set()
    for who in EVERYBODY:
        with transaction.atomic():
            if _gets_through(shop, act, scope, getattr(shop.cast, who)):
                through.add(who)
            transaction.set_rollback(True)
    return through


def _gets_through(shop: Shop, act: str, scope: str, user: User) -> bool:
    try:
        if act == "add":
            freeze(shop, scope=scope, by=user)
        elif act == "stop":
            calendar.stop_line(actor=acting(user), reason="x", scope=scope)
        else:
            other = shop.cast.director if user != shop.cast.director else shop.cast.administrator
            held = calendar.stop_line(actor=acting(other), reason="x", scope=scope)
            calendar.lift_freeze(held.pk, actor=acting(user), reason="y")
    except NotAllowed:
        return False
    return True


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"reason": " "}, "reason"),
        ({"name": ""}, "name"),
        ({"scope": "team:nobody"}, "scope"),
        ({"scope": "cluster_group:production"}, "scope"),
        ({"zone": "Mars/Olympus"}, "zone"),
        ({"starts": "2020-01-01T00:00:00+09:00"}, "starts"),
        ({"ends": "2020-01-01T00:00:00+09:00"}, "ends"),
        ({"ends": None}, "ends"),
        ({"kind": "stop"}, "ends"),
    ],
)
def test_a_freeze_that_makes_no_sense_is_refused_by_field(
    shop: Shop, change: dict[str, Any], field: str
) -> None:
    now = clock.now()
    times = {"starts": (now + DAY).isoformat(), "ends": (now + 2 * DAY).isoformat()}
    body = {"name": "Year end", "reason": "Books", "scope": "*", **times, **change}
    answer = ApiClient(shop.cast.director).post("/freezes", body)
    assert answer.status_code == 422
    assert field in {entry["field"] for entry in answer.json()["missing"]}
    assert not Freeze.objects.exists()


def test_a_freeze_of_what_nobody_may_see_is_not_there_for_them(shop: Shop) -> None:
    from releases.catalog import rights  # noqa: PLC0415

    shop.environment.spec = {"visibility": "private"}
    shop.environment.save()
    rights.grant()
    held = freeze(shop, scope="environment:shop-production")
    outsider = ApiClient(shop.cast.outsider)
    assert outsider.get("/freezes").json() == {"items": [], "next": None, "windows": []}
    answer = outsider.send("DELETE", f"/freezes/{held.pk}", {"reason": "x"})
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@long
def test_a_superseded_release_says_so_before_any_freeze(shop: Shop, api: ApiClient) -> None:
    release = make_release(shop, at="approved")
    freeze(shop)
    Release.objects.filter(pk=release.pk).update(state="superseded")
    assert api.post(f"/releases/{release.number}/start").json()["code"] == "superseded"
    with pytest.raises(Conflict):
        rollouts.start_rollout(release.number, actor=acting(shop.cast.author))
