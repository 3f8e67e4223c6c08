"""Random histories of one release: whatever people do in whatever order, an approval is what it says."""

import itertools
from collections.abc import Callable

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from approvals.digests import digest_of
from approvals.models import Decision
from approvals.states import Verdict
from portal.audit.models import AuditEntry
from portal.errors import PortalError
from portal.people.models import RoleAssignment, User
from portal.people.operations import grant_role, revoke_role
from releases import operations
from releases.content import content_of
from releases.jobs import recheck_pending
from releases.models import Release
from releases.start import still_approved
from tests.factories import Shop, decide, make_release
from tests.people import BY_THE_PORTAL, acting, person
from tests.soak import examples

pytestmark = pytest.mark.django_db
ITEMS = [{"service": name, "version": "3"} for name in ("payment-service", "auth-service")]
PEOPLE = ("author", "lead", "identity-lead", "senior", "both", "outsider")
ROLES = (
    ("lead", "team_lead", "team:commerce"),
    ("both", "infra_senior", "cluster_group:production"),
    ("outsider", "team_lead", "team:identity"),
)
ACTS = st.one_of(
    st.tuples(st.just("approve"), st.sampled_from(PEOPLE)),
    st.tuples(st.just("send_back"), st.sampled_from(PEOPLE)),
    st.tuples(st.just("take_back"), st.sampled_from(PEOPLE)),
    st.tuples(st.just("edit"), st.sampled_from(("author", "both"))),
    st.tuples(st.sampled_from(("submit", "sweep")), st.just("author")),
    st.tuples(st.sampled_from(("grant", "revoke")), st.sampled_from([row[0] for row in ROLES])),
)


class History:
    """One release and the people around it."""

    def __init__(self, shop: Shop) -> None:
        self.release = make_release(shop, at="in_review", items=ITEMS, facts={"infrastructure": True})
        self.edits = 0

    def act(self, kind: str, username: str) -> None:
        """Do one thing; a refusal is fine."""
        user = User.objects.get(username=username)
        acts: dict[str, Callable[[], object]] = {
            "approve": lambda: decide(self.release, user),
            "send_back": lambda: decide(self.release, user, Verdict.SEND_BACK, "again"),
            "take_back": lambda: self._take_back(user),
            "edit": lambda: self._edit(user),
            "submit": lambda: operations.submit_release(self.release.number, actor=acting(user)),
            "sweep": recheck_pending,
            "grant": lambda: self._role(username, change=grant_role),
            "revoke": lambda: self._role(username, change=revoke_role),
        }
        before = AuditEntry.objects.count()
        refused = ""
        try:
            acts[kind]()
        except PortalError as error:
            refused = error.code
        if refused:
            is_recorded = refused not in {"not_found", "invalid"}
            assert AuditEntry.objects.count() == before + int(is_recorded)
        self.release = Release.objects.get(pk=self.release.pk)

    def _take_back(self, user: User) -> None:
        decision = Decision.objects.filter(person=user).last()
        operations.take_back_decision(
            self.release.number, decision.pk if decision else 10**9, actor=acting(user)
        )

    def _edit(self, user: User) -> None:
        self.edits += 1
        changes = {"changes": [{"area": "API", "text": f"edit {self.edits}"}]}
        operations.edit_release(
            self.release.number, changes, actor=acting(user), if_match=self.release.content_digest
        )

    def _role(self, username: str, *, change: Callable[..., None]) -> None:
        for name, role, scope in ROLES:
            if name == username:
                change(name, role=role, scope=scope, actor=BY_THE_PORTAL)

    def check(self) -> None:
        """What must be true after every act."""
        release = self.release
        assert digest_of(content_of(release)) == release.content_digest
        request = release.approval_request
        assert request is not None
        barred = {user.pk for user in request.barred.all()}
        live = list(request.decisions.filter(revoked_at=None))
        assert len({(decision.person_id, decision.phase) for decision in live}) == len(live)
        assert not barred & {decision.person_id for decision in live}
        assert barred >= {release.author_id}
        if release.state == "draft":
            assert request.state == "void"
            return
        assert set(release.contributors.values_list("pk", flat=True)) <= barred
        assert (still_approved(release) == []) == self._is_met()
        if release.state == "approved":
            assert request.state == "approved"
            assert request.content_digest == release.content_digest

    def _is_met(self) -> bool:
        """Try every choice of one role for each person who said yes."""
        request = self.release.approval_request
        assert request is not None
        rows = list(request.requirements.filter(phase="review"))
        yes = request.decisions.filter(revoked_at=None, verdict="approve")
        votes = [self._capacities(decision) for decision in yes]
        return any(
            all(
                sum(
                    role == row.role and any((role_, scope) in held for role_, scope in row.accepted)
                    for role, held in zip(choice, votes, strict=True)
                )
                >= row.count
                for row in rows
            )
            for choice in itertools.product({row.role for row in rows}, repeat=len(votes))
        )

    def _capacities(self, decision: Decision) -> set[tuple[str, str]]:
        """What the person held when deciding and holds still."""
        now = RoleAssignment.objects.filter(user=decision.person, revoked_at=None)
        return {(role, scope) for role, scope in decision.capacities} & set(now.values_list("role", "scope"))


@pytest.mark.repeated
@settings(
    max_examples=examples(12, soaking=300),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(acts=st.lists(ACTS, min_size=4, max_size=10))
def test_an_approval_is_always_by_enough_entitled_people_on_this_content(
    shop: Shop, acts: list[tuple[str, str]]
) -> None:
    with transaction.atomic():
        both = (("team_lead", "team:commerce"), ("infra_senior", "cluster_group:production"))
        person("both", *both)
        history = History(shop)
        history.check()
        for kind, username in acts:
            history.act(kind, username)
            history.check()
        transaction.set_rollback(True)


def test_a_sweep_leaves_no_release_approved_that_is_not(shop: Shop) -> None:
    release = make_release(shop, at="approved", items=ITEMS)
    revoke_role("lead", role="team_lead", scope="team:commerce", actor=BY_THE_PORTAL)
    recheck_pending()
    release.refresh_from_db()
    assert release.state == "in_review"
    grant_role("lead", role="team_lead", scope="team:commerce", actor=BY_THE_PORTAL)
    recheck_pending()
    release.refresh_from_db()
    assert release.state == "approved"
