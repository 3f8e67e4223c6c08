"""The attacks of attacks.md 1a to 1c through the API and through the page: the same refusal at both doors.

Refused, nothing written except one line in the record, and the reason on the screen.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from html import unescape
from typing import Any

import pytest
from django.test import Client

from approvals.models import Request
from portal import clock
from portal.audit.models import AuditEntry
from portal.people.models import User
from releases import operations
from releases.models import Release
from tests.delegating import give
from tests.factories import Shop, decide, make_release, roll_out
from tests.people import acting, person
from tests.portal.api import ApiClient
from tests.snapshot import count_rows
from tests.soak import long

RECORD = "audit_auditentry"
ENGLISH = {"Accept-Language": "en"}
TWO_TEAMS = [{"service": name, "version": "3"} for name in ("payment-service", "auth-service")]


@dataclass(frozen=True)
class Attack:
    """Who tries what on which release, and the code of the refusal.

    Attributes:
        page: where the form of the page goes; api: where the API is asked.
        sent: what both are sent beside the digest.
    """

    who: str
    release: Callable[[Shop], Release]
    page: str
    api: str
    code: str
    verdict: str = ""
    sent: Mapping[str, str] = field(default_factory=dict)


def in_review(shop: Shop) -> Release:
    """One that waits for its PL."""
    return make_release(shop, at="in_review")


def approved(shop: Shop) -> Release:
    """One that may start."""
    return make_release(shop, at="approved")


def edited_by_pl(shop: Shop) -> Release:
    """One whose only PL has changed its content, so that it climbed to the team lead."""
    release = make_release(shop)
    data = {"changes": [{"area": "API", "text": "another"}]}
    operations.edit_release(release.number, data, actor=acting(shop.cast.pl), if_match=release.content_digest)
    return operations.submit_release(release.number, actor=acting(shop.cast.author))


def given_by_the_author(shop: Shop) -> Release:
    """A team lead's own, who let somebody decide for them before; another lead could approve it."""
    person("second-lead", ("team_lead", "team:commerce"))
    give(shop.cast.team_lead, shop.cast.outsider, "team_lead", "team:commerce")
    return make_release(shop, at="in_review", author=shop.cast.team_lead, facts={"new_api": True})


def half_approved(shop: Shop) -> Release:
    """One that a lead has approved and another still has to."""
    release = make_release(shop, at="in_review", items=TWO_TEAMS)
    decide(release, shop.cast.team_lead)
    return release


def superseded(shop: Shop) -> Release:
    """One that a newer release replaced."""
    release = approved(shop)
    make_release(shop, at="in_review")
    return release


def expired(shop: Shop) -> Release:
    """One whose approval ended a moment ago, before any sweep."""
    release = approved(shop)
    Request.objects.filter(subject=release.subject).update(expires_at=clock.now())
    return release


def withdrawn(shop: Shop) -> Release:
    """One that its author took away."""
    release = approved(shop)
    return operations.withdraw_release(release.number, actor=acting(shop.cast.author))


def running(shop: Shop) -> Release:
    """One that rolls out."""
    release = approved(shop)
    roll_out(release, shop)
    return release


def deciding(who: str, release: Callable[[Shop], Release], code: str, **sent: str) -> Attack:
    """They approve."""
    place = "/releases/{number}/decide/approve/", "/releases/{number}/decisions"
    return Attack(who, release, *place, code, verdict="approve", sent=sent)


def starting(who: str, release: Callable[[Shop], Release], code: str) -> Attack:
    """They press start."""
    return Attack(who, release, "/releases/{number}/start/", "/releases/{number}/start", code)


STALE = {"content_digest": f"sha256:{'0' * 64}"}
ATTACKS = {
    "the author approves": deciding("author", in_review, "self_approval"),
    "the last editor approves": deciding("pl", edited_by_pl, "self_approval"),
    "a delegate of the author approves": deciding(
        "outsider", given_by_the_author, "self_approval", **{"for": "lead"}
    ),
    "who holds no role approves": deciding("outsider", in_review, "not_entitled"),
    "an administrator approves": deciding("administrator", in_review, "not_entitled"),
    "somebody approves in a name that gave nothing": deciding(
        "outsider", in_review, "not_entitled", **{"for": "pl"}
    ),
    "one person approves twice": deciding("team_lead", half_approved, "already_decided"),
    "what was edited meanwhile is approved": deciding("pl", in_review, "stale_digest", **STALE),
    "what has started is approved": deciding("pl", running, "wrong_state"),
    "an expired one is approved": deciding("pl", expired, "expired"),
    "a start without the approvals": starting("author", in_review, "not_approved"),
    "a start with a part of the approvals": starting("author", half_approved, "not_approved"),
    "a start of a superseded one": starting("author", superseded, "superseded"),
    "a start of an expired one": starting("author", expired, "expired"),
    "a start of a withdrawn one": starting("author", withdrawn, "wrong_state"),
    "a second start": starting("author", running, "wrong_state"),
    "a start by who may only stop": starting("qa", approved, "not_entitled"),
    "an administrator starts": starting("administrator", approved, "not_entitled"),
}


@long
@pytest.mark.parametrize("name", ATTACKS)
def test_both_doors_refuse_it_alike_and_write_one_line(shop: Shop, name: str) -> None:
    attack = ATTACKS[name]
    release = attack.release(shop)
    release.refresh_from_db()
    user: User = getattr(shop.cast, attack.who)
    sent: dict[str, Any] = {"content_digest": release.content_digest, **attack.sent}
    api = ApiClient(user)
    browser = Client(headers=ENGLISH)
    browser.force_login(user)
    before = count_rows()
    body = {"verdict": attack.verdict, **sent} if attack.verdict else {}
    problem = api.post(attack.api.format(number=release.number), body, **ENGLISH).json()
    assert problem["code"] == attack.code
    page = browser.post(attack.page.format(number=release.number), sent)
    assert page.status_code == problem["status"]
    assert problem["detail"] in unescape(page.content.decode())
    after = count_rows()
    assert {table: after[table] - before[table] for table in after if after[table] != before[table]} == {
        RECORD: 2
    }
    doors = AuditEntry.objects.filter(release=release.number).order_by("-pk")[:2]
    assert {json.loads(entry.body)["actor"]["door"] for entry in doors} == {"api", "browser"}
    assert Release.objects.get(pk=release.pk).state == release.state
