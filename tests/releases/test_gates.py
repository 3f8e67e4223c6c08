"""A result waits for its sign-off while gates measure: a breach turns it off until green, or ignored."""

import contextlib
from datetime import datetime
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import translation
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from approvals.models import Decision
from portal.actors import Actor
from portal.audit.models import AuditEntry
from portal.errors import Conflict, Invalid, NotAllowed, NotFound
from portal.live.models import Event
from portal.outbox.models import Message
from portal.people.models import User
from releases import gates, operations
from releases.models import Check, Gate, GateResult, Release
from releases.start import missing_for_start
from tests.factories import Shop, make_checklist, make_release
from tests.people import acting
from tests.portal.api import ApiClient
from tests.soak import examples, long

PORTAL = Actor.portal("a test")
RED = {"code": "unhealthy", "args": {"status": "HTTP 503"}}
GREEN = {"code": "healthy", "args": {"status": "HTTP 200"}}
RESULTS = ("passed", "breached", "errored", "inconclusive")


@pytest.fixture
def release(shop: Shop) -> Release:
    """A release whose result waits for its sign-off, with two gates."""
    return waiting(shop)


def waiting(shop: Shop) -> Release:
    """Such a release."""
    release = make_release(shop, at="awaiting_signoff")
    found = [
        Gate(key="after.health", kind="health", service=shop.shopping),
        Gate(key="after.http", kind="http"),
    ]
    operations.open_gates(release, found)
    return release


def measured(release: Release, result: str, *, key: str = "after.health") -> Gate:
    """Let a gate be measured with this result."""
    gate = release.gates.get(key=key)
    seen = gates.Seen(result=GateResult(result), observed=GREEN if result == "passed" else RED)
    operations.write_measurement(gate.pk, seen, claim=gate.due_at, actor=PORTAL)
    gate.refresh_from_db()
    return gate


def commit() -> None:
    """Let the record number its entries, as the end of a transaction does."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")


def sign_off(release: Release, user: User, verdict: str = "approve", **more: Any) -> Any:
    """Decide on the result."""
    return operations.sign_off_result(release.number, actor=acting(user), verdict=verdict, **more)


def ignore(release: Release, gate: Gate, user: User, **more: Any) -> Gate:
    """Let the gate's breach pass."""
    given = {"reason": "The probe is wrong.", "breach": gate.breaches, **more}
    return operations.ignore_breach(release.number, gate.pk, actor=acting(user), **given)


@long
def test_a_breach_refuses_the_sign_off_until_it_is_green_again(shop: Shop, release: Release) -> None:
    gate = measured(release, "breached")
    with pytest.raises(Conflict) as refused:
        sign_off(release, shop.cast.pl)
    assert refused.value.code == "gate_breached"
    (missing,) = refused.value.missing
    assert (missing["code"], missing["id"], missing["breach"]) == ("gate", gate.pk, 1)
    assert "shopping-service" in missing["text"]
    assert "HTTP 503" in missing["text"]
    assert not Decision.objects.filter(phase="signoff").exists()
    measured(release, "passed")
    assert sign_off(release, shop.cast.pl).verdict == "approve"


@long
def test_a_breach_forbids_no_rejection(shop: Shop, release: Release) -> None:
    measured(release, "breached")
    sign_off(release, shop.cast.pl, "reject", reason="It is down.")
    release.refresh_from_db()
    assert release.state == "failed"


@long
def test_what_could_not_be_measured_is_no_breach_and_ends_none(shop: Shop, release: Release) -> None:
    assert not measured(release, "errored").is_breached
    measured(release, "breached")
    gate = measured(release, "errored")
    assert (gate.result, gate.is_breached, gate.breaches) == ("errored", True, 1)
    with pytest.raises(Conflict):
        sign_off(release, shop.cast.pl)


@long
def test_a_reason_lets_this_breach_pass_and_not_the_next(shop: Shop, release: Release) -> None:
    gate = measured(release, "breached")
    ignore(release, gate, shop.cast.pl)
    measured(release, "errored")
    assert not measured(release, "breached").is_breached, "still the same breach"
    measured(release, "passed")
    again = measured(release, "breached")
    assert again.breaches == 2
    with pytest.raises(Conflict, match="HTTP 503"):
        sign_off(release, shop.cast.pl)
    with pytest.raises(Conflict) as refused:
        ignore(release, gate, shop.cast.pl)
    assert refused.value.code == "stale_breach"
    ignore(release, again, shop.cast.pl)
    sign_off(release, shop.cast.pl)
    entry = AuditEntry.objects.filter(action="gate.ignored").latest("pk")
    assert (entry.actor, entry.release) == ("pl", release.number)
    assert "The probe is wrong." in entry.body


