"""What the API refuses on any route: unknown parameters and bodies, odd times, talk of hidden things."""

import json
from typing import Any

import pytest

from releases.models import Release
from tests.factories import Shop, make_release
from tests.people import Cast
from tests.portal.api import ApiClient
from tests.soak import long

PROMISED = {"type", "title", "status", "code", "detail", "missing"}


def refused(answer: Any) -> tuple[int, str, set[str]]:
    """Status, code and the fields that a problem names."""
    body: dict[str, Any] = json.loads(answer.content)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert set(body) == PROMISED
    return answer.status_code, body["code"], {entry.get("field", "") for entry in body["missing"]}


@pytest.mark.parametrize("path", ["/me?a=1", "/people?limit=2&a=1", "/audit?a=1&person=x", "/board?a=1"])
def test_an_unknown_parameter_is_named(cast: Cast, path: str) -> None:
    assert refused(ApiClient(cast.administrator).get(path)) == (422, "invalid", {"a"})


def test_every_known_parameter_is_taken(cast: Cast) -> None:
    client = ApiClient(cast.administrator)
    path = "/audit?limit=1&person=x&service=x&release=1&action=x&subject=x"
    when = "2026-01-08T14:00:00%2B09:00"
    assert client.get(f"{path}&from={when}&to={when}").status_code == 200


def test_a_stranger_is_asked_to_sign_in_before_parameters_are_read() -> None:
    assert refused(ApiClient(None).get("/me?a=1")) == (401, "unauthenticated", set())


@pytest.mark.parametrize("act", ["submit", "duplicate", "start", "announce", "close"])
def test_an_act_without_a_body_refuses_one(shop: Shop, act: str) -> None:
    release = make_release(shop)
    client = ApiClient(shop.cast.author)
    answer = client.post(f"/releases/{release.number}/{act}", {"state": "approved"})
    assert refused(answer) == (422, "invalid", {"state"})
    answer = client.post(f"/releases/{release.number}/{act}", b"[" * 50_000)
    assert refused(answer) == (400, "malformed", set())
    release.refresh_from_db()
    assert (release.state, Release.objects.count()) == ("draft", 1)


@long
def test_an_empty_object_is_no_body(shop: Shop) -> None:
    release = make_release(shop)
    answer = ApiClient(shop.cast.author).post(f"/releases/{release.number}/submit", {})
    assert (answer.status_code, answer.json()["state"]) == (200, "in_review")


@pytest.mark.parametrize(
    "when",
    [
        "9999-12-31T23:59:59-23:59",
        "0001-01-01T00:00:00+23:59",
        "2026-01-08",
        "2026-01-08T14:00:00",
        "1767848400",
        1767848400,
        1e300,
        "tomorrow",
    ],
)
def test_a_time_is_rfc_3339_with_its_zone_and_within_reach(shop: Shop, when: object) -> None:
    client = ApiClient(shop.cast.author)
    answer = client.post("/releases", {**shop.data(), "target_at": when})
    assert refused(answer) == (422, "invalid", {"target_at"})
    assert Release.objects.count() == 0


@pytest.mark.parametrize("name", ["from", "to"])
def test_the_ends_of_the_calendar_are_no_search(cast: Cast, name: str) -> None:
    client = ApiClient(cast.administrator)
    for when in ("9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00%2B23:59"):
        assert refused(client.get(f"/audit?{name}={when}")) == (422, "invalid", {name})


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/releases/999/decisions"),
        ("POST", "/releases/999/submit"),
        ("PATCH", "/releases/999"),
        ("POST", "/rollouts/999/pause"),
        ("POST", "/rollouts/999/signoff"),
        ("GET", "/rollouts/999/events?after=-1"),
        ("PATCH", "/people/nobody-here"),
    ],
)
def test_what_is_not_there_is_not_found_whatever_was_sent(shop: Shop, method: str, path: str) -> None:
    body = None if method == "GET" else {"bogus": 1}
    answer = ApiClient(shop.cast.administrator).send(method, path, body)
    assert refused(answer) == (404, "not_found", set())


HOURS = {"days": ["mon"], "from": "09:00", "to": "18:00", "zone": "Asia/Seoul", "reason": "a"}


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PATCH", "/freezes/999", {"reason": "a"}),
        ("DELETE", "/freezes/999", {"reason": "a"}),
        ("PUT", "/windows/999", HOURS),
        ("DELETE", "/windows/999", {"reason": "a"}),
    ],
)
def test_what_is_not_there_is_not_found_by_what_would_fit(
    shop: Shop, method: str, path: str, body: dict[str, object]
) -> None:
    answer = ApiClient(shop.cast.administrator).send(method, path, body)
    assert refused(answer) == (404, "not_found", set())


@long
@pytest.mark.parametrize("words", ["a\u0007b", "\u001b[31m", "x" * 5000])
def test_words_beside_an_act_hold_nothing_that_a_terminal_would_obey(shop: Shop, words: str) -> None:
    release = make_release(shop, at="in_review")
    answer = ApiClient(shop.cast.author).post(f"/releases/{release.number}/withdraw", {"reason": words})
    assert refused(answer) == (422, "invalid", {"reason"})
    body = {"verdict": "send_back", "content_digest": release.content_digest, "reason": words}
    answer = ApiClient(shop.cast.pl).post(f"/releases/{release.number}/decisions", body)
    assert refused(answer) == (422, "invalid", {"reason"})
    release.refresh_from_db()
    assert release.state == "in_review"
