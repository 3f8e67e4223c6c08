"""Two people at the same moment, on two connections: the end is what one after the other would have given."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest
from django.db import connections

from approvals.models import Decision, Request
from portal import clock
from portal.audit.models import AuditEntry
from portal.delegations.operations import end_delegation
from portal.errors import PortalError
from portal.people.models import Delegation, User
from portal.people.operations import revoke_role
from releases import operations
from releases.catalog.models import Plan
from releases.jobs import recheck_pending
from releases.models import Release
from releases.operations import locking
from releases.rollouts.models import Rollout
from releases.rollouts.operations import start_rollout
from releases.start import still_approved
from releases.states import ReleaseState
from tests.delegating import give
from tests.factories import Shop, decide, make_release
from tests.people import BY_THE_PORTAL, acting, person
from tests.soak import examples, long

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.repeated]
ROUNDS = examples(2, soaking=200)
TWO_TEAMS = [{"service": name, "version": "3"} for name in ("payment-service", "auth-service")]
SERVICES = ["auth-service", "payment-service", "shopping-service"]
MOVES = [f"release.{state}" for state in ReleaseState.values]
PL = ("pl", "service:shopping-service")
Act = Callable[[], Any]
# The gate of this thread's act, until it has passed it.
here = threading.local()


def pass_the_gate() -> None:
    """Wait until the other act has come as far, once."""
    gate, here.gate = getattr(here, "gate", None), None
    if gate is not None:
        gate.wait(timeout=20)


@pytest.fixture(autouse=True)
def gate(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let acts meet where it matters: each in its transaction, about to lock the release."""
    lock = locking.lock_release

    def meet_and_lock(*args: Any, **kwargs: Any) -> Release:
        pass_the_gate()
        return lock(*args, **kwargs)

    monkeypatch.setattr(locking, "lock_release", meet_and_lock)


def ended(act: Act) -> str:
    """Carry the act out; "done", or the code of a refusal, which says in words what happened."""
    try:
        act()
    except PortalError as error:
        return error.code if str(error.detail) else "refused without a word"
    return "done"


def at_once(*acts: Act) -> list[str]:
    """Run the acts at the same moment; how each ended."""
    meeting = threading.Barrier(len(acts))

    def run(act: Act) -> str:
        here.gate = meeting
        try:
            return ended(act)
        finally:
            pass_the_gate()  # what locks no release, or was refused before, holds nobody up
            connections.close_all()

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(run, acts))


def approving(release: Release, user: Any) -> Act:
    """Approve what the release is at this moment."""
    digest = release.content_digest
    return lambda: operations.decide_release(
        release.number, actor=acting(user), verdict="approve", content_digest=digest
    )


def editing(release: Release, shop: Shop) -> Act:
    """Write another content over the one of this moment."""
    seen = release.content_digest
    actor = acting(shop.cast.author)
    return lambda: operations.edit_release(release.number, {"changes": []}, actor=actor, if_match=seen)


def starting(release: Release, user: User) -> Act:
    """Press start."""
    return lambda: start_rollout(release.number, actor=acting(user))


def taking_back(release: Release, user: User) -> Act:
    """Take back the one approval that there is."""
    decision = Decision.objects.get(request__subject=release.subject, person=user)
    return lambda: operations.take_back_decision(release.number, decision.pk, actor=acting(user))


def ending(delegation: Delegation) -> Act:
    """Take a delegation back; it locks no release, so that it meets the other here."""

    def end() -> None:
        pass_the_gate()
        end_delegation(delegation.pk, actor=acting(delegation.giver))

    return end


@dataclass(frozen=True)
class Race:
    """What two people do to a fresh release."""

    acts: Callable[[Shop, Release], list[Act]]
    at: str = "in_review"
    items: tuple[dict[str, str], ...] = ({"service": "shopping-service", "version": "2.8.0"},)

    def release(self, shop: Shop) -> Release:
        """One like all the others; what went before stands in nobody's way."""
        Plan.objects.update(spec={"waves": [{"title": "All", "services": SERVICES}]})
        Rollout.objects.update(state="succeeded")
        return make_release(shop, at=self.at, items=list(self.items))


def _delegated(shop: Shop, release: Release) -> list[Act]:
    given = give(shop.cast.pl, shop.cast.outsider, *PL)
    return [approving(release, shop.cast.outsider), ending(given)]


RACES = {
    "the last two approvers": Race(
        lambda shop, release: [
            approving(release, shop.cast.team_lead),
            approving(release, shop.identity_lead),
        ],
        items=tuple(TWO_TEAMS),
    ),
    "approve and edit": Race(
        lambda shop, release: [approving(release, shop.cast.pl), editing(release, shop)]
    ),
    "take back and start": Race(
        lambda shop, release: [taking_back(release, shop.cast.pl), starting(release, shop.cast.author)],
        at="approved",
    ),
    "two starts": Race(
        lambda shop, release: [starting(release, shop.cast.author), starting(release, shop.cast.team_lead)],
        at="approved",
    ),
    "the end of a delegation and a decision by it": Race(_delegated),
}


def seen_of(release: Release) -> tuple[Any, ...]:
    """All that an order of acts leaves behind, the same for every release."""
    release = Release.objects.get(pk=release.pk)
    told = AuditEntry.objects.filter(release=release.number, action__in=MOVES).order_by("pk")
    live = Decision.objects.filter(request__subject=release.subject, revoked_at=None)
    return (
        release.state,
        *Request.objects.filter(subject=release.subject).values_list("state", flat=True),
        sorted(live.values_list("person__username", flat=True)),
        release.rollouts.count(),
        sorted(entry["code"] for entry in still_approved(release)),
        list(told.values_list("action", flat=True)),
    )