@long
def test_only_one_with_a_reason_may_let_a_breach_pass_once(shop: Shop, release: Release) -> None:
    gate = measured(release, "breached")
    for name in ("author", "qa", "administrator", "auditor"):
        with pytest.raises(NotAllowed):
            ignore(release, gate, getattr(shop.cast, name))
    with pytest.raises(Invalid):
        ignore(release, gate, shop.cast.pl, reason=" ")
    other = make_release(shop, at="approved", items=[{"service": "auth-service", "version": "1.0.0"}])
    with pytest.raises(NotFound):
        ignore(other, gate, shop.cast.pl)
    ignore(release, gate, shop.cast.pl)
    with pytest.raises(Conflict) as refused:
        ignore(release, gate, shop.cast.team_lead)
    assert refused.value.code == "already_decided"


@long
def test_only_changes_are_recorded_and_those_who_sign_off_hear_of_each_breach(
    shop: Shop, release: Release
) -> None:
    for result in ("passed", "passed", "breached", "breached", "breached", "passed", "breached"):
        gate = measured(release, result)
    recorded = AuditEntry.objects.filter(subject_kind="gate", subject=str(gate.pk)).order_by("pk")
    assert [entry.action for entry in recorded] == [
        "gate.passed",
        "gate.breached",
        "gate.passed",
        "gate.breached",
    ]
    rollout = release.rollouts.get()
    for topic in (release.topic, rollout.topic):
        assert Event.objects.filter(topic=topic, kind="gate.breached").count() == 2
    told = Message.objects.filter(key__contains=f"breach.{gate.pk}.")
    assert told.filter(key__endswith=":pl").count() == 2
    assert [each["result"] for each in gate.history][-2:] == ["passed", "breached"]


@long
def test_a_breach_after_the_sign_off_holds_the_announcement(shop: Shop, release: Release) -> None:
    sign_off(release, shop.cast.pl)
    gate = measured(release, "breached")
    author = acting(shop.cast.author)
    with pytest.raises(Conflict) as refused:
        operations.announce_release(release.number, actor=author)
    assert refused.value.code == "gate_breached"
    ignore(release, gate, shop.cast.pl)
    assert operations.announce_release(release.number, actor=author).state == "announced"


@long
def test_a_measurement_that_was_overtaken_or_comes_too_late_changes_nothing(
    shop: Shop, release: Release
) -> None:
    gate = release.gates.get(key="after.health")
    old = gate.due_at
    measured(release, "passed")
    seen = gates.Seen(result=GateResult.BREACHED, observed=RED)
    assert operations.write_measurement(gate.pk, seen, claim=old, actor=PORTAL) is None
    sign_off(release, shop.cast.pl)
    operations.announce_release(release.number, actor=acting(shop.cast.author))
    gate.refresh_from_db()
    assert operations.write_measurement(gate.pk, seen, claim=gate.due_at, actor=PORTAL) is None
    gate.refresh_from_db()
    assert gate.result == "passed"


@long
def test_each_gate_that_is_due_is_taken_once_and_again_after_its_interval(
    shop: Shop, release: Release
) -> None:
    shop.plan.spec = {**shop.plan.spec, "measureSeconds": 45}
    shop.plan.save(update_fields=["spec"])
    assert sorted(operations.claim_due()) == sorted(release.gates.values_list("pk", flat=True))
    assert operations.claim_due() == [], "another sweeper finds nothing"
    gate = measured(release, "passed")
    assert _seconds(gate.measured_at, gate.due_at) == 45


def _seconds(since: datetime | None, until: datetime) -> float:
    assert since is not None
    return (until - since).total_seconds()


GATES = ("after.health", "after.http")
ACTS = st.tuples(st.sampled_from(GATES), st.sampled_from([*RESULTS, "ignore"]))


