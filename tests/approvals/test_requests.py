"""Requests on their own, for a subject that approvals know nothing about."""

import pytest
from pytest_django import DjangoAssertNumQueries

from approvals import operations, queries
from approvals.models import PolicyVersion, Request
from approvals.policy import Part
from approvals.states import Phase
from portal import access
from portal.audit.models import AuditEntry
from portal.errors import Conflict, Invalid, NotAllowed, NotFound
from portal.people.models import User
from tests.factories import policy_table
from tests.people import BY_THE_PORTAL, Cast, acting
from tests.soak import long

DIGEST = "sha256:" + "a" * 64


@pytest.fixture
def policy(cast: Cast) -> PolicyVersion:
    """The example's policy, in force."""
    return operations.publish_policy(policy_table(), actor=BY_THE_PORTAL)


def open_one(policy: PolicyVersion, author: User, *, subject: str = "letter:7", grade: str = "B") -> Request:
    """Ask for approval of a letter about shopping-service."""
    rows = queries.required_rows(
        policy,
        grade=grade,
        proposed=grade,
        parts=[Part(service="shopping-service", team="commerce")],
        barred=[author.pk],
        author=author.pk,
    )
    return operations.open_request(
        subject,
        grade=grade,
        policy=policy,
        content_digest=DIGEST,
        rows=rows,
        barred=[author],
        actor=acting(author),
    )


def approve(request: Request, user: User, *, phase: str = Phase.REVIEW) -> operations.Outcome:
    """Say yes."""
    return operations.record_decision(
        request.pk, actor=acting(user), verdict="approve", content_digest=DIGEST, phase=phase
    )


def test_the_outcome_says_what_a_decision_led_to(policy: PolicyVersion, cast: Cast) -> None:
    outcome = approve(open_one(policy, cast.author), cast.pl)
    assert (outcome.state, outcome.changed, outcome.phase_met) == ("approved", True, True)


def test_two_yes_are_needed_where_the_policy_says_two(policy: PolicyVersion, cast: Cast) -> None:
    two = {"review": [{"role": "pl", "scope": "service", "count": 2}]}
    operations.publish_policy(policy_table(), actor=BY_THE_PORTAL)
    with pytest.raises(Invalid) as error:
        operations.publish_policy(policy_table(B=two), actor=BY_THE_PORTAL)
    assert [fault["field"] for fault in error.value.missing] == ["B.pl"]


def test_a_sign_off_is_asked_for_after_the_review_only(policy: PolicyVersion, cast: Cast) -> None:
    request = open_one(policy, cast.author)
    with pytest.raises(Conflict):
        approve(request, cast.pl, phase=Phase.SIGNOFF)
    approve(request, cast.pl)
    assert approve(request, cast.team_lead, phase=Phase.SIGNOFF).phase_met


@long
def test_a_reviewer_may_sign_off_unless_the_policy_wants_another(policy: PolicyVersion, cast: Cast) -> None:
    request = open_one(policy, cast.author)
    approve(request, cast.pl)
    assert approve(request, cast.pl, phase=Phase.SIGNOFF).phase_met
    strict = operations.publish_policy(policy_table(B={"signoff_by_another": True}), actor=BY_THE_PORTAL)
    request = open_one(strict, cast.author, subject="letter:8")
    approve(request, cast.pl)
    with pytest.raises(NotAllowed):
        approve(request, cast.pl, phase=Phase.SIGNOFF)
    assert approve(request, cast.team_lead, phase=Phase.SIGNOFF).phase_met


def test_there_is_one_live_request_for_a_subject(policy: PolicyVersion, cast: Cast) -> None:
    first = open_one(policy, cast.author)
    operations.void_request(first.pk, actor=acting(cast.author), reason="changed")
    second = open_one(policy, cast.author)
    assert (first.round, second.round) == (1, 2)


def test_approving_one_request_says_nothing_about_another_with_equal_content(
    policy: PolicyVersion, cast: Cast
) -> None:
    first, second = open_one(policy, cast.author), open_one(policy, cast.author, subject="letter:8")
    decision = approve(first, cast.pl).decision
    assert not queries.standing(second).is_met(Phase.REVIEW)
    with pytest.raises(NotFound):
        operations.revoke_decision(decision.pk, request_id=second.pk, actor=acting(cast.pl))


def test_a_request_without_review_rows_is_never_approved(policy: PolicyVersion, cast: Cast) -> None:
    request = open_one(policy, cast.author)
    request.requirements.all().delete()
    assert not operations.settle(request.pk, actor=BY_THE_PORTAL)
    assert not queries.standing(request).is_met(Phase.REVIEW)


def test_the_inbox_holds_what_a_person_can_still_decide(policy: PolicyVersion, cast: Cast) -> None:
    request = open_one(policy, cast.author)
    assert waiting_for(cast.pl) == [request]
    for user in (cast.author, cast.team_lead, cast.outsider):
        assert not waiting_for(user)
    approve(request, cast.pl)
    assert not waiting_for(cast.pl)


def waiting_for(user: User) -> list[Request]:
    """The requests whose review waits for the person."""
    return list(queries.requests_waiting_for(user, access.roles_of(user), among={Phase.REVIEW: None}))


def test_standings_take_the_same_number_of_queries_for_one_and_for_many(
    policy: PolicyVersion, cast: Cast, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    requests = [open_one(policy, cast.author, subject=f"letter:{number}") for number in range(5)]
    for count in (1, 5):
        with django_assert_num_queries(7):
            assert len(queries.standings(request.pk for request in requests[:count])) == count


def test_the_same_table_again_is_no_new_version(policy: PolicyVersion) -> None:
    assert operations.publish_policy(policy_table(), actor=BY_THE_PORTAL) == policy
    changed = operations.publish_policy(
        policy_table(C={"deadline_hours": 24}), actor=BY_THE_PORTAL, note="faster"
    )
    assert changed.version == policy.version + 1
    assert queries.current_policy() == changed
    assert AuditEntry.objects.filter(action="policy.changed").count() == 2


def test_without_a_policy_nothing_can_be_asked_for(db: None) -> None:
    with pytest.raises(Conflict) as error:
        queries.current_policy()
    assert error.value.code == "no_policy"
