"""The routes of releases: shapes that programs rely on, and the same refusals as everywhere."""

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django import DjangoAssertNumQueries

from releases.models import Release
from tests.factories import Shop, decide, make_checklist, make_release, runs
from tests.portal.api import ApiClient
from tests.soak import long

OTHER = "sha256:" + "0" * 64


class Door:
    """Somebody of the cast with a token of every scope they have rights for; answers status and body."""

    def __init__(self, shop: Shop, name: str) -> None:
        self.api = ApiClient(getattr(shop.cast, name))

    def ask(self, method: str, path: str, body: Any = None, *, if_match: str = "") -> tuple[int, Any]:
        """Send one request."""
        headers = {"If_Match": f'"{if_match}"'} if if_match else {}
        answer = self.api.send(method, path, body, **headers)
        return answer.status_code, answer.json()

    def get(self, path: str) -> tuple[int, Any]:
        """Read."""
        return self.ask("GET", path)

    def post(self, path: str, body: Any = None) -> tuple[int, Any]:
        """Write."""
        return self.ask("POST", path, body)

    def patch(self, path: str, body: Any, *, if_match: str = "") -> tuple[int, Any]:
        """Change."""
        return self.ask("PATCH", path, body, if_match=if_match)


def client(shop: Shop, name: str = "author") -> Door:
    """The door of one person."""
    return Door(shop, name)


def test_a_composed_release_answers_in_the_promised_shape(shop: Shop) -> None:
    runs(shop.shopping, shop.environment, "2.7.4")
    body = {
        **shop.data(facts={"database_change": True}),
        "grade": None,
        "grade_reason": "",
        "incident": None,
        "target_at": None,
        "plan": None,
    }
    status, answer = client(shop).post("/releases", body)
    assert status == 201
    assert (answer["state"], answer["grade"], answer["author"]) == ("draft", "D", "author")
    assert answer["proposed_grade"]["grade"] == "D"
    reason = answer["proposed_grade"]["reasons"][0]
    assert (reason["fact"], reason["service"]) == ("database_change", "shopping-service")
    assert reason["text"]
    assert answer["contributors"] == ["author"]
    assert answer["policy_version"] == shop.policy.version
    (item,) = answer["items"]
    assert item["image"].startswith("registry.practice/shop/shopping-service@sha256:")
    assert item["running"]["version"] == "2.7.4"
    row = answer["requirements"][0]
    assert (row["phase"], row["role"], row["scope"], row["count"]) == ("review", "team_lead", "commerce", 1)
    assert (row["met"], row["met_by"], row["candidates"], row["because"]) == (
        False,
        [],
        1,
        "shopping-service",
    )
    assert answer["decisions"] == []
    assert answer["rollouts"] == []
    assert answer["created_at"].endswith(("Z", "+00:00", "+09:00"))
    assert client(shop).get(f"/releases/{answer['number']}") == (200, answer)


@long
def test_a_release_is_submitted_decided_and_taken_back_over_the_api(shop: Shop) -> None:
    release = make_release(shop)
    status, answer = client(shop).post(f"/releases/{release.number}/submit")
    assert (status, answer["state"]) == (200, "in_review")
    verdict = {"verdict": "approve", "content_digest": answer["content_digest"], "reason": "", "for": None}
    status, decision = client(shop, "pl").post(f"/releases/{release.number}/decisions", verdict)
    assert status == 201
    assert (decision["by"], decision["for"], decision["state"]) == ("pl", None, "approved")
    _status, answer = client(shop).get(f"/releases/{release.number}")
    assert answer["requirements"][0]["met_by"] == ["pl"]
    assert answer["decisions"][0]["for"] is None
    status, taken = client(shop, "pl").ask("DELETE", f"/releases/{release.number}/decisions/{decision['id']}")
    assert (status, taken["state"]) == (200, "in_review")
    assert taken["revoked_at"]


REFUSED: list[tuple[str, dict[str, Any], int, str]] = [
    ("author", {"verdict": "approve"}, 403, "self_approval"),
    ("outsider", {"verdict": "approve"}, 403, "not_entitled"),
    ("auditor", {"verdict": "approve"}, 403, "not_entitled"),
    ("pl", {"verdict": "approve", "content_digest": OTHER}, 409, "stale_digest"),
    ("pl", {"verdict": "reject"}, 422, "invalid"),
    ("pl", {"verdict": "maybe"}, 422, "invalid"),
    ("pl", {"verdict": "approve", "person": "team_lead"}, 422, "invalid"),
    ("pl", {"verdict": "approve", "for": "team_lead"}, 403, "not_entitled"),
]


@long
def test_refusals_of_a_decision_are_problems_with_stable_codes(shop: Shop) -> None:
    release = make_release(shop, at="in_review")
    for name, verdict, status, code in REFUSED:
        body = {"content_digest": release.content_digest, **verdict}
        answered, problem = client(shop, name).post(f"/releases/{release.number}/decisions", body)
        assert (answered, problem["code"], problem["status"]) == (status, code, status), verdict
    release.refresh_from_db()
    assert release.state == "in_review"


def test_what_is_missing_for_a_submission_is_listed(shop: Shop) -> None:
    release = make_release(shop, grade="A")
    status, problem = client(shop).post(f"/releases/{release.number}/submit")
    assert (status, problem["code"]) == (422, "invalid")
    assert [entry["field"] for entry in problem["missing"]] == ["grade_reason"]


