"""Every form of the pages with odd fields: an answer for people, never a fault of ours, nothing half-written.

The forms are read from the pages as a browser reads them: a new field is tried without being named here.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from random import Random
from typing import Any
from urllib.parse import quote_plus

import pytest
from django.test import Client
from django.urls import resolve

from portal import clock
from portal.people.models import User
from portal.people.operations import grant_role
from releases.catalog.models import Plan, Service
from releases.catalog.policies import operations as policies
from releases.incidents.operations import open_incident
from releases.rollouts import operations
from releases.schedules.models import Backup
from tests.delegating import give
from tests.factories import Shop, decide, find_change, make_checklist, make_release, policy_table, runs
from tests.people import BY_THE_PORTAL, acting
from tests.snapshot import count_rows
from tests.soak import examples, long

WAVES = {"expectedMinutes": 30, "waves": [{"title": "All", "services": ["payment-service"]}]}
# By person, the pages with forms that are theirs to send.
PAGES = {
    "author": (
        "/me/",
        "/me/notices/",
        "/me/delegations/",
        "/releases/new/",
        "/releases/{draft}/",
        "/releases/{draft}/edit/",
        "/releases/{draft}/submit/",
        "/releases/{reviewed}/withdraw/",
        "/releases/{reviewed}/duplicate/",
        "/releases/{reviewed}/checklist/{check}/",
        "/releases/{approved}/schedule/",
        "/releases/{approved}/start/",
        "/releases/{started}/",
        "/rollouts/{rollout}/",
        "/rollouts/{rollout}/stop/",
        "/rollouts/{rollout}/rollback/",
        "/services/shopping-service/shop-production/operate/restart/",
        "/services/shopping-service/shop-production/operate/scale/",
        "/services/shopping-service/shop-production/operate/set_resources/",
        "/services/auth-service/shop-production/",
        "/incidents/{incident}/note/",
        "/incidents/{incident}/tell/",
        "/incidents/{incident}/link/",
        "/incidents/{incident}/close/",
        "/incidents/{incident}/correct/",
        "/incidents/{incident}/unlink/",
        "/incidents/open/{rollout}/",
    ),
    "pl": (
        "/releases/{reviewed}/review/",
        "/releases/{reviewed}/decide/approve/",
        "/releases/{reviewed}/decide/send_back/",
        "/releases/{reviewed}/decide/reject/",
        "/releases/{reviewed}/decide/object/",
        "/releases/{reviewed}/decisions/{objection}/answer/",
        "/policy/proposals/{proposal}/",
        "/policy/proposals/{proposal}/decide/approve/",
        "/policy/proposals/{proposal}/decide/reject/",
        "/environments/shop-production/backups/{backup}/restore/",
    ),
    "team_lead": (
        "/findings/{finding}/adopt/",
        "/findings/{finding}/explain/",
    ),
    "administrator": (
        "/settings/delegations/",
        "/policy/propose/",
        "/policy/propose/text/",
        "/calendar/line/",
        "/calendar/freezes/add/",
        "/calendar/freezes/stop/",
        "/policy/proposals/{proposal}/withdraw/",
    ),
}
ODD = (
    "",
    " ",
    "\x00",
    "a\x1b[31mb",
    "\ud800",
    "\u202etext",
    "가" * 300,
    "x" * 5_000,
    "-1",
    "9" * 400,
    "1e999",
    "9999-12-31T23:59",
    "../..",
    "%00",
    "'\"<>;",
)
# Where a person's own session and the portal's counters of attempts are kept.
NOT_COUNTED = {"django_session", "people_attempts"}
FIELDS = {"input", "select", "textarea", "button"}
RECORD = "audit_auditentry"


@dataclass
class Form:
    """A form of a page: where it goes, and its fields with what stands in them."""

    action: str
    fields: list[tuple[str, str]] = field(default_factory=list)

    @property
    def key(self) -> tuple[str, frozenset[str]]:
        """What makes it another form."""
        return self.action, frozenset(name for name, _value in self.fields)


class FormReader(HTMLParser):
    """Collects the forms of a page that write."""

    def __init__(self, address: str) -> None:
        super().__init__()
        self.address = address
        self.forms: list[Form] = []
        self.form: Form | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Begin a form, or take a field into the one that is open."""
        given = dict(attrs)
        if tag == "form" and (given.get("method") or "").lower() == "post":
            self.form = Form(given.get("action") or self.address)
            self.forms.append(self.form)
        elif self.form is not None and tag in FIELDS and (name := given.get("name")):
            self.form.fields.append((name, given.get("value") or ""))

    def handle_endtag(self, tag: str) -> None:
        """End a form."""
        if tag == "form":
            self.form = None


