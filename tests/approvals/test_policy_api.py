"""The policy through the API: what is in force, changes of it, and signatures."""

from typing import Any

import pytest

from portal.people.models import User
from tests.factories import Shop
from tests.factories import policy_table as example
from tests.people import person
from tests.portal.api import ApiClient
from tests.soak import long


@pytest.fixture
def second(shop: Shop) -> User:
    """Another director beside the cast's."""
    return person("second", ("director", "*"))


@long
def test_a_change_is_proposed_signed_and_in_force(shop: Shop, second: User) -> None:
    admin = ApiClient(shop.cast.administrator)
    now = admin.get("/policy").json()
    assert (now["version"], now["open_proposal"], set(now["table"])) == (1, None, set("ABCDE"))
    body = {"grades": example(B={"deadlineHours": 24}), "note": "Faster.", "base": 1}
    answer = admin.post("/policy/proposals", body)
    made = answer.json()
    assert (answer.status_code, made["state"], made["requirements"][0]["count"]) == (201, "open", 2)
    assert admin.get("/policy").json()["open_proposal"] == made["number"]
    place = f"/policy/proposals/{made['number']}"
    yes = {"verdict": "approve", "content_digest": made["content_digest"]}
    first = ApiClient(second).post(f"{place}/decisions", yes).json()
    assert (first["state"], first["person"]) == ("open", "second")
    assert ApiClient(second).send("DELETE", f"{place}/decisions/{first['id']}").json()["revoked_at"]
    assert ApiClient(second).post(f"{place}/decisions", yes).status_code == 201
    last = ApiClient(shop.cast.director).post(f"{place}/decisions", yes)
    assert (last.status_code, last.json()["state"]) == (201, "accepted")
    assert [each["version"] for each in admin.get("/policy/versions").json()["items"]] == [2, 1]
    shown = admin.get(place).json()
    assert (shown["became"], shown["decisions"][0]["verdict"]) == (2, "approve")
    assert [row["state"] for row in admin.get("/policy/proposals").json()["items"]] == ["accepted"]


def code(answer: Any) -> tuple[int, str]:
    """Status and code of a refusal."""
    return answer.status_code, answer.json()["code"]


@long
def test_refusals_have_their_codes(shop: Shop, second: User) -> None:
    admin, director = ApiClient(shop.cast.administrator), ApiClient(shop.cast.director)
    body = {"grades": example(B={"deadlineHours": 24}), "note": "Faster."}
    assert code(director.post("/policy/proposals", body)) == (403, "not_entitled")
    assert code(admin.post("/policy/proposals", {**body, "note": ""})) == (422, "invalid")
    assert code(admin.post("/policy/proposals", {**body, "base": 7})) == (409, "stale_digest")
    assert code(admin.post("/policy/proposals", {**body, "grades": example()})) == (409, "no_change")
    assert code(admin.post("/policy/proposals", {**body, "bogus": 1})) == (422, "invalid")
    made = admin.post("/policy/proposals", body).json()
    assert code(admin.post("/policy/proposals", body)) == (409, "proposal_open")
    place = f"/policy/proposals/{made['number']}/decisions"
    yes = {"verdict": "approve", "content_digest": made["content_digest"]}
    assert code(admin.post(place, yes)) == (403, "self_approval")
    assert code(director.post(place, {**yes, "verdict": "send_back"})) == (422, "invalid")
    assert code(director.post(place, {**yes, "verdict": "veto", "reason": "x"})) == (422, "invalid")
    assert code(director.post(place, {**yes, "content_digest": "sha256:0"})) == (409, "stale_digest")
    assert code(director.post("/policy/proposals/999/decisions", {"bogus": 1})) == (404, "not_found")
    assert code(director.post(f"/policy/proposals/{made['number']}/withdraw")) == (403, "not_entitled")
    assert admin.post(f"/policy/proposals/{made['number']}/withdraw").json()["state"] == "withdrawn"


@long
def test_the_inbox_lists_what_waits_for_a_signature(shop: Shop, second: User) -> None:
    body = {"grades": example(B={"deadlineHours": 24}), "note": "Faster."}
    made = ApiClient(shop.cast.administrator).post("/policy/proposals", body).json()
    signer = ApiClient(second)
    (row,) = signer.get("/inbox").json()["items"]
    assert (row["kind"], row["proposal"], row["release"]) == ("proposal", made["number"], None)
    assert (row["title"], row["author"], row["state"]) == ("Faster.", "administrator", "open")
    place = f"/policy/proposals/{made['number']}/decisions"
    verdict = {"content_digest": made["content_digest"], "reason": "Too fast."}
    objection = ApiClient(shop.cast.pl).post(place, {**verdict, "verdict": "object"}).json()
    answered = signer.post(f"{place}/{objection['id']}/answer", {"answer": "Fast enough."}).json()
    assert (answered["answer"], answered["answered_by"]) == ("Fast enough.", "second")
    sent_back = signer.post(place, {**verdict, "verdict": "send_back"}).json()
    assert sent_back["state"] == "sent_back"
    assert signer.get("/inbox").json()["items"] == []
