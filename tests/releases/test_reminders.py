"""Deadlines: a reminder before, word when they have passed, a question one step up; each of it once."""

from datetime import timedelta

from django.test import Client

from approvals.models import Request
from portal import clock
from portal.outbox.models import Message
from releases import operations
from releases.jobs import recheck_pending, remind_of_deadlines
from releases.models import Release
from tests.factories import ENGINE, Shop, decide, make_release, roll_out
from tests.people import acting
from tests.soak import long


def sweep(release: Release, *, minutes: int, field: str = "deadline_at") -> dict[str, set[str]]:
    """Let a deadline be so many minutes away and the sweeper come by twice: who was told, by occasion."""
    release.refresh_from_db()
    before = set(Message.objects.values_list("pk", flat=True))
    at = clock.now() + timedelta(minutes=minutes)
    Request.objects.filter(subject=release.subject).update(**{field: at, "opened_at": at - timedelta(days=7)})
    for _time in range(2):
        remind_of_deadlines()
        recheck_pending()
    found: dict[str, set[str]] = {}
    for message in Message.objects.exclude(pk__in=before):
        what = message.key.split(".")[4]
        assert message.recipient not in found.setdefault(what, set())
        found[what].add(message.recipient)
    return found


def missed_on_board(shop: Shop) -> list[int]:
    """The overdue reviews that the board counts for somebody without any role."""
    client = Client()
    client.force_login(shop.cast.outsider)
    return [release.number for release in client.get("/board/").context["missed"]]


@long
def test_who_can_still_decide_is_reminded_once_before_the_deadline(shop: Shop) -> None:
    release = make_release(shop, at="in_review")
    assert sweep(release, minutes=25 * 60) == {}
    assert sweep(release, minutes=23 * 60) == {"deadline": {"pl"}}


@long
def test_who_has_decided_is_not_reminded(shop: Shop) -> None:
    items = [{"service": name, "version": "3"} for name in ("payment-service", "auth-service")]
    release = make_release(shop, at="in_review", items=items)
    decide(release, shop.cast.team_lead)
    assert sweep(release, minutes=60) == {"deadline": {"identity-lead"}}


@long
def test_an_overdue_review_is_told_to_its_author_and_asked_one_step_up(shop: Shop) -> None:
    release = make_release(shop, at="in_review")
    assert sweep(release, minutes=-1) == {"overdue": {"author", "pl"}, "escalated": {"lead"}}
    message = Message.objects.get(key__contains=".escalated.")
    assert message.kind == "deadline"


@long
def test_a_step_up_that_nobody_holds_is_passed_over(shop: Shop) -> None:
    release = make_release(shop, at="in_review", items=[{"service": "payment-service", "version": "3"}])
    assert sweep(release, minutes=-1)["escalated"] == {"director"}


@long
def test_an_approved_release_has_no_review_left_to_be_late_and_says_when_it_expires(shop: Shop) -> None:
    release = make_release(shop, at="approved")
    assert sweep(release, minutes=-1) == {}
    assert sweep(release, minutes=60, field="expires_at") == {"expiring": {"author"}}


@long
def test_what_expires_in_review_is_told_to_those_it_waits_for(shop: Shop) -> None:
    release = make_release(shop, at="in_review")
    assert sweep(release, minutes=60, field="expires_at") == {"expiring": {"author", "pl"}}
    assert sweep(release, minutes=-1, field="expires_at") == {"settled": {"author"}}


@long
def test_an_owed_review_is_reminded_of_then_overdue_and_reaches_the_director(shop: Shop) -> None:
    incident = {"link": "https://incidents.example/7", "reason": "payments fail"}
    release = make_release(shop, grade="E", incident=incident)
    operations.submit_release(release.number, actor=acting(shop.cast.author))
    assert sweep(release, minutes=60) == {}
    roll_out(release, shop)
    operations.follow(release, "failed", actor=ENGINE)
    assert sweep(release, minutes=60) == {"deadline": {"lead"}}
    assert missed_on_board(shop) == []
    assert sweep(release, minutes=-1) == {"overdue": {"author", "lead"}, "escalated": {"director"}}
    assert missed_on_board(shop) == [release.number]
    decide(release, shop.cast.team_lead)
    assert sweep(release, minutes=-2) == {}
    assert missed_on_board(shop) == []


@long
def test_a_failure_is_told_to_the_author_and_to_who_started_it(shop: Shop) -> None:
    release = make_release(shop, at="approved")
    rollout = roll_out(release, shop)
    rollout.started_by = shop.cast.pl
    rollout.save(update_fields=["started_by"])
    operations.follow(release, "failed", actor=ENGINE)
    told = Message.objects.filter(key__contains=".trouble.failed.")
    assert set(told.values_list("recipient", flat=True)) == {"author", "pl"}