def odd_body(form: Form, chance: Random) -> bytes:
    """The form's fields, some with odd values, some missing, some twice."""
    pairs: list[tuple[str, str]] = []
    for name, value in form.fields:
        sent = value if chance.random() < 0.4 else chance.choice(ODD)
        pairs += [(name, sent)] * chance.choice((0, 1, 1, 1, 1, 2))
    return "&".join(f"{quote_plus(name)}={_quoted(value)}" for name, value in pairs).encode()


def _quoted(value: str) -> str:
    return quote_plus(value.encode(errors="surrogatepass"))


@pytest.fixture
def places(shop: Shop) -> dict[str, Any]:
    """Something in every state that the pages ask for, by the names in `PAGES`."""
    Plan.objects.filter(pk=shop.plan.pk).update(spec=WAVES)
    make_checklist({"phase": "before", "text": "a"})
    reviewed = make_release(shop, at="in_review")
    auth = [{"service": "auth-service", "version": "1.0.0"}]
    payment = [{"service": "payment-service", "version": "1.0.0"}]
    started = make_release(shop, at="approved", items=payment)
    started.checks.update(result="done")
    runs(shop.shopping, shop.environment, "2.7.4")
    give(shop.cast.pl, shop.cast.outsider, "pl", "service:shopping-service")
    grant_role("pl", role="director", scope="*", actor=BY_THE_PORTAL)
    table = policy_table(B={"deadlineHours": 24})
    check = reviewed.checks.first()
    assert check is not None
    return {
        "draft": make_release(shop).number,
        "reviewed": reviewed.number,
        "check": check.pk,
        "objection": decide(reviewed, shop.cast.outsider, "object", "wait").pk,
        "approved": make_release(shop, at="approved", items=auth).number,
        "started": started.number,
        "finding": find_change(shop.shopping, shop.environment).pk,
        "rollout": operations.start_rollout(started.number, actor=acting(shop.cast.author)).pk,
        "backup": _restorable(shop).pk,
        "incident": open_incident("shopping-service", "shop-production", actor=acting(shop.cast.pl))[
            0
        ].number,
        "proposal": policies.propose(table, actor=acting(shop.cast.administrator), note="Faster.").pk,
    }


def _restorable(shop: Shop) -> Backup:
    """A backup of the service that runs, with the Job that would restore it."""
    Service.objects.filter(pk=shop.shopping.pk).update(
        spec={**shop.shopping.spec, "jobs": [{"name": "restore", "cronJob": "restore", "purpose": "restore"}]}
    )
    return Backup.objects.create(
        service=shop.shopping, environment=shop.environment, name="nightly", made_at=clock.now()
    )


def forms_of(client: Client, addresses: tuple[str, ...], places: dict[str, Any]) -> Iterator[Form]:
    """Every form of these pages, once."""
    seen = set()
    for template in addresses:
        address = template.format(**places)
        answer = client.get(address)
        assert answer.status_code == 200, address
        reader = FormReader(address)
        reader.feed(answer.content.decode())
        for form in reader.forms:
            if form.key not in seen and not form.action.startswith(("/sign-out/", "/language/")):
                seen.add(form.key)
                yield form


@long
@pytest.mark.repeated
@pytest.mark.parametrize("who", PAGES)
def test_no_form_is_a_fault_of_ours_or_leaves_a_half(shop: Shop, places: dict[str, Any], who: str) -> None:
    user: User = getattr(shop.cast, who)
    client = Client(raise_request_exception=False)
    client.force_login(user)
    forms = list(forms_of(client, PAGES[who], places))
    assert len(forms) >= len(PAGES[who]) - 2
    rows = count_rows()
    for form in forms:
        for number in range(examples(2, soaking=300)):
            body = odd_body(form, Random(f"{resolve(form.action).view_name} {number}"))
            answer = client.post(form.action, body, content_type="application/x-www-form-urlencoded")
            assert answer.status_code < 500, (form.action, body)
            before, rows = rows, count_rows()
            grown = {
                name: rows[name] - before[name]
                for name in before
                if name not in NOT_COUNTED and rows[name] != before[name]
            }
            assert answer.status_code < 400 or grown in ({}, {RECORD: 1}), (form.action, body)
