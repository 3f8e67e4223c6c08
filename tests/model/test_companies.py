"""Random companies and what their people do to a release: the product answers as the rules say."""

from collections.abc import Callable

import pytest
from django.db import transaction
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from approvals.digests import digest_of
from approvals.models import Decision
from approvals.queries import standing
from portal.actors import Actor
from portal.audit.models import AuditEntry
from portal.errors import PortalError
from portal.people.models import User
from portal.people.operations import activate_person, deactivate_person, grant_role, revoke_role
from releases import operations
from releases.content import content_of
from releases.jobs import recheck_pending
from releases.models import Release
from releases.start import require_startable
from tests.factories import Shop, decide
from tests.model import rules
from tests.people import BY_THE_PORTAL, acting, person
from tests.soak import examples

pytestmark = [pytest.mark.django_db, pytest.mark.repeated]

SERVICES = {
    "shopping-service": rules.Service("shopping-service", "commerce", core=False),
    "payment-service": rules.Service("payment-service", "commerce", core=True),
    "auth-service": rules.Service("auth-service", "identity", core=True),
}
CAPACITIES = (
    ("pl", "service:shopping-service"),
    ("pl", "service:payment-service"),
    ("pl", "team:identity"),
    ("team_lead", "team:commerce"),
    ("team_lead", "team:identity"),
    ("team_lead", "*"),
    ("infra_senior", "cluster_group:production"),
    ("director", "*"),
)
# Everybody sees the release by a role that decides nothing.
SEES = ("qa", "*")
PEOPLE = ("author", "editor", "pl", "lead", "identity-lead", "senior", "director")
EDITORS = ("author", "editor")
FACTS = ("new_api", "infrastructure", "traffic_path", "database_change")
people = st.sampled_from(PEOPLE)
grants = st.tuples(people, st.sampled_from(CAPACITIES))
# Who holds two roles of one release is where chains block or one person counts twice.
doubles = st.sampled_from(
    [
        ("lead", ("infra_senior", "cluster_group:production")),
        ("senior", ("team_lead", "team:commerce")),
        ("lead", ("team_lead", "team:identity")),
        ("author", ("pl", "service:shopping-service")),
        ("lead", ("pl", "service:shopping-service")),
    ]
)


