"""Rows that were edited past the portal count as no approval: the start and the next wave are refused."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils.translation import override

from approvals.models import Decision, Request, Requirement
from portal import clock
from portal.actors import Actor
from portal.audit.models import AuditEntry
from portal.errors import Conflict
from portal.people.operations import grant_role
from releases import operations
from releases.models import Release
from releases.rollouts import gates, texts
from releases.rollouts import operations as rollouts
from releases.rollouts.graph import Node
from releases.start import require_startable, still_approved
from tests.delegating import give
from tests.factories import Shop, decide, make_release, registry, shop
from tests.people import BY_THE_PORTAL, acting, person
from tests.soak import long

__all__ = ["registry", "shop"]


@pytest.fixture(autouse=True)
def in_english() -> Iterator[None]:
    """The refusals are compared by their words."""
    with override("en"):
        yield


Forge = Callable[[Release, Shop], object]


def decisions_of(release: Release) -> Any:
    return Decision.objects.filter(request=release.approval_request)


def request_of(release: Release) -> Request:
    assert release.approval_request is not None
    return release.approval_request


def forged_approval(release: Release, shop: Shop) -> None:
    """A second row of the same kind, as if somebody else had approved too."""
    decision = decisions_of(release).get()
    decision.pk, decision.person = None, shop.cast.director
    decision.save(force_insert=True)


def other_person(release: Release, shop: Shop) -> None:
    grant_role("outsider", role="pl", scope="service:shopping-service", actor=BY_THE_PORTAL)
    decisions_of(release).update(person=shop.cast.outsider)


FORGERIES: dict[str, Forge] = {
    "an approval that nobody gave": forged_approval,
    "an approval under another's name": other_person,
    "an approval for somebody": lambda release, shop: decisions_of(release).update(
        on_behalf_of=shop.cast.director
    ),
    "an approval in another role": lambda release, _shop: decisions_of(release).update(
        capacities=[["pl", "service:shopping-service"], ["director", "*"]]
    ),
    "rows that anybody may fill": lambda release, _shop: Requirement.objects.filter(
        request=release.approval_request, phase="signoff"
    ).update(accepted=[["qa", "*"]]),
    "a row taken away": lambda release, _shop: Requirement.objects.filter(
        request=release.approval_request, phase="signoff"
    ).delete(),
    "the author no longer barred": lambda release, _shop: request_of(release).barred.clear(),
    "a request in another state": lambda release, _shop: Request.objects.update(state="open"),
}


@long
@pytest.mark.parametrize("forge", FORGERIES.values(), ids=FORGERIES)
def test_a_start_is_refused_where_the_rows_differ_from_the_record(shop: Shop, forge: Forge) -> None:
    release = make_release(shop, at="approved")
    assert still_approved(release) == []
    forge(release, shop)
    with pytest.raises(Conflict) as refused:
        rollouts.start_rollout(release.number, actor=acting(shop.cast.author))
    assert refused.value.code == "not_approved"
    assert "record" in str(refused.value.detail)
    assert AuditEntry.objects.filter(release=release.number, action="release.start_refused").count() == 1


@long
def test_a_rejected_release_that_is_set_to_approved_does_not_start(shop: Shop) -> None:
    release = make_release(shop, at="approved")
    operations.withdraw_release(release.number, actor=acting(shop.cast.author))
    Release.objects.filter(pk=release.pk).update(state="approved", ended_at=None)
    Request.objects.update(state="approved")
    with pytest.raises(Conflict) as refused:
        require_startable(Release.objects.get(pk=release.pk), actor=acting(shop.cast.author))
    assert [entry["code"] for entry in refused.value.missing] == ["requirement", "requirement"]


@long
def test_an_approval_taken_back_counts_no_more_though_its_row_says_so(shop: Shop) -> None:
    release = make_release(shop, at="approved")
    decision = decisions_of(release).get()
    operations.take_back_decision(release.number, decision.pk, actor=acting(shop.cast.pl))
    Release.objects.filter(pk=release.pk).update(state="approved")
    decisions_of(release).update(revoked_at=None)
    said = " ".join(str(entry["text"]) for entry in still_approved(Release.objects.get(pk=release.pk)))
    assert "The approval of Pl is not the one that the record has." in said


@long
def test_an_objection_that_was_made_to_vanish_still_holds_the_start(shop: Shop) -> None:
    release = make_release(shop, at="approved")
    objection = decide(release, shop.cast.qa, "object", "not tested")
    assert still_approved(release) == []
    Decision.objects.filter(pk=objection.pk).delete()
    assert [entry["code"] for entry in still_approved(release)] == ["requirement"]


@long
def test_a_true_delegated_approval_stands_in_the_record(shop: Shop) -> None:
    release = make_release(shop, at="in_review")
    deputy = person("deputy", ("pl", "service:payment-service"))
    give(shop.cast.pl, deputy, "pl", "service:shopping-service")
    decide(release, deputy)
    assert still_approved(Release.objects.get(pk=release.pk)) == []


@long
def test_a_worker_pauses_before_the_wave_where_the_rows_differ(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = Node(key="s1", kind="set_image", position=1, wave=1, params={})
    monkeypatch.setattr(rollouts, "graph_of", lambda _release: [node])
    release = make_release(shop, at="approved")
    rollout = rollouts.start_rollout(release.number, actor=acting(shop.cast.author))
    step = rollout.steps.get()
    assert gates.refused(step, siblings=[step], actor=Actor.portal("a test")) is None
    other_person(release, shop)
    held = gates.refused(rollout.steps.get(), siblings=[step], actor=Actor.portal("a test"))
    assert held is not None
    assert held["reason"] == "approval"
    with override("en"):
        assert "not the one that the record has" in texts.pause(held)


@pytest.mark.parametrize(("seconds", "asked"), [(1, False), (60, True)])
def test_a_wave_that_runs_is_asked_again_where_its_last_write_is_a_while_ago(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, seconds: int, asked: bool
) -> None:
    """A canary that is watched between its shares grows no further once its approval counts no more."""
    nodes = [
        Node(key=key, kind="set_image", position=place, wave=1, params={})
        for place, key in enumerate(("first", "second"), start=1)
    ]
    monkeypatch.setattr(rollouts, "graph_of", lambda _release: nodes)
    release = make_release(shop, at="approved")
    rollout = rollouts.start_rollout(release.number, actor=acting(shop.cast.author))
    first, second = rollout.steps.order_by("position")
    first.intent = {"changes": [], "at": (clock.now() - timedelta(seconds=seconds)).isoformat()}
    other_person(release, shop)
    held = gates.refused(second, siblings=[first, second], actor=Actor.portal("a test"))
    assert (held is not None) == asked
