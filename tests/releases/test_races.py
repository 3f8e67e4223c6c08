"""Two people at the same moment, on two connections: the end is what one after the other would have given."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connections

from approvals.models import Decision, Request
from portal.audit.models import AuditEntry
from portal.delegations.operations import end_delegation
from portal.errors import PortalError
from portal.people.models import Delegation
from portal.people.operations import revoke_role
from releases import operations
from releases.models import Release
from releases.start import still_approved
from tests.delegating import give
from tests.factories import Shop, decide, make_release
from tests.people import BY_THE_PORTAL, acting, person

pytestmark = pytest.mark.django_db(transaction=True)
ROUNDS = 4


def at_once(*acts: Callable[[], Any]) -> list[str]:
    """Run the acts at the same moment; returns "done" or the refusal's code for each."""
    gate = threading.Barrier(len(acts))

    def run(act: Callable[[], Any]) -> str:
        gate.wait(timeout=10)
        try:
            act()
        except PortalError as error:
            return error.code
        finally:
            connections.close_all()
        return "done"

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(run, acts))


def approving(release: Release, user: Any) -> Callable[[], Any]:
    """Approve what the release is at this moment."""
    digest = release.content_digest
    return lambda: operations.decide_release(
        release.number, actor=acting(user), verdict="approve", content_digest=digest
    )


def test_two_last_approvers_settle_it_once(shop: Shop) -> None:
    items = [{"service": name, "version": "3"} for name in ("payment-service", "auth-service")]
    for _round in range(ROUNDS):
        release = make_release(shop, at="in_review", items=items)
        ends = at_once(approving(release, shop.cast.team_lead), approving(release, shop.identity_lead))
        release.refresh_from_db()
        assert ends == ["done", "done"]
        assert release.state == "approved"
        approved = AuditEntry.objects.filter(action="release.approved", release=release.number)
        assert approved.count() == 1


def test_one_person_through_two_doors_counts_once(shop: Shop) -> None:
    for _round in range(ROUNDS):
        release = make_release(shop, at="in_review")
        ends = at_once(*[approving(release, shop.cast.pl)] * 2)
        assert sorted(ends) in (["already_decided", "done"], ["done", "wrong_state"])
        assert Decision.objects.filter(request__subject=release.subject).count() == 1


def test_an_approval_and_an_edit_leave_no_approval_of_another_content(shop: Shop) -> None:
    for _round in range(ROUNDS):
        release = make_release(shop, at="in_review")
        seen = release.content_digest

        def edit(number: int = release.number, seen: str = seen) -> None:
            operations.edit_release(number, {"changes": []}, actor=acting(shop.cast.author), if_match=seen)

        approved, edited = at_once(approving(release, shop.cast.pl), edit)
        release.refresh_from_db()
        assert edited == "done"
        assert approved in {"done", "wrong_state"}
        assert release.state == "draft"
        assert Request.objects.get(subject=release.subject).state == "void"


def test_an_approval_and_a_withdrawal_have_one_winner_in_the_end(shop: Shop) -> None:
    for _round in range(ROUNDS):
        release = make_release(shop, at="in_review")

        def withdraw(number: int = release.number) -> None:
            operations.withdraw_release(number, actor=acting(shop.cast.author))

        approved, withdrawn = at_once(approving(release, shop.cast.pl), withdraw)
        release.refresh_from_db()
        assert (withdrawn, release.state) == ("done", "withdrawn")
        assert approved in {"done", "wrong_state"}


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


def test_a_delegation_ended_at_the_same_moment_counts_before_or_after(shop: Shop) -> None:
    for _round in range(ROUNDS):
        given = give(shop.cast.pl, shop.cast.outsider, "pl", "service:shopping-service")
        release = make_release(shop, at="in_review")
        decided, ended = at_once(
            approving(release, shop.cast.outsider),
            lambda given=given: end_delegation(given.pk, actor=acting(shop.cast.pl)),  # type: ignore[misc]
        )
        assert (decided, ended) in {("done", "done"), ("not_entitled", "done")}
        assert still_approved(Release.objects.get(pk=release.pk)) != []


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
