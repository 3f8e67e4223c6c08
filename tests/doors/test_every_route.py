"""Every route of the OpenAPI document under input that fits it and input that does not (attacks.md, 1d).

Whatever is sent and by whom, the answer is one that the document promises, never a fault of ours; and what
was refused has written nothing but its line in the record.
"""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any, cast

import pytest
import schemathesis
from django.core.serializers.json import DjangoJSONEncoder
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ninja import Schema
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.generation import GenerationMode
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from approvals.models import Decision
from portal.integrations.registry.client import Resolved
from portal.people.operations import grant_role
from portal.urls import api
from releases.catalog import versions
from releases.catalog.models import Plan
from releases.catalog.policies import operations as policies
from releases.incidents.operations import open_incident
from releases.rollouts import operations, service_api
from releases.rollouts.pod_logs import Tail
from tests.factories import (
    Shop,
    decide,
    digest_for,
    find_change,
    make_checklist,
    make_release,
    policy_table,
    runs,
)
from tests.people import BY_THE_PORTAL, acting
from tests.portal.api import ApiClient
from tests.snapshot import count_rows
from tests.soak import examples, long

Case = schemathesis.Case[Any]
Operation = APIOperation[Any, Any, Any, Any]
WAVES = {"expectedMinutes": 30, "waves": [{"title": "All", "services": ["payment-service"]}]}
PEOPLE = ("author", "author", "administrator", "pl", "auditor", "outsider")
PROMISES = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
PROBLEM = {"type", "title", "status", "code", "detail", "missing"}
RECORD = "audit_auditentry"
# How often an address has sent unsigned events.
SEEN = "people_attempts"
FEW = settings(
    deadline=None,
    derandomize=True,
    database=None,
    max_examples=examples(3, soaking=100),  # for each route and kind of input
    suppress_health_check=list(HealthCheck),
)
# What the document's schemas never make: words of the portal's own, and what no row can hold.
ODD = ["", "\x00", "\u202etext", "x" * 5_000, "-1", "9" * 400, "../..", "%00", "1e999", 10**20, True, None]
BROKEN = [b"{", b"\xff", b"[" * 20_000, b'{"a":1e999}', b'{"a":1,"a":2}', b'"\\ud800"', b"null"]


class Door:
    """The API in the name of several people, and what is there for them to ask for."""

    def __init__(self, shop: Shop) -> None:
        self.secrets = {name: ApiClient(getattr(shop.cast, name)).secret for name in set(PEOPLE)}
        make_checklist({"phase": "before", "text": "a"})
        draft, reviewed = make_release(shop), make_release(shop, at="in_review")
        objection: Decision = decide(reviewed, shop.cast.outsider, "object", "wait")
        items = [{"service": "payment-service", "version": "1.0.0"}]
        approved = make_release(shop, at="approved", items=items)
        approved.checks.update(result="done")
        rollout = operations.start_rollout(approved.number, actor=acting(shop.cast.author))
        grant_role("pl", role="director", scope="*", actor=BY_THE_PORTAL)
        wanted = policy_table(B={"deadlineHours": 24})
        proposal = policies.propose(wanted, actor=acting(shop.cast.administrator), note="Faster.")
        step = rollout.steps.first()
        assert step is not None
        self.known: dict[str, list[Any]] = {
            "number": [draft.number, reviewed.number, approved.number, proposal.pk],
            "pk": [rollout.pk, find_change(shop.shopping, shop.environment).pk],
            "step": [step.pk],
            "decision_id": [objection.pk],
            "check_id": list(reviewed.checks.values_list("pk", flat=True)),
            "username": ["author", "pl"],
            "name": ["shopping-service", shop.environment.name],
            "env": [shop.environment.name],
            "incident": [
                open_incident(shop.shopping.name, shop.environment.name, actor=acting(shop.cast.pl))[0].pk
            ],
        }
        runs(shop.shopping, shop.environment, "2.7.4")
        self.rows = count_rows()
        self.asked: set[str] = set()

    def address(self, chance: st.DataObject, case: Case) -> None:
        """Let the address be one that is there, every other time."""
        for name in case.path_parameters:
            if name in self.known and chance.draw(st.booleans()):
                case.path_parameters[name] = chance.draw(st.sampled_from(self.known[name]))

    def send(self, chance: st.DataObject, case: Case, **more: Any) -> None:
        """Send it in somebody's name, and hold the portal to what it promises."""
        secret = self.secrets[chance.draw(st.sampled_from(PEOPLE))]
        seen = chance.draw(st.sampled_from(['"sha256:0"', "", '"', "*"]))
        self.address(chance, case)
        self.asked.add(case.operation.label)
        answer = case.call(headers={"Authorization": f"Bearer {secret}", "If-Match": seen}, **more)
        case.validate_response(answer, checks=PROMISES)
        self.require_whole(answer.status_code)
        if answer.status_code >= 400:
            assert set(answer.json()) == PROBLEM

    def require_whole(self, status: int) -> None:
        """Nothing is left of what was refused but at most one line in the record."""
        before, self.rows = self.rows, count_rows()
        if status < 400:
            return
        grown = {
            table: self.rows[table] - before[table] for table in before if self.rows[table] != before[table]
        }
        assert grown in ({}, {RECORD: 1}, {SEEN: 1})