@pytest.mark.parametrize(
    "field", ["state", "author", "content_digest", "approved_at", "number", "approval_request"]
)
def test_fields_that_nobody_may_set_are_refused(shop: Shop, field: str) -> None:
    status, problem = client(shop).post("/releases", {**shop.data(), field: "approved"})
    assert (status, problem["code"]) == (422, "invalid")
    assert [entry["field"] for entry in problem["missing"]] == [field]
    release = make_release(shop)
    path, match = f"/releases/{release.number}", release.content_digest
    status, _problem = client(shop).patch(path, {field: "approved"}, if_match=match)
    assert status == 422


@long
def test_an_edit_needs_the_digest_it_began_from(shop: Shop) -> None:
    release = make_release(shop)
    path = f"/releases/{release.number}"
    body: dict[str, Any] = {"changes": []}
    assert client(shop).patch(path, body)[0] == 428
    status, problem = client(shop).patch(path, body, if_match=OTHER)
    assert (status, problem["code"]) == (409, "stale_digest")
    status, answer = client(shop).patch(path, body, if_match=release.content_digest)
    assert (status, answer["changes"]) == (200, [])
    assert answer["content_digest"] != release.content_digest


@long
def test_lists_are_filtered_and_paged(shop: Shop) -> None:
    first = make_release(shop, at="in_review")
    second = make_release(shop, title="결제")
    _status, answer = client(shop).get("/releases?limit=1")
    assert [row["number"] for row in answer["items"]] == [second.number]
    _status, answer = client(shop).get(f"/releases?limit=1&cursor={answer['next']}")
    assert ([row["number"] for row in answer["items"]], answer["next"]) == ([first.number], None)
    for query, found in (
        ("state=in_review", [first]),
        ("q=결제", [second]),
        (f"q={first.number}", [first]),
        ("service=auth-service", []),
        ("environment=shop-production&grade=B&author=author", [second, first]),
    ):
        _status, answer = client(shop).get(f"/releases?{query}")
        assert [row["number"] for row in answer["items"]] == [release.number for release in found]


@long
def test_the_checklist_is_read_and_answered(shop: Shop) -> None:
    make_checklist({"phase": "before", "text": "시험 통과", "role": "qa"})
    release = make_release(shop, at="in_review")
    _status, answer = client(shop).get(f"/releases/{release.number}/checklist")
    (item,) = answer["items"]
    assert item == {
        "id": item["id"],
        "phase": "before",
        "text": "시험 통과",
        "role": "qa",
        "kind": "person",
        "required": True,
        "result": None,
        "evidence": None,
        "by": None,
        "at": None,
    }
    _status, detail = client(shop).get(f"/releases/{release.number}")
    assert detail["open_points"] == [f"checklist.before.{item['id']}"]
    path = f"/releases/{release.number}/checklist/{item['id']}"
    assert client(shop).post(path, {"result": "done"})[1]["code"] == "not_entitled"
    status, ticked = client(shop, "qa").post(path, {"result": "done", "evidence": "run 42"})
    assert (status, ticked["result"], ticked["evidence"], ticked["by"]) == (200, "done", "run 42", "qa")


@long
def test_the_inbox_says_what_waits_for_whom(shop: Shop) -> None:
    release = make_release(shop, at="in_review")
    _status, answer = client(shop, "pl").get("/inbox")
    (row,) = answer["items"]
    assert (row["kind"], row["phase"], row["release"], row["grade"]) == (
        "decision",
        "review",
        release.number,
        "B",
    )
    assert row["deadline_at"]
    assert client(shop, "outsider").get("/inbox")[1]["items"] == []
    decide(release, shop.cast.pl)
    assert client(shop, "pl").get("/inbox")[1]["items"] == []
    (own,) = client(shop).get("/inbox")[1]["items"]
    assert (own["kind"], own["state"]) == ("own", "approved")


@long
def test_a_list_takes_the_same_number_of_queries_for_one_and_for_many(
    shop: Shop, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    door = client(shop)
    make_release(shop)
    with CaptureQueriesContext(connection) as few:
        assert len(door.get("/releases")[1]["items"]) == 1
    for _number in range(4):
        make_release(shop)
    with django_assert_max_num_queries(len(few)):
        assert len(door.get("/releases")[1]["items"]) == 5


@pytest.mark.parametrize("act", ["submit", "withdraw", "duplicate", "announce", "close", "decisions"])
def test_a_release_that_is_not_there_is_not_found(shop: Shop, act: str) -> None:
    body = {"verdict": "approve", "content_digest": OTHER} if act == "decisions" else None
    status, problem = client(shop).post(f"/releases/999999/{act}", body)
    assert (status, problem["code"]) == (404, "not_found")
    assert client(shop).get("/releases/99999999999999999999999")[0] == 404


@long
def test_an_auditor_reads_and_changes_nothing(shop: Shop) -> None:
    release = make_release(shop, at="in_review")
    auditor = client(shop, "auditor")
    assert auditor.get(f"/releases/{release.number}")[0] == 200
    for act in ("withdraw", "duplicate", "submit"):
        assert auditor.post(f"/releases/{release.number}/{act}")[0] == 403
    objection = {"verdict": "object", "reason": "hm", "content_digest": release.content_digest}
    assert auditor.post(f"/releases/{release.number}/decisions", objection)[0] == 403
    assert Release.objects.count() == 1


@long
def test_a_search_means_the_same_as_on_the_page(shop: Shop) -> None:
    first = make_release(shop, title="One")
    second = make_release(shop, title="Two", items=[{"service": "auth-service", "version": "9.9"}])
    found = {
        words: [row["number"] for row in client(shop).get(f"/releases?q={words}")[1]["items"]]
        for words in (f"%23{first.number}", "two", "auth-service", "9.9", "9" * 40)
    }
    assert list(found.values()) == [[first.number], [second.number], [second.number], [second.number], []]