def in_turn(acts: list[Act], order: tuple[int, ...]) -> list[str]:
    """Carry the acts out one after the other; how each ended, in their own order."""
    ends = {number: ended(acts[number]) for number in order}
    return [ends[number] for number in range(len(acts))]


@long
@pytest.mark.parametrize("name", RACES)
def test_one_after_the_other_explains_what_both_at_once_left(shop: Shop, name: str) -> None:
    race = RACES[name]
    serial = []
    for order in permutations(range(2)):
        release = race.release(shop)
        serial.append((in_turn(race.acts(shop, release), order), seen_of(release)))
        Delegation.objects.update(ended_at=clock.now())
    for _round in range(ROUNDS):
        release = race.release(shop)
        assert (at_once(*race.acts(shop, release)), seen_of(release)) in serial
        Delegation.objects.update(ended_at=clock.now())


@long
def test_a_start_at_the_moment_of_expiry_is_in_time_or_expired(shop: Shop) -> None:
    race = RACES["two starts"]
    for number in range(ROUNDS):
        release = race.release(shop)
        ends_at = clock.now() + timedelta(milliseconds=number * 7 % 50)
        Request.objects.filter(subject=release.subject).update(expires_at=ends_at)
        started, _swept = at_once(starting(release, shop.cast.author), recheck_pending)
        state, _round, _people, rollouts, *_rest = seen_of(release)
        assert (started, rollouts) in {("done", 1), ("expired", 0)}
        assert state in ({"rolling_out"} if rollouts else {"approved", "expired"})
        Request.objects.filter(subject=release.subject).update(expires_at=clock.now())
        recheck_pending()
        assert seen_of(release)[0] == ("rolling_out" if rollouts else "expired")


@long
def test_one_person_through_two_doors_counts_once(shop: Shop) -> None:
    for _round in range(ROUNDS):
        release = make_release(shop, at="in_review")
        ends = at_once(*[approving(release, shop.cast.pl)] * 2)
        assert sorted(ends) in (["already_decided", "done"], ["done", "wrong_state"])
        assert Decision.objects.filter(request__subject=release.subject).count() == 1


@long
def test_an_approval_and_a_withdrawal_have_one_winner_in_the_end(shop: Shop) -> None:
    for _round in range(ROUNDS):
        release = make_release(shop, at="in_review")

        def withdraw(number: int = release.number) -> None:
            operations.withdraw_release(number, actor=acting(shop.cast.author))

        approved, withdrawn = at_once(approving(release, shop.cast.pl), withdraw)
        release.refresh_from_db()
        assert (withdrawn, release.state) == ("done", "withdrawn")
        assert approved in {"done", "wrong_state"}


@long
def test_two_submissions_of_the_same_services_leave_one_pending(shop: Shop) -> None:
    for _round in range(ROUNDS):
        drafts = [make_release(shop), make_release(shop)]

        def submitting(release: Release) -> Callable[[], Any]:
            return lambda: operations.submit_release(release.number, actor=acting(shop.cast.author))

        assert at_once(*[submitting(draft) for draft in drafts]) == ["done", "done"]
        states = [Release.objects.get(pk=draft.pk).state for draft in drafts]
        assert states in (["superseded", "in_review"], ["in_review", "in_review"])
        if states[0] == "in_review":
            # The older one came second: it replaces nothing newer.
            older = AuditEntry.objects.filter(action="release.in_review", release=drafts[0].number).get()
            newer = AuditEntry.objects.filter(action="release.in_review", release=drafts[1].number).get()
            assert (older.number or 0) > (newer.number or 0)
        for draft in drafts:
            draft.refresh_from_db()
            if draft.state == "in_review":
                operations.withdraw_release(draft.number, actor=acting(shop.cast.author))


def test_a_role_that_is_taken_away_at_the_same_moment_counts_before_or_after(shop: Shop) -> None:
    release = make_release(shop, at="in_review")

    def revoke() -> None:
        revoke_role("pl", role="pl", scope="service:shopping-service", actor=BY_THE_PORTAL)

    decided, _revoked = at_once(approving(release, shop.cast.pl), revoke)
    assert decided in {"done", "not_entitled"}
    release = Release.objects.get(pk=release.pk)
    assert still_approved(release) != []


@long
def test_a_giver_and_their_delegate_at_once_use_the_mandate_once(shop: Shop) -> None:
    give(shop.cast.pl, shop.cast.outsider, "pl", "service:shopping-service")
    for _round in range(ROUNDS):
        release = make_release(shop, at="in_review")
        ends = at_once(approving(release, shop.cast.outsider), approving(release, shop.cast.pl))
        assert sorted(ends) in (["already_decided", "done"], ["done", "wrong_state"])
        assert Decision.objects.filter(request__subject=release.subject).count() == 1


def test_two_who_give_to_each_other_at_once_make_no_loop(shop: Shop) -> None:
    for _round in range(ROUNDS):
        ends = at_once(
            lambda: give(shop.cast.pl, shop.cast.team_lead, "pl", "service:shopping-service"),
            lambda: give(shop.cast.team_lead, shop.cast.pl, "team_lead", "team:commerce"),
        )
        assert sorted(ends) == ["delegation_clash", "done"]
        standing = Delegation.objects.get(ended_at=None)
        end_delegation(standing.pk, actor=acting(standing.giver))


@long
def test_reject_and_approve_at_once_never_leave_both(shop: Shop) -> None:
    second = person("second-pl", ("pl", "service:shopping-service"))
    for _round in range(ROUNDS):
        release = make_release(shop, at="in_review")
        at_once(
            approving(release, shop.cast.pl),
            lambda release=release: decide(release, second, "reject", "no"),  # type: ignore[misc]
        )
        release.refresh_from_db()
        assert release.state == "rejected"
