"""The part of a rollout that begins when the superior has signed the result off, and not before."""

import json

import pytest
from django.test import Client

from approvals.models import Decision
from approvals.queries import standing
from portal.audit.models import AuditEntry
from portal.errors import Conflict
from portal.people.operations import deactivate_person
from releases import operations as release_operations
from releases.models import Check, Release
from releases.rollouts import engine, operations
from releases.rollouts.graph import Node
from releases.rollouts.jobs import nudge_due
from releases.rollouts.models import Rollout
from releases.rollouts.steps.kind import failed, wait
from releases.rollouts.steps.notice import Notice
from tests.factories import Shop, make_checklist, make_release, roll_out, sign_off
from tests.people import BY_THE_PORTAL, acting
from tests.soak import long

BAD, AWAITED = failed("made_up"), wait("made_up", seconds=60)


def verified(shop: Shop, *, grade: str = "B") -> Rollout:
    """A rollout of notices that is done with all before its sign-off, and has two steps behind it."""
    facts = {"grade": grade, "incident": "https://incidents.example/1", "grade_reason": "down"}
    release = make_release(shop, at="approved") if grade != "E" else _emergency(shop, facts)
    made = roll_out(release, shop)
    sections = (
        ("first", "before", 0),
        ("last", "after", 0),
        ("switch", "switch", 1),
        ("shrink", "switch", 2),
    )
    nodes = [
        Node(
            key=key,
            kind="notice",
            position=at,
            service="shopping-service",
            depends_on=tuple(each[0] for each in sections[:at])[-1:],
            wave=wave,
            params={"section": section},
        )
        for at, (key, section, wave) in enumerate(sections)
    ]
    operations.write_steps(made, nodes)
    return advanced(made)


def _emergency(shop: Shop, facts: dict[str, str]) -> Release:
    actor = acting(shop.cast.author)
    release = release_operations.create_release(shop.data(**facts), actor=actor)
    return release_operations.submit_release(release.number, actor=actor)


def advanced(rollout: Rollout) -> Rollout:
    """The rollout after the engine had its say."""
    engine.advance(rollout.pk)
    return Rollout.objects.select_related("release").get(pk=rollout.pk)


def states(rollout: Rollout) -> tuple[str, str, list[str]]:
    """The states of the rollout, its release, and the steps behind the sign-off."""
    left = rollout.steps.filter(params__section="switch").order_by("position")
    return rollout.state, rollout.release.state, [each.state for each in left]


def signer(rollout: Rollout) -> Client:
    """Somebody who may sign this result off, in a browser."""
    request = rollout.release.approval_request
    assert request is not None
    client = Client()
    client.force_login(standing(request).open("signoff")[0].candidates[0])
    return client


@long
def test_nothing_behind_the_sign_off_begins_before_it_is_given(shop: Shop) -> None:
    rollout = verified(shop)
    waiting = ("awaiting_signoff", "awaiting_signoff", ["waiting", "waiting"])
    assert states(rollout) == waiting
    assert states(advanced(rollout)) == waiting
    sign_off(rollout.release)
    assert states(advanced(rollout)) == ("succeeded", "announced", ["succeeded", "succeeded"])
    acts = list(AuditEntry.objects.order_by("pk").values_list("action", flat=True))
    wanted = ["rollout.awaiting_signoff", "decision.approve", "rollout.switching", "rollout.succeeded"]
    assert [each for each in acts if each in wanted][-4:] == wanted
    assert acts.index("release.switching") < acts.index("release.announced")


@long
def test_nobody_announces_what_has_not_switched(shop: Shop) -> None:
    rollout = verified(shop)
    sign_off(rollout.release)
    with pytest.raises(Conflict):
        release_operations.announce_release(rollout.release_id, actor=acting(shop.cast.author))


@long
def test_an_open_check_holds_the_switch_as_it_holds_the_announcement(shop: Shop) -> None:
    make_checklist({"phase": "during", "text": "결제 시험"})
    rollout = verified(shop)
    sign_off(rollout.release)
    assert states(advanced(rollout))[0] == "awaiting_signoff"
    check = Check.objects.get(release=rollout.release)
    number = rollout.release_id
    release_operations.answer_check(number, check.pk, result="done", actor=acting(shop.cast.author))
    assert states(advanced(rollout))[0] == "succeeded"