@pytest.fixture
def kept_connection() -> Iterator[None]:
    """Keep the test's transaction when a request ends, as Django's own client does."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@pytest.fixture
def door(shop: Shop, kept_connection: None, monkeypatch: pytest.MonkeyPatch) -> Door:
    """A draft, a release in review with an objection, and a rollout."""
    found = Resolved(digest=digest_for("shopping-service", "2.8.0"), accepted=frozenset(), version="2.8.0")
    monkeypatch.setattr(versions, "versions", lambda _service: [found])
    log = Tail(pod="a", container="app", containers=("app",), previous=False, lines=("ready",))
    monkeypatch.setattr(service_api, "tail", lambda *_args, **_more: log)
    Plan.objects.filter(pk=shop.plan.pk).update(spec=WAVES)
    return Door(shop)


def routes() -> list[Operation]:
    """Every operation of the document, as any client reads it."""
    # Read from the routes themselves: tests are collected before any request can be made.
    document = json.loads(json.dumps(api.get_openapi_schema(), cls=DjangoJSONEncoder))
    schema = schemathesis.openapi.from_dict(document)
    schema.app = get_wsgi_application()
    found = list(schema.get_all_operations())
    assert all(isinstance(each, Ok) for each in found)
    assert len(found) == sum(len(methods) for methods in document["paths"].values()), "a route was left out"
    return [each.ok() for each in found if isinstance(each, Ok)]


@long
@pytest.mark.repeated
@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
def test_every_route_answers_as_the_document_says(door: Door, mode: GenerationMode) -> None:
    for operation in routes():

        @FEW
        @given(data=st.data(), case=operation.as_strategy(generation_mode=mode))
        def hold(data: st.DataObject, case: Case) -> None:
            door.send(data, case)

        hold()
    assert door.asked == {operation.label for operation in routes()}


@long
@pytest.mark.repeated
def test_what_is_no_json_and_what_no_row_can_hold_is_refused_everywhere(door: Door) -> None:
    for operation in routes():

        @FEW
        @given(data=st.data(), case=operation.as_strategy())
        def hold(data: st.DataObject, case: Case) -> None:
            if isinstance(case.body, dict) and data.draw(st.booleans()):
                name = data.draw(st.sampled_from(sorted(case.body) or ["bogus"]))
                case.body[name] = cast(Any, data.draw(st.sampled_from(ODD)))
                door.send(data, case)
            else:
                door.send(data, case, data=data.draw(st.sampled_from(BROKEN)))

        hold()
    assert door.asked == {operation.label for operation in routes()}


def test_no_two_shapes_share_a_name() -> None:
    """The document keeps one of them only, and says it of both."""
    ours = {
        each
        for each in _kinds_of(Schema)
        if each.__module__.startswith(("portal.", "approvals.", "releases."))
    }
    names = Counter(each.__name__ for each in ours)
    assert [name for name, times in names.items() if times > 1] == []


def _kinds_of(kind: type[Schema]) -> Iterator[type[Schema]]:
    for each in kind.__subclasses__():
        yield each
        yield from _kinds_of(each)
