"""The API's shell: who asks, what is refused and how, repeated writes."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connections
from django.test import Client

from portal.api.models import IdempotencyKey
from portal.audit.models import AuditEntry
from portal.people.models import Team, User
from portal.people.operations import deactivate_person
from tests.factories import Shop
from tests.people import BY_THE_PORTAL, Cast, person
from tests.portal.api import BASE, ApiClient
from tests.soak import long

NEW = {"username": "newcomer", "name": "새 사람"}


def problem(answer: Any) -> dict[str, Any]:
    assert answer.headers["Content-Type"] == "application/problem+json"
    body: dict[str, Any] = json.loads(answer.content)
    assert set(body) == {"type", "title", "status", "code", "detail", "missing"}
    assert body["status"] == answer.status_code
    return body


@pytest.mark.django_db
@pytest.mark.parametrize("secret", ["", "rp_000000000000_aaaaaaaaaaaaaaaaaaaaaaaa", "nonsense"])
def test_a_stranger_is_asked_to_sign_in(secret: str) -> None:
    answer = ApiClient(None, secret=secret).get("/me")
    assert problem(answer)["code"] == "unauthenticated"
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_me_says_who_asks_and_how_far_the_token_reaches(cast: Cast) -> None:
    body = json.loads(ApiClient(cast.author).get("/me").content)
    assert body["username"] == "author"
    assert body["roles"] == [{"role": "release_manager", "scope": "team:commerce"}]
    assert body["teams"] == ["commerce"]
    assert body["scopes"] == ["read", "compose", "operate", "decide"]


@long
def test_a_session_reads_and_writes_only_with_its_csrf_token(cast: Cast) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(cast.administrator)
    assert client.get(BASE + "/me").status_code == 200
    answer = client.post(BASE + "/people", NEW, content_type="application/json")
    assert problem(answer)["code"] == "csrf"
    client.get("/me/")
    token = client.cookies["csrf"].value
    answer = client.post(
        BASE + "/people", NEW, content_type="application/json", headers={"X-CSRFToken": token}
    )
    assert answer.status_code == 201


def test_a_token_dies_with_its_account(cast: Cast) -> None:
    client = ApiClient(cast.author)
    assert client.get("/me").status_code == 200
    deactivate_person("author", actor=BY_THE_PORTAL)
    assert problem(client.get("/me"))["code"] == "unauthenticated"


def test_unknown_addresses_and_methods_are_problems(cast: Cast) -> None:
    client = ApiClient(cast.author)
    assert problem(client.get("/nothing-here"))["code"] == "not_found"
    answer = client.send("DELETE", "/me")
    assert problem(answer)["code"] == "method_not_allowed"
    assert answer.headers["Allow"] == "GET, HEAD"


@long
@pytest.mark.parametrize("path", ["/me", "/people", "/people/author", "/openapi.json"])
def test_head_answers_like_get_without_a_body(cast: Cast, path: str) -> None:
    client = ApiClient(cast.author)
    whole, bare = client.get(path), client.send("HEAD", path)
    assert (bare.status_code, bare.content) == (200, b"")
    assert bare.headers["Content-Type"] == whole.headers["Content-Type"]
    assert bare.headers["Content-Length"] == str(len(whole.content))


def test_head_says_what_get_would_refuse(cast: Cast) -> None:
    assert ApiClient(None).send("HEAD", "/me").status_code == 401
    assert ApiClient(cast.author).send("HEAD", "/people/nobody-here").status_code == 404
    assert ApiClient(cast.administrator).send("HEAD", "/releases/1/start").status_code == 405
    assert ApiClient(cast.author).send("HEAD", "/audit/export").status_code == 403
    assert ApiClient(cast.auditor).send("HEAD", "/audit/export").status_code == 200


def test_a_foreign_host_name_is_a_problem_here_and_a_page_elsewhere(cast: Cast) -> None:
    answer = ApiClient(cast.author).get("/me", Host="evil.example")
    assert (problem(answer)["code"], answer.status_code) == ("wrong_host", 400)
    page = Client().get("/", headers={"Host": "evil.example"})
    assert (page.status_code, page.headers["Content-Type"]) == (400, "text/html; charset=utf-8")


def test_every_wrong_and_unknown_field_is_named_at_once(cast: Cast) -> None:
    answer = ApiClient(cast.administrator).post(
        "/people", {"username": 7, "boss": True, "is_superuser": True}
    )
    body = problem(answer)
    assert (body["status"], body["code"]) == (422, "invalid")
    assert {entry["field"] for entry in body["missing"]} == {"username", "name", "boss", "is_superuser"}


@pytest.mark.parametrize(
    "sent",
    [
        b"{",
        b"nonsense",
        b'{"username": NaN}',
        b'{"username": "a", "username": "b"}',
        b'{"username": "a\\u0000b", "name": "x"}',
        b'{"username": "a\\ud800", "name": "x"}',
        b"\xff\xfe",
        b"[" * 50_000,
    ],
)
def test_what_is_not_clean_json_is_malformed(cast: Cast, sent: bytes) -> None:
    answer = ApiClient(cast.administrator).post("/people", sent)
    assert (problem(answer)["status"], problem(answer)["code"]) == (400, "malformed")


def test_a_body_over_a_megabyte_is_refused_unparsed(cast: Cast) -> None:
    answer = ApiClient(cast.administrator).post("/people", b"[" * 10_000_000)
    assert problem(answer)["code"] == "too_large"
    assert answer.status_code == 413


def test_json_sent_as_something_else_is_refused(cast: Cast) -> None:
    client = ApiClient(cast.administrator)
    answer = client.client.post(
        BASE + "/people",
        json.dumps(NEW),
        content_type="text/plain",
        headers={"Authorization": f"Bearer {client.secret}"},
    )
    assert problem(answer)["code"] == "unsupported_media_type"
    assert not User.objects.filter(username="newcomer").exists()


def test_a_token_without_the_scope_is_refused(cast: Cast) -> None:
    answer = ApiClient(cast.author).post("/people", NEW)
    assert (answer.status_code, problem(answer)["code"]) == (403, "not_entitled")


def test_an_auditor_is_refused_every_write(cast: Cast) -> None:
    answer = ApiClient(cast.auditor).post("/people", NEW)
    assert (answer.status_code, problem(answer)["code"]) == (403, "not_entitled")


def test_zero_bytes_in_addresses_are_not_found(cast: Cast) -> None:
    client = ApiClient(cast.administrator)
    assert client.get("/people/a%00b").status_code == 404
    assert client.get("/audit?person=a%00b").status_code == 404


@pytest.mark.django_db(transaction=True)
class TestRepeatedWrites:
    """`Idempotency-Key`."""

    def test_the_same_request_is_answered_again_and_done_once(self) -> None:
        client = ApiClient(person("boss", ("administrator", "*")))
        first = client.post("/people", NEW, Idempotency_Key="k1")
        again = client.post("/people", NEW, Idempotency_Key="k1")
        assert (first.status_code, first.content) == (again.status_code, again.content)
        assert again.headers["Idempotency-Replayed"] == "true"
        assert AuditEntry.objects.filter(action="person.created", subject="newcomer").count() == 1

    def test_another_request_under_the_key_is_a_conflict(self) -> None:
        client = ApiClient(person("boss", ("administrator", "*")))
        client.post("/people", NEW, Idempotency_Key="k1")
        other = client.post("/people", {**NEW, "username": "second"}, Idempotency_Key="k1")
        assert (other.status_code, problem(other)["code"]) == (409, "idempotency_key_reused")
        assert not User.objects.filter(username="second").exists()

    def test_a_refusal_is_not_kept(self) -> None:
        client = ApiClient(person("boss", ("administrator", "*")))
        assert client.post("/people", {"username": "x"}, Idempotency_Key="k1").status_code == 422
        assert client.post("/people", NEW, Idempotency_Key="k1").status_code == 201

    def test_keys_of_two_people_are_two_keys(self) -> None:
        one = ApiClient(person("boss", ("administrator", "*")))
        two = ApiClient(person("chief", ("administrator", "*")))
        assert one.post("/people", NEW, Idempotency_Key="k").status_code == 201
        assert two.post("/people", {**NEW, "username": "second"}, Idempotency_Key="k").status_code == 201

    def test_ten_at_once_act_once(self) -> None:
        client = ApiClient(person("boss", ("administrator", "*")))

        def send(_number: int) -> int:
            try:
                return int(client.post("/people", NEW, Idempotency_Key="k1").status_code)
            finally:
                connections.close_all()

        with ThreadPoolExecutor(10) as pool:
            codes = list(pool.map(send, range(10)))
        assert 201 in codes
        assert set(codes) <= {201, 409}
        assert IdempotencyKey.objects.count() == 1
        assert AuditEntry.objects.filter(action="person.created", subject="newcomer").count() == 1


def test_lists_come_in_pages_that_hold_still(cast: Cast) -> None:
    client = ApiClient(cast.author)
    seen: list[str] = []
    path = "/people?limit=4"
    while path:
        body = json.loads(client.get(path).content)
        seen += [entry["username"] for entry in body["items"]]
        if len(seen) == 4:
            person("aaa-before-everyone")
        path = f"/people?limit=4&cursor={body['next']}" if body["next"] else ""
    assert seen == sorted(vars(cast)[name].username for name in vars(cast))


@pytest.mark.parametrize("query", ["limit=0", "limit=201", "limit=many", "cursor=nonsense", "cursor=NQ"])
def test_a_wrong_page_is_refused(cast: Cast, query: str) -> None:
    assert problem(ApiClient(cast.author).get(f"/people?{query}"))["code"] == "invalid"


@long
def test_the_document_names_every_refusal(cast: Cast) -> None:
    document = json.loads(Client().get(BASE + "/openapi.json").content)
    assert document["openapi"].startswith("3.1")
    for path in document["paths"].values():
        for operation in path.values():
            assert "application/problem+json" in operation["responses"]["default"]["content"]


def test_addresses_of_mail_are_for_those_concerned(cast: Cast) -> None:
    User.objects.update(email="x@example.com")
    outsider = json.loads(ApiClient(cast.outsider).get("/people").content)
    assert {entry["username"] for entry in outsider["items"] if entry["email"]} == {"outsider"}
    assert all(
        entry["email"] for entry in json.loads(ApiClient(cast.auditor).get("/people").content)["items"]
    )


def test_an_administrator_manages_people(cast: Cast) -> None:
    client = ApiClient(cast.administrator)
    assert client.post("/people", NEW).status_code == 201
    Team.objects.create(key="commerce", title="Commerce")
    roles = [{"role": "team_lead", "scope": "team:commerce"}]
    assert json.loads(client.send("PUT", "/people/newcomer/roles", roles).content)["items"] == roles
    assert client.send("PATCH", "/people/newcomer", {"name": "다른 이름"}).status_code == 200
    assert json.loads(client.get("/people/newcomer").content)["name"] == "다른 이름"
    closed = client.send("PATCH", "/people/newcomer", {"active": False, "reason": "left"})
    assert json.loads(closed.content)["active"] is False
    assert json.loads(client.get("/people/newcomer/roles").content) == {"items": [], "next": None}


@pytest.mark.parametrize(
    "scope", ["service:no-such", "team:no-such", "environment:no-such", "cluster_group:no-such"]
)
def test_a_role_over_what_is_not_there_is_refused(shop: Shop, scope: str) -> None:
    client = ApiClient(shop.cast.administrator)
    held = [{"role": "team_lead", "scope": "team:commerce"}]
    answer = client.send("PUT", "/people/lead/roles", [*held, {"role": "pl", "scope": scope}])
    body = problem(answer)
    assert (body["status"], [entry["field"] for entry in body["missing"]]) == (422, ["roles"])
    assert scope in body["missing"][0]["text"]
    assert json.loads(client.get("/people/lead/roles").content)["items"] == held


def test_roles_over_everything_the_catalog_knows_are_granted(shop: Shop) -> None:
    names = (
        "service:auth-service",
        "team:identity",
        "environment:shop-production",
        "cluster_group:production",
    )
    roles = [{"role": "qa", "scope": scope} for scope in sorted(names)]
    answer = ApiClient(shop.cast.administrator).send("PUT", "/people/outsider/roles", roles)
    assert json.loads(answer.content)["items"] == roles


def test_a_role_whose_service_is_gone_may_stay_beside_a_new_one(shop: Shop) -> None:
    client = ApiClient(shop.cast.administrator)
    person("holder", ("pl", "service:long-gone"))
    roles = [{"role": "pl", "scope": "service:long-gone"}, {"role": "qa", "scope": "*"}]
    assert client.send("PUT", "/people/holder/roles", roles).status_code == 200


def test_roles_that_do_not_exist_are_named(cast: Cast) -> None:
    client = ApiClient(cast.administrator)
    answer = client.send("PUT", "/people/outsider/roles", [{"role": "boss", "scope": "everything"}])
    assert [entry["field"] for entry in problem(answer)["missing"]] == ["roles", "roles"]