@long
@pytest.mark.repeated
@settings(
    max_examples=examples(10, soaking=200),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(acts=st.lists(ACTS, max_size=8))
def test_nothing_is_signed_off_while_a_breach_stands(shop: Shop, acts: list[tuple[str, str]]) -> None:
    """The rule is told anew here: bad until good, or until its reason is given."""
    with transaction.atomic():
        release = waiting(shop)
        standing: dict[str, bool] = {}
        for key, act in acts:
            _carry_out(release, shop.cast.pl, key, act)
            if act == "breached":
                standing.setdefault(key, True)
            elif act == "passed":
                standing.pop(key, None)
            elif act == "ignore" and key in standing:
                standing[key] = False
        if any(standing.values()):
            with pytest.raises(Conflict):
                sign_off(release, shop.cast.pl)
        else:
            assert sign_off(release, shop.cast.pl).verdict == "approve"
        transaction.set_rollback(True)


def _carry_out(release: Release, user: User, key: str, act: str) -> None:
    if act != "ignore":
        measured(release, act, key=key)
        return
    with contextlib.suppress(Conflict):
        ignore(release, release.gates.get(key=key), user)


def test_a_check_that_the_portal_measures_is_answered_by_it_alone(shop: Shop) -> None:
    make_checklist({"phase": "before", "text": "Every pod runs", "check": {"kind": "pods_running"}})
    release = make_release(shop, at="in_review")
    check = release.checks.get()
    with pytest.raises(NotAllowed):
        operations.answer_check(release.number, check.pk, actor=acting(shop.cast.author), result="done")
    assert operations.claim_due() == [], "asked for at once by the submission"
    assert gates.measured_now().get() == check.gate
    for result, answer in (("breached", "failed"), ("errored", ""), ("passed", "done")):
        measured(release, result, key=check.gate.key)
        check = Check.objects.get(pk=check.pk)
        assert (check.result, check.answered_by) == (answer, None)
        assert check.evidence is not None
        assert check.evidence["measured"]["code"] in {"healthy", "unhealthy"}
    assert [each.result for each in check.answers.all()] == ["done", "failed"]
    entries = AuditEntry.objects.filter(action="checklist.measured", release=release.number)
    assert entries.count() == 3
    assert not AuditEntry.objects.filter(action__startswith="gate.").exists()


@long
def test_the_api_shows_gates_and_lets_one_breach_pass(shop: Shop, release: Release) -> None:
    gate = measured(release, "breached")
    client, base = ApiClient(shop.cast.pl), f"/releases/{release.number}/gates"
    shown = {each["kind"]: (each["result"], each["breach"]) for each in client.get(base).json()["items"]}
    assert shown == {"health": ("breached", 1), "http": (None, 0)}
    rollout = release.rollouts.get()
    refused = client.post(f"/rollouts/{rollout.pk}/signoff", {"verdict": "approve"})
    assert (refused.status_code, refused.json()["code"]) == (409, "gate_breached")
    address = f"{base}/{gate.pk}/ignore"
    assert client.post(address, {"breach": 1}).status_code == 422
    assert ApiClient(shop.cast.author).post(address, {"breach": 1, "reason": "x"}).status_code == 403
    done = client.post(address, {"breach": 1, "reason": "The probe is wrong."}).json()
    assert (done["ignored_by"], done["ignored_reason"]) == ("pl", "The probe is wrong.")
    assert client.post(f"/rollouts/{rollout.pk}/signoff", {"verdict": "approve"}).status_code == 201
    commit()
    proof = ApiClient(shop.cast.auditor).get(f"/releases/{release.number}/proof").json()
    (ignored,) = proof["ignored_breaches"]
    assert (ignored["by"], ignored["reason"], ignored["breach"]) == ("pl", "The probe is wrong.", 1)


@long
def test_an_item_that_is_measured_bad_holds_the_start_and_says_what_was_seen(shop: Shop) -> None:
    make_checklist({"phase": "before", "text": "Every pod runs", "check": {"kind": "pods_running"}})
    release = make_release(shop, at="approved")
    key = release.gates.get().key

    def missing() -> list[str]:
        return [str(each["text"]) for each in missing_for_start(release)]

    with translation.override("en"):
        assert missing() == ["Every pod runs: Not measured yet."]
        measured(release, "breached", key=key)
        assert missing() == ["Every pod runs: Not healthy: HTTP 503"]
        measured(release, "passed", key=key)
        assert missing() == []


@long
def test_an_item_after_the_rollout_is_measured_until_it_is_done_and_the_release_closed(shop: Shop) -> None:
    make_checklist(
        {"phase": "after", "text": "The shop answers", "check": {"kind": "http", "url": "http://s/"}}
    )
    release, author = make_release(shop, at="announced"), acting(shop.cast.author)
    assert operations.claim_due() == [gate.pk for gate in gates.measured_now()], (
        "it is due as soon as its phase comes"
    )
    (gate,) = gates.measured_now()
    assert gate.params == {"url": "http://s/"}
    measured(release, "breached", key=gate.key)
    with pytest.raises(Conflict):
        operations.close_release(release.number, actor=author)
    measured(release, "passed", key=gate.key)
    assert not gates.measured_now().exists(), "it was found well"
    assert operations.close_release(release.number, actor=author).state == "closed"
