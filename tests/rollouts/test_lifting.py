"""A pause names who may lift it, and says so in the language of who reads it."""

from typing import Any

import pytest
from django.test import Client
from django.utils import translation

from approvals.calendar import operations as calendar
from portal.people.models import User
from portal.people.operations import create_person, grant_role, revoke_role
from releases.rollouts import engine, operations
from releases.rollouts.graph import Node
from releases.rollouts.models import Rollout
from releases.rollouts.steps.kind import ActingKind, Change, Json, Outcome, Work, wait
from releases.rollouts.steps.kinds import KINDS
from releases.rollouts.steps.notice import Notice
from tests.factories import Shop, make_release
from tests.people import BY_THE_PORTAL, acting
from tests.portal.api import ApiClient
from tests.soak import long


class Write(ActingKind):
    """A write that needs no cluster."""

    name = "set_image"

    def prepare(self, work: Work) -> Change:
        return Change(changes=[])

    def act(self, work: Work, change: Change) -> Json:
        return {"images": {}, "spec": {}}

    def observe(self, work: Work) -> Outcome:
        return wait("made_up", seconds=0)


@pytest.fixture
def writing(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Rollout:
    """A rollout that is about to write to the cluster; its workers speak Korean."""
    monkeypatch.setitem(KINDS, "set_image", Write())
    node = Node(key="s1", kind="set_image", position=1, wave=1, params={})
    monkeypatch.setattr(operations, "graph_of", lambda _release: [node])
    release = make_release(shop, at="approved")
    return operations.start_rollout(release.number, actor=acting(shop.cast.author))


def advance(rollout: Rollout) -> None:
    with translation.override("ko"):
        engine.advance(rollout.pk)


def page(rollout: Rollout, user: User) -> str:
    client = Client()
    client.force_login(user)
    return client.get(f"/rollouts/{rollout.pk}/", headers={"accept-language": "en"}).content.decode()


def pause(rollout: Rollout, user: User) -> dict[str, Any]:
    told = ApiClient(user).get(f"/rollouts/{rollout.pk}", accept_language="en").json()["pause"]
    assert isinstance(told, dict)
    return told


def test_who_cannot_resume_is_told_who_can(
    notices: Rollout, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Notice, "observe", lambda _kind, _work: wait("made_up", seconds=0))
    operations.give_order(notices.pk, "pause", actor=acting(shop.cast.qa), reason="lunch")
    advance(notices)
    shown = page(notices, shop.cast.qa)
    assert "bar-resume" not in shown
    assert "<p>Paused by Qa: lunch</p><p>It can be resumed by: Pl, Author, Lead and 3 more.</p>" in shown
    assert "Qa asks: Pause" in shown
    assert "It can be resumed by" not in page(notices, shop.cast.author)
    assert pause(notices, shop.cast.qa)["help"] == "It can be resumed by: Pl, Author, Lead and 3 more."
    assert pause(notices, shop.cast.qa)["lift"] == ["operate"]


@long
def test_who_is_near_to_the_services_of_the_release_is_named_first(
    notices: Rollout, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Notice, "observe", lambda _kind, _work: wait("made_up", seconds=0))
    for name in ("aaron", "abel", "adam"):
        create_person(name, actor=BY_THE_PORTAL, name=name.capitalize())
        grant_role(name, role="pl", scope="service:auth-service", actor=BY_THE_PORTAL)
    operations.give_order(notices.pk, "pause", actor=acting(shop.cast.qa))
    advance(notices)
    assert pause(notices, shop.cast.qa)["help"].startswith("It can be resumed by: Pl, Author, Lead and ")


@long
def test_where_nobody_may_resume_that_is_said(
    notices: Rollout, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Notice, "observe", lambda _kind, _work: wait("made_up", seconds=0))
    operations.give_order(notices.pk, "pause", actor=acting(shop.cast.qa))
    advance(notices)
    User.objects.exclude(pk=shop.cast.qa.pk).update(is_active=False)
    assert pause(notices, shop.cast.qa)["help"] == "Nobody may resume it here."


def test_a_lost_approval_names_whose_it_is_in_the_readers_language(writing: Rollout, shop: Shop) -> None:
    revoke_role("pl", role="pl", scope="service:shopping-service", actor=BY_THE_PORTAL)
    advance(writing)
    told = pause(writing, shop.cast.qa)
    lost = "1 × Project lead of shopping-service: the approval of Pl no longer counts"
    assert told["text"] == f"The approval no longer holds: {lost}"
    assert "Their approval is missing: Project lead (Service shopping-service): Pl." in told["help"]
    assert told["help"].endswith(" It can be resumed by: Author, Lead, Identity-lead and 2 more.")
    assert told["lift"] == ["approve", "operate"]
    author = page(writing, shop.cast.author)
    assert 'id="bar-resume" aria-disabled="true"' in author
    assert lost in author.partition('id="resume-why"')[2]
    assert "Their approval is missing" in author
    grant_role("pl", role="pl", scope="service:shopping-service", actor=BY_THE_PORTAL)
    again = page(writing, shop.cast.author)
    assert 'id="bar-resume" aria-disabled="true"' not in again
    assert 'id="bar-resume"' in again


@long
def test_a_freeze_takes_who_lifts_it_first(writing: Rollout, shop: Shop) -> None:
    calendar.stop_line(actor=BY_THE_PORTAL, reason="Payments are lost")
    advance(writing)
    told = pause(writing, shop.cast.qa)
    assert told["lift"] == ["lift_freeze", "operate"]
    assert "It can be lifted by: " in told["text"]
    assert "It can be resumed by: " in page(writing, shop.cast.qa)


@long
def test_a_pause_that_an_older_portal_wrote_is_read(notices: Rollout, shop: Shop) -> None:
    kept = {
        "reason": "approval",
        "args": {"missing": [{"code": "requirement", "role": "pl", "text": "1 × PL, shopping-service"}]},
        "by": "engine",
        "lift": ["operate"],
    }
    Rollout.objects.filter(pk=notices.pk).update(state="paused", pause=kept)
    assert "The approval no longer holds: 1 × PL, shopping-service" in page(notices, shop.cast.qa)
    assert pause(notices, shop.cast.qa)["help"].startswith("It can be resumed by: ")
