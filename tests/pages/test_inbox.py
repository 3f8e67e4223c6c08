"""The inbox of somebody for whom much waits: the most urgent of it, the whole on demand, and a true count."""

from datetime import timedelta

import pytest
from django.test import Client

from portal.people.models import User
from portal.people.operations import revoke_role
from portal.reader import Reader
from releases import inbox
from releases.catalog import rights
from releases.inbox import sections
from releases.models import Release
from releases.rollouts.views.inbox import MOST_OF_A_KIND
from tests.factories import Shop, decide, make_release, registry, shop
from tests.people import BY_THE_PORTAL
from tests.soak import long

__all__ = ["registry", "shop"]


def page(user: User, path: str) -> str:
    """What somebody who reads English sees."""
    client = Client(headers={"accept-language": "en"})
    client.force_login(user)
    answer = client.get(path)
    assert answer.status_code == 200, path
    return answer.content.decode()


def many(shop: Shop, count: int) -> list[Release]:
    """Releases in review that ask for the same PL: copies, as a later one would replace an earlier."""
    first = make_release(shop, at="in_review")
    request = first.approval_request
    assert request is not None
    (row,) = request.requirements.filter(phase="review")
    found = [first]
    for number in range(1, count):
        request.pk, request.subject = None, f"copy:{number}"
        request.save(force_insert=True)
        row.pk, row.request = None, request
        row.save(force_insert=True)
        copy = Release.objects.get(pk=first.pk)
        copy.pk, copy.title, copy.approval_request = None, f"Copy {number}", request
        copy.save(force_insert=True)
        found.append(copy)
    return found


@long
def test_a_long_inbox_shows_the_most_urgent_and_the_whole_on_demand(shop: Shop) -> None:
    found = many(shop, MOST_OF_A_KIND + 3)
    shown = page(shop.cast.pl, "/")
    assert shown.count("/review/") == MOST_OF_A_KIND
    assert f"Show all {len(found)}" in shown
    assert f'data-waiting="{len(found)}"' in shown
    whole = page(shop.cast.pl, "/?all=1")
    assert whole.count("/review/") == len(found)
    assert "Show all" not in whole
    assert page(shop.cast.pl, "/inbox/part/?all=1").count("/review/") == len(found)


@long
def test_what_others_decided_on_waits_only_for_whom_something_is_left(shop: Shop) -> None:
    both = [{"service": name, "version": "2.8.0"} for name in ("payment-service", "auth-service")]
    release = make_release(shop, at="in_review", items=both)
    for lead in (shop.cast.team_lead, shop.identity_lead):
        assert [(each.kind, each.total) for each in sections(lead)] == [("decision", 1)]
    decide(release, shop.cast.team_lead)
    assert sections(shop.cast.team_lead) == []
    (section,) = sections(shop.identity_lead, most=0)
    assert (section.kind, section.total, section.rows) == ("decision", 1, ())


def test_what_is_approved_while_the_inbox_is_read_waits_no_more(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = make_release(shop, at="in_review")
    before = inbox._asking(Reader(shop.cast.pl))
    Release.objects.filter(pk=release.pk).update(state="approved")
    monkeypatch.setattr(inbox, "_asking", lambda _reader: before)
    assert sections(shop.cast.pl) == []


@long
def test_of_one_s_own_the_newest_come_first_and_those_one_may_not_see_not_at_all(shop: Shop) -> None:
    items = ([{"service": name, "version": "2.8.0"}] for name in ("payment-service", "auth-service"))
    first, second = (make_release(shop, at="approved", items=each) for each in items)
    later = second.changed_at + timedelta(seconds=1)
    Release.objects.filter(pk=first.pk).update(changed_at=later)
    (section,) = sections(shop.cast.author)
    assert (section.kind, [each.release for each in section.rows]) == ("own", [first, second])
    shop.environment.spec["visibility"] = "private"
    shop.environment.save(update_fields=["spec"])
    rights.grant()
    assert [each.total for each in sections(shop.cast.author)] == [2]
    for team in ("commerce", "identity"):
        revoke_role("author", role="release_manager", scope=f"team:{team}", actor=BY_THE_PORTAL)
    assert sections(shop.cast.author) == []


@long
def test_the_deadline_of_the_review_is_not_that_of_the_sign_off(shop: Shop) -> None:
    make_release(shop, at="awaiting_signoff")
    (waiting,) = sections(shop.cast.pl)[0].rows
    assert (waiting.phase, waiting.deadline_at) == ("signoff", None)
