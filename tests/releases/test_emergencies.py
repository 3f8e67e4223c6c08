"""Grade E: it goes out first and is reviewed afterwards, whatever came of its rollout."""

from collections.abc import Callable
from contextlib import suppress

import pytest
from django.db import transaction
from django.test import Client
from django.utils import translation
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from approvals.queries import standing
from approvals.states import Phase, Verdict
from portal.errors import Conflict, NotAllowed, PortalError
from portal.outbox.models import Message
from portal.people.models import User
from releases import operations
from releases.inbox import inbox
from releases.jobs import recheck_pending
from releases.models import Release
from releases.rollouts import release_side
from releases.rollouts.models import Rollout
from releases.rollouts.operations import give_order
from releases.start import missing_checks, require_startable, still_approved
from releases.states import ENDS
from tests.factories import ENGINE, Shop, decide, make_checklist, make_release, roll_out, verify
from tests.people import acting, person
from tests.portal.api import ApiClient
from tests.soak import examples, long

pytestmark = pytest.mark.django_db
INCIDENT = {"link": "https://incidents.example/7", "reason": "payments fail"}
AFTER = {"phase": "after", "text": "장애 증상이 사라졌다"}


def emergency(shop: Shop) -> Release:
    """A submitted release of grade E."""
    release = make_release(shop, grade="E", incident=INCIDENT)
    return operations.submit_release(release.number, actor=acting(shop.cast.author))


def started(shop: Shop) -> Release:
    """An emergency that its author started."""
    release = emergency(shop)
    roll_out(release, shop)
    return Release.objects.get(pk=release.pk)


def follow(release: Release, *states: str) -> Release:
    """Let the release follow its rollout, as the engine does."""
    for state in states:
        release_side.follow(release, state, actor=ENGINE)
    return Release.objects.get(pk=release.pk)


def owed_to(user: User) -> list[int]:
    """The releases whose owed review waits for the person."""
    return [row.release.number for row in inbox(user) if row.phase == Phase.OWED]


def close(release: Release, shop: Shop) -> Release:
    """Close it as who may deploy."""
    return operations.close_release(release.number, actor=acting(shop.cast.author))


def test_it_starts_without_review_but_not_with_another_content(shop: Shop) -> None:
    release = emergency(shop)
    require_startable(release, actor=acting(shop.cast.author))
    release.items.update(digest="sha256:" + "1" * 64)
    assert [entry["code"] for entry in still_approved(release)] == ["digest"]


def test_it_ends_with_its_time_when_nobody_starts_it(shop: Shop) -> None:
    release = emergency(shop)
    request = release.approval_request
    assert request is not None
    request.expires_at = request.opened_at
    request.save(update_fields=["expires_at"])
    recheck_pending()
    release.refresh_from_db()
    assert release.state == "expired"


def test_before_its_start_there_is_nothing_to_review(shop: Shop) -> None:
    release = emergency(shop)
    with pytest.raises(Conflict):
        decide(release, shop.cast.team_lead)
    assert owed_to(shop.cast.team_lead) == []


@long
def test_it_closes_by_its_owed_review_and_not_before(shop: Shop) -> None:
    release = started(shop)
    assert verify(release).state == "review_owed"
    assert owed_to(shop.cast.team_lead) == [release.number]
    with pytest.raises(Conflict) as error:
        close(release, shop)
    assert [entry["code"] for entry in error.value.missing] == ["requirement"]
    with pytest.raises(NotAllowed) as refused:
        decide(release, shop.cast.author)
    assert refused.value.code == "self_approval"
    decide(release, shop.cast.team_lead)
    release.refresh_from_db()
    assert (release.state, release.ended_at is not None) == ("closed", True)
    assert owed_to(shop.cast.team_lead) == []


@long
def test_who_started_it_does_not_review_it(shop: Shop) -> None:
    other = person("other-lead", ("team_lead", "team:commerce"))
    release = started(shop)
    Rollout.objects.update(started_by=shop.cast.team_lead)
    verify(release)
    assert owed_to(shop.cast.team_lead) == []
    with pytest.raises(NotAllowed) as error:
        decide(release, shop.cast.team_lead)
    assert error.value.code == "self_approval"
    decide(release, other)
    release.refresh_from_db()
    assert release.state == "closed"


@long
def test_who_only_gave_it_orders_does_review_it(shop: Shop) -> None:
    release = started(shop)
    rollout = Rollout.objects.get()
    for kind in ("pause", "rollback"):
        give_order(rollout.pk, kind, actor=acting(shop.cast.team_lead))
    verify(release)
    decide(release, shop.cast.team_lead)
    release.refresh_from_db()
    assert release.state == "closed"


@long
def test_who_wrote_in_it_does_not_review_it_and_the_next_role_up_does(shop: Shop) -> None:
    release = make_release(shop, grade="E", incident=INCIDENT)
    changed = {"changes": [{"area": "API", "text": "hotfix", "link": None}]}
    lead = acting(shop.cast.team_lead)
    operations.edit_release(release.number, changed, actor=lead, if_match=release.content_digest)
    operations.submit_release(release.number, actor=acting(shop.cast.author))
    roll_out(release, shop)
    verify(Release.objects.get(pk=release.pk))
    with pytest.raises(NotAllowed) as error:
        decide(release, shop.cast.team_lead)
    assert error.value.code == "self_approval"
    decide(release, shop.cast.director)
    release.refresh_from_db()
    assert release.state == "closed"