@long
def test_what_may_end_the_wait_wakes_it_even_where_the_nudge_gets_lost(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_checklist({"phase": "during", "text": "결제 시험"})
    rollout = verified(shop)
    nudged: list[int] = []
    monkeypatch.setattr("releases.rollouts.jobs.enqueue_each", lambda _name, keys: nudged.extend(keys))
    nudge_due()
    assert nudged == []
    sign_off(rollout.release)
    nudge_due()
    advanced(rollout)
    nudge_due()
    check, actor = Check.objects.get(release=rollout.release), acting(shop.cast.author)
    release_operations.answer_check(rollout.release_id, check.pk, result="done", actor=actor)
    nudge_due()
    assert nudged == [rollout.pk, rollout.pk]


@long
def test_who_rejects_the_result_sends_the_rollout_back(shop: Shop) -> None:
    rollout = verified(shop)
    client = signer(rollout)
    client.post(f"/rollouts/{rollout.pk}/signoff/", {"verdict": "reject", "reason": "결제 실패"})
    assert states(advanced(rollout)) == ("rolled_back", "rolled_back", ["waiting", "waiting"])
    turned = AuditEntry.objects.filter(action="rollout.rolling_back").get()
    assert (json.loads(turned.body)["reason"], turned.actor) == ("결제 실패", "pl")


@long
@pytest.mark.parametrize(("order", "end"), [("stop", "stopped"), ("rollback", "rolled_back")])
def test_a_rollout_that_waits_for_its_sign_off_can_be_ended(shop: Shop, order: str, end: str) -> None:
    rollout = verified(shop)
    operations.give_order(rollout.pk, order, actor=acting(shop.cast.author))
    assert states(advanced(rollout))[0] == end


@long
def test_a_sign_off_that_counts_no_more_sets_nothing_off(shop: Shop) -> None:
    rollout = verified(shop)
    sign_off(rollout.release)
    signed = Decision.objects.get(phase="signoff").person
    deactivate_person(signed.username, actor=BY_THE_PORTAL)
    assert states(advanced(rollout))[0] == "awaiting_signoff"


@long
@pytest.mark.parametrize("state", ["failed", "running", "ready"])
def test_who_skips_the_first_step_behind_the_sign_off_asks_for_no_second_one(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    rollout = verified(shop)
    sign_off(rollout.release)
    actor, first = acting(shop.cast.author), rollout.steps.get(key="switch")
    with monkeypatch.context() as patched:
        patched.setattr(Notice, "observe", lambda _kind, _work: BAD if state == "failed" else AWAITED)
        advanced(rollout)
        if state != "failed":
            operations.give_order(rollout.pk, "pause", actor=actor)
            advanced(rollout)
    if state == "ready":
        # As one that writes is left by a freeze.
        rollout.steps.filter(pk=first.pk).update(state="ready", started_at=None)
    operations.give_order(rollout.pk, "skip", actor=actor, step_id=first.pk, reason="by hand")
    if state != "failed":
        operations.give_order(rollout.pk, "resume", actor=actor)
    assert states(advanced(rollout)) == ("succeeded", "announced", ["skipped", "succeeded"])
    asked = AuditEntry.objects.filter(action="release.awaiting_signoff", release=rollout.release_id)
    assert asked.count() == 1


@long
def test_an_emergency_switches_at_once_and_owes_its_review(shop: Shop) -> None:
    rollout = verified(shop, grade="E")
    assert states(rollout) == ("succeeded", "review_owed", ["succeeded", "succeeded"])


@long
def test_a_rollout_that_waits_holds_others_of_its_services(shop: Shop) -> None:
    verified(shop)
    other = make_release(shop, at="approved", items=[{"service": "shopping-service", "version": "2.9.0"}])
    with pytest.raises(Conflict) as error:
        operations.start_rollout(other.number, actor=acting(shop.cast.author))
    assert error.value.code == "queue"


@long
def test_the_page_offers_no_announcement_before_the_switch(shop: Shop) -> None:
    rollout = verified(shop)
    sign_off(rollout.release)
    client = Client()
    client.force_login(shop.cast.author)
    assert (
        f"/releases/{rollout.release_id}/announce/"
        not in client.get(f"/releases/{rollout.release_id}/").content.decode()
    )
