"""Every route of the OpenAPI document under odd input: no fault of ours, and each refusal is a problem."""

import json
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from django.core.serializers.json import DjangoJSONEncoder
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from portal.integrations.registry.client import Resolved
from portal.people.operations import grant_role
from portal.urls import api
from releases.catalog import versions
from releases.catalog.models import Plan
from releases.catalog.policies import operations as policies
from releases.rollouts import operations
from tests.factories import Shop, digest_for, make_release, policy_table
from tests.people import BY_THE_PORTAL, acting
from tests.portal.api import BASE, ApiClient
from tests.soak import examples

Json = dict[str, Any]
WAVES = {"expectedMinutes": 30, "waves": [{"title": "All", "services": ["payment-service"]}]}
PROBLEM = {"type", "title", "status", "code", "detail", "missing"}
EXAMPLES = examples(8, soaking=60)  # for each route
FEW = settings(deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
HUGE = 10**20
KNOWN = [
    "approve",
    "object",
    "done",
    "shop-production",
    "shopping-service",
    "2.8.0",
    "pl",
    "team:commerce",
    "author",
    "A",
    "draft",
    "2026-01-08T14:00:00+09:00",
    "https://wiki.example/1",
    "shop-plan",
]
ODD = [
    "",
    " ",
    "\x00",
    "a\x1b[31mb",
    "\u202etext",
    "가" * 300,
    "x" * 5_000,
    "-1",
    "9" * 400,
    "../..",
    "%00",
    "'\"<>;",
]
words = st.sampled_from(KNOWN) | st.sampled_from(ODD) | st.text(max_size=8)
numbers = st.sampled_from([0, 1, -1, 2**31, 2**63, HUGE, -HUGE])
junk: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | numbers | st.floats(allow_nan=False, allow_infinity=False) | words,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(words, inner, max_size=2),
    max_leaves=4,
)


def document() -> Json:
    """The OpenAPI document, as any client reads it."""
    # Read from the routes themselves: tests are collected before any request can be made.
    read: Json = json.loads(json.dumps(api.get_openapi_schema(), cls=DjangoJSONEncoder))
    return read


def fitting(schema: Json, parts: Json) -> st.SearchStrategy[Any]:
    """Values that fit a schema, near enough; an object may miss what is required."""
    if "$ref" in schema:
        return fitting(parts[schema["$ref"].rpartition("/")[2]], parts)
    if "anyOf" in schema:
        return st.one_of([fitting(each, parts) for each in schema["anyOf"]])
    kind = schema.get("type")
    if kind == "object" and "properties" in schema:
        fields = {name: fitting(each, parts) for name, each in schema["properties"].items()}
        needed = {name: fields.pop(name) for name in schema.get("required", [])}
        odd = dict.fromkeys([*fields, *needed, "bogus"], junk)
        full = st.fixed_dictionaries(needed, optional=fields)
        return full | st.fixed_dictionaries({}, optional=odd)
    if kind == "array":
        return st.lists(fitting(schema.get("items", {}), parts), max_size=2)
    plain = {"string": words, "integer": numbers, "boolean": st.booleans(), "null": st.none()}
    return plain.get(str(kind), junk)


def bodies(operation: Json, parts: Json) -> st.SearchStrategy[bytes]:
    """Bodies that may fit, and some that are no JSON."""
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    fits = fitting(content["schema"], parts) if content else st.just({})
    good = (fits | junk).map(lambda value: json.dumps(value).encode())
    return st.one_of(good, good, good, st.sampled_from([b"", b"{", b"\xff", b"[" * 20_000, b'{"a":1e999}']))


@pytest.fixture
def door(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> dict[str, ApiClient]:
    """Several people's ways in, to a portal with a draft, a review, a rollout and a change to sign."""
    found = Resolved(digest=digest_for("shopping-service", "2.8.0"), accepted=frozenset(), version="2.8.0")
    monkeypatch.setattr(versions, "versions", lambda _service: [found])
    Plan.objects.filter(pk=shop.plan.pk).update(spec=WAVES)
    make_release(shop)
    make_release(shop, at="in_review")
    started = make_release(shop, at="approved", items=[{"service": "payment-service", "version": "1.0.0"}])
    started.checks.update(result="done")
    operations.start_rollout(started.number, actor=acting(shop.cast.author))
    grant_role("pl", role="director", scope="*", actor=BY_THE_PORTAL)
    administrator = acting(shop.cast.administrator)
    policies.propose(policy_table(B={"deadlineHours": 24}), actor=administrator, note="Faster.")
    return {
        name: ApiClient(getattr(shop.cast, name)) for name in ("author", "pl", "administrator", "auditor")
    }


@pytest.mark.repeated
def test_no_input_is_a_fault_of_ours(door: dict[str, ApiClient]) -> None:
    read = document()
    for path, methods in read["paths"].items():
        for method, operation in methods.items():
            hold(door, method.upper(), path.removeprefix(BASE), operation, read["components"]["schemas"])


def hold(door: dict[str, ApiClient], method: str, path: str, operation: Json, parts: Json) -> None:
    """Send odd requests to one route; whatever comes back is an answer, or a problem."""
    places = st.fixed_dictionaries(dict.fromkeys(_named(operation, "path", parts), numbers | words))
    queries = st.fixed_dictionaries({}, optional=_named(operation, "query", parts))

    @settings(FEW, max_examples=EXAMPLES)
    @given(
        places=places,
        query=queries | st.dictionaries(words, words, max_size=1),
        body=st.just(b"") if method == "GET" else bodies(operation, parts),
        who=st.sampled_from(["author", "author", "administrator", "pl", "auditor"]),
        seen=st.sampled_from(['"sha256:0"', "", '"', "*"]),
    )
    def send(places: Json, query: Json, body: bytes, who: str, seen: str) -> None:
        url = path
        for name, value in places.items():
            url = url.replace(f"{{{name}}}", quote(str(value), safe=""))
        url += f"?{urlencode(query)}" if query else ""
        answer = door[who].send(method, url, body, If_Match=seen)
        assert answer.status_code < 500, (method, url, body)
        if answer.status_code >= 400:
            assert answer.headers["Content-Type"] == "application/problem+json", (method, url)
            assert set(answer.json()) == PROBLEM

    send()


def _named(operation: Json, where: str, parts: Json) -> dict[str, st.SearchStrategy[Any]]:
    found = [each for each in operation.get("parameters", []) if each["in"] == where]
    return {each["name"]: fitting(each["schema"], parts) | words for each in found}