@long
def test_rolled_back_it_owes_its_review_and_says_so(shop: Shop) -> None:
    release = follow(started(shop), "rolling_back", "rolled_back")
    assert (release.state, release.ended_at) == ("review_owed", None)
    assert owed_to(shop.cast.team_lead) == [release.number]
    assert Message.objects.filter(key__contains=".owed:lead").exists()
    answer = ApiClient(shop.cast.author).post(f"/releases/{release.number}/close").json()
    assert (answer["status"], [entry["code"] for entry in answer["missing"]]) == (409, ["requirement"])
    decide(release, shop.cast.team_lead)
    assert ApiClient(shop.cast.auditor).get(f"/releases/{release.number}").json()["state"] == "closed"


@long
def test_why_a_review_is_owed_is_said_in_the_readers_language(shop: Shop, client: Client) -> None:
    with translation.override("ko"):
        release = follow(started(shop), "rolling_back", "rolled_back")
    client.force_login(shop.cast.author)
    page = client.get(f"/releases/{release.number}/", headers={"accept-language": "en"})
    assert "It was rolled back." in page.content.decode()


@long
def test_rolled_back_after_its_review_it_owes_no_second_one(shop: Shop) -> None:
    release = started(shop)
    verify(release)
    decide(release, shop.cast.team_lead)
    release.refresh_from_db()
    release = follow(release, "rolling_back", "rolled_back")
    assert (release.state, release.ended_at is not None) == ("rolled_back", True)


@long
def test_failed_it_can_be_reviewed_as_it_stands(shop: Shop) -> None:
    release = follow(started(shop), "failed")
    assert owed_to(shop.cast.team_lead) == [release.number]
    decide(release, shop.cast.team_lead)
    release.refresh_from_db()
    assert release.state == "closed"


@long
def test_failed_and_given_up_it_goes_to_its_reviewers(shop: Shop) -> None:
    release = follow(started(shop), "failed")
    assert close(release, shop).state == "review_owed"
    decide(release, shop.cast.team_lead)
    release.refresh_from_db()
    assert release.state == "closed"


@long
def test_open_checks_hold_its_close_after_the_review(shop: Shop) -> None:
    make_checklist(AFTER)
    release = started(shop)
    verify(release)
    other = person("other-lead", ("team_lead", "team:commerce"))
    decide(release, shop.cast.team_lead)
    release.refresh_from_db()
    assert release.state == "review_owed"
    assert owed_to(other) == []
    with pytest.raises(Conflict) as error:
        close(release, shop)
    assert error.value.code == "checklist_open"
    check = release.checks.get()
    operations.answer_check(release.number, check.pk, actor=acting(shop.cast.author), result="done")
    assert close(release, shop).state == "closed"


@long
def test_an_objection_to_it_is_answered_by_its_reviewer(shop: Shop) -> None:
    release = started(shop)
    objection = decide(release, shop.cast.outsider, Verdict.OBJECT, "too early")
    lead = acting(shop.cast.team_lead)
    answered = operations.answer_objection(release.number, objection.pk, actor=lead, answer="payments failed")
    assert answered.answered_by == shop.cast.team_lead


ACTS = st.sampled_from(
    (
        *("failed", "paused", "rolling_out", "verifying", "rolling_back", "rolled_back", "succeeded"),
        *("review by author", "review by lead", "review by other", "close", "check"),
    )
)


class Emergency:
    """A started emergency with a check after its rollout, and who acts on it."""

    def __init__(self, shop: Shop) -> None:
        make_checklist(AFTER)
        self.shop = shop
        self.release = started(shop)

    def act(self, name: str) -> None:
        """Do one thing; a refusal is fine."""
        verb, _word, who = name.partition(" by ")
        by_name: dict[str, Callable[[], object]] = {
            "succeeded": self._succeed,
            "review": lambda: decide(self.release, User.objects.get(username=who)),
            "close": lambda: close(self.release, self.shop),
            "check": self._check,
        }
        with suppress(PortalError):
            by_name.get(verb, lambda: follow(self.release, verb))()
        self.release = Release.objects.get(pk=self.release.pk)

    def require_truth(self) -> None:
        """It is over only when reviewed, closed only when checked, and its reviewers are asked until then."""
        request = self.release.approval_request
        assert request is not None
        reviewed = standing(request).is_met(Phase.OWED)
        assert reviewed or self.release.state not in ENDS
        assert self.release.state != "closed" or missing_checks(self.release, "after") == []
        assert (self.release.ended_at is not None) == (self.release.state in ENDS)
        waits = self.release.state in {"review_owed", "failed"} and not reviewed
        assert (owed_to(self.shop.cast.team_lead) == [self.release.number]) == waits

    def _succeed(self) -> None:
        if self.release.state == "verifying":
            release_side.succeeded(self.release, actor=ENGINE)

    def _check(self) -> None:
        check = self.release.checks.get()
        author = acting(self.shop.cast.author)
        operations.answer_check(self.release.number, check.pk, actor=author, result="done")


@long
@pytest.mark.repeated
@settings(
    max_examples=examples(12, soaking=200),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(acts=st.lists(ACTS, min_size=3, max_size=9))
def test_whatever_comes_of_it_it_is_over_only_when_reviewed(shop: Shop, acts: list[str]) -> None:
    with transaction.atomic():
        person("other", ("team_lead", "team:commerce"))
        history = Emergency(shop)
        for name in acts:
            history.act(name)
            history.require_truth()
        transaction.set_rollback(True)