class Companies(RuleBasedStateMachine):
    """One release in a company whose roles change under it; `model` is what the rules say of it."""

    shop: Shop

    def __init__(self) -> None:
        super().__init__()
        self.undo = transaction.atomic()
        self.undo.__enter__()
        self.edits = 0
        self.told = AuditEntry.objects.count()

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.undo.__exit__(None, None, None)

    @initialize(
        changes=st.lists(grants, max_size=3),
        two_roles=st.sets(doubles, min_size=1, max_size=3),
        services=st.just(["shopping-service"])
        | st.lists(st.sampled_from(sorted(SERVICES)), min_size=1, max_size=3, unique=True),
        facts=st.sets(st.sampled_from(FACTS), max_size=2),
        wanted=st.sampled_from(["", "", "A", "B", "C", "D"]),
    )
    def compose(
        self,
        changes: list[tuple[str, rules.Capacity]],
        two_roles: set[tuple[str, rules.Capacity]],
        services: list[str],
        facts: set[str],
        wanted: str,
    ) -> None:
        """Roles as they fall, and a release of some services."""
        self.company = rules.Company({name: set(held) for name, held in STARTING.items()})
        for name, capacity in [*changes, *sorted(two_roles)]:
            self._toggle(name, capacity)
        self.model = rules.Release("author", [SERVICES[name] for name in services], facts, "")
        self.model.chosen = wanted or self.model.proposed
        data = self.shop.data(
            items=[{"service": name, "version": "3"} for name in services],
            facts=dict.fromkeys(facts, True),
            database_changes=[{"service": services[0], "text": "a column"}]
            if "database_change" in facts
            else [],
            grade=wanted or None,
            grade_reason="it is small" if wanted else "",
        )
        self.number = operations.create_release(data, actor=self._actor("author")).number
        assert self.row.proposal["grade"] == self.model.proposed
        self.submit()

    @rule(grant=grants)
    def change_role(self, grant: tuple[str, rules.Capacity]) -> None:
        """Give a role, or take it."""
        if grant[0] not in self.company.closed:
            self._toggle(*grant)

    @precondition(lambda self: self.model.yes)
    @rule(pick=st.integers(0, 3))
    def take_the_role_of_who_said_yes(self, pick: int) -> None:
        """What somebody decided in is taken away."""
        votes = sorted((vote.person, held) for vote in self.model.yes.values() for held in vote.capacities)
        name, capacity = votes[pick % len(votes)]
        if capacity in self.company.held[name]:
            self._toggle(name, capacity)

    @rule(name=st.sampled_from(PEOPLE[1:]))
    def close_or_open_account(self, name: str) -> None:
        """People leave, and come back without what they held."""
        if name in self.company.closed:
            activate_person(name, actor=BY_THE_PORTAL)
            grant_role(name, role=SEES[0], scope=SEES[1], actor=BY_THE_PORTAL)
            self.company.closed.remove(name)
            self.company.held[name] = {SEES}
        else:
            deactivate_person(name, actor=BY_THE_PORTAL)
            self.company.closed.add(name)
            self.company.held[name] = set()

    @precondition(lambda self: self.model.state in ("draft", "sent_back"))
    @rule()
    def submit(self) -> None:
        """Ask for approval of what there is now."""
        before = self.row.content_digest
        said = self.model.submit(self.company)
        self._same(said, lambda: operations.submit_release(self.number, actor=self._actor("author")))
        assert self.row.content_digest == before

    @rule(name=st.sampled_from(EDITORS))
    def edit(self, name: str) -> None:
        """Change what is sealed."""
        self.edits += 1
        data = {"changes": [{"area": "API", "text": f"edit {self.edits}"}]}
        seen = self.row.content_digest
        said = "not_found" if name in self.company.closed else self.model.edit(name)
        self._same(
            said,
            lambda: operations.edit_release(self.number, data, actor=self._actor(name), if_match=seen),
        )

    @precondition(lambda self: self.model.state == "in_review")
    @rule(pick=st.integers(0, 3))
    def approve_as_asked(self, pick: int) -> None:
        """Approvals by those who are asked are what most of a review is made of."""
        self._decide(self._pick(pick), "approve", stale=False)

    @rule(pick=st.integers(0, 11), stale=st.sampled_from([False, False, False, True]))
    def approve(self, pick: int, stale: bool) -> None:
        """Say yes, sometimes to what was there before; mostly somebody who is asked."""
        self._decide(self._pick(pick), "approve", stale=stale)

    @precondition(lambda self: self.model.yes)
    @rule(name=people, verdict=st.sampled_from(["send_back", "send_back", "reject"]))
    def refuse(self, name: str, verdict: str) -> None:
        """Say no."""
        self._decide(name, verdict, stale=False)

    @rule(name=people)
    def take_back(self, name: str) -> None:
        """Take one's newest yes back."""
        decision = Decision.objects.filter(person__username=name, verdict="approve").order_by("pk").last()
        if decision is None:
            return
        said = "not_found" if name in self.company.closed else self.model.take_back(name, self.company)
        self._same(
            said, lambda: operations.take_back_decision(self.number, decision.pk, actor=self._actor(name))
        )

    @precondition(lambda self: self.model.state in rules.OPEN_STATES)
    @rule(name=people)
    def raise_objection(self, name: str) -> None:
        """Anybody who sees it is heard."""
        if name not in self.company.closed:
            decide(self.row, User.objects.get(username=name), "object", "not like this")
            self.model.objections += 1

    @precondition(lambda self: self.model.state in rules.OPEN_STATES)
    @rule()
    def sweep(self) -> None:
        """Roles that came or went move what waits."""
        recheck_pending()
        self.model.follow(self.company)

    @precondition(lambda self: self.model.yes)
    @rule()
    def start(self) -> None:
        """Only what is approved, by people who count, may start."""
        missing = set(self.model.missing(self.company))
        refusal = self._refusal(lambda: require_startable(self.row, actor=self._actor("author")))
        if refusal is None:
            assert (self.model.state, missing) == ("approved", set())
        elif self.model.state in rules.OPEN_STATES and missing:
            assert {entry["code"] for entry in refusal.missing} == missing
        else:
            assert (refusal.code, self.model.state != "approved") == ("wrong_state", True)

    @invariant()
    def says_what_the_rules_say(self) -> None:
        """State, rows, who filled them, and the seal."""
        release = self.row
        assert release.state == self.model.state
        assert digest_of(content_of(release)) == release.content_digest
        if release.state not in rules.OPEN_STATES:
            return
        request = release.approval_request
        assert request is not None
        asked = {(row.role, row.scope) for row in request.requirements.filter(phase="review")}
        assert asked == {(row.role, row.scope) for row in self.model.rows}
        assert {user.username for user in request.barred.all()} == self.model.barred
        found = standing(request)
        assert found.is_met("review") == self.model.is_met(self.company)
        for row in found.phase("review"):
            assert not {user.username for user in row.met_by} & self.model.barred

    @property
    def row(self) -> Release:
        """The release as the database knows it."""
        return Release.objects.select_related("approval_request", "environment__cluster", "plan").get(
            number=self.number
        )

    def _pick(self, pick: int) -> str:
        asked = {name for row in self.model.rows for name in self.company.holders(row)} | set(self.model.yes)
        return [*sorted(asked), *PEOPLE, *PEOPLE][pick]

    def _decide(self, name: str, verdict: str, *, stale: bool) -> None:
        if name in self.company.closed:
            said = "not_found"
        elif verdict == "approve":
            said = self.model.approve(name, self.company, stale=stale)
        else:
            said = self.model.refuse(name, verdict, self.company, stale=stale)
        seen = f"sha256:{'0' * 64}" if stale else self.row.content_digest
        self._same(
            said,
            lambda: operations.decide_release(
                self.number,
                actor=self._actor(name),
                verdict=verdict,
                content_digest=seen,
                reason="" if verdict == "approve" else "because",
            ),
        )

    def _same(self, said: str, act: Callable[[], object]) -> None:
        """The product's answer is the rules' answer, and a move leaves exactly one entry in the record."""
        known = Release.objects.filter(number=self.number).values_list("state", flat=True).first()
        newest = AuditEntry.objects.order_by("pk").values_list("pk", flat=True).last() or 0
        refusal = self._refusal(act)
        code = refusal.code if refusal else ""
        if said == "refused":
            assert code
        else:
            assert code == said
        state = self.row.state
        moves = AuditEntry.objects.filter(pk__gt=newest, release=self.number, action=f"release.{state}")
        assert moves.count() == int(state != known)

    def _refusal(self, act: Callable[[], object]) -> PortalError | None:
        try:
            act()
        except PortalError as error:
            return error
        return None

    def _toggle(self, name: str, capacity: rules.Capacity) -> None:
        role, scope = capacity
        held = self.company.held[name]
        change = revoke_role if capacity in held else grant_role
        change(name, role=role, scope=scope, actor=BY_THE_PORTAL)
        held.symmetric_difference_update({capacity})

    def _actor(self, name: str) -> Actor:
        return acting(User.objects.get(username=name))


STARTING: dict[str, set[rules.Capacity]] = {
    "author": {("release_manager", "team:commerce"), ("release_manager", "team:identity")},
    "editor": {("release_manager", "team:commerce"), ("release_manager", "team:identity")},
    "pl": {("pl", "service:shopping-service")},
    "lead": {("team_lead", "team:commerce")},
    "identity-lead": {("team_lead", "team:identity")},
    "senior": {("infra_senior", "cluster_group:production")},
    "director": {("director", "*")},
}


def test_whatever_people_do_the_product_answers_as_the_rules_say(shop: Shop) -> None:

    person("editor", *STARTING["editor"])
    for name in PEOPLE:
        grant_role(name, role=SEES[0], scope=SEES[1], actor=BY_THE_PORTAL)
        STARTING[name].add(SEES)
    Companies.shop = shop
    run_state_machine_as_test(
        Companies,
        settings=settings(
            max_examples=examples(100, soaking=2_000),
            stateful_step_count=8,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
