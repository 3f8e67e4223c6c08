"""Random companies and what their people do to a release: the product answers as the rules say."""

from collections.abc import Callable
from datetime import timedelta

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
from approvals.models import Decision, Request
from approvals.queries import standing
from portal import clock
from portal.actors import Actor
from portal.audit.models import AuditEntry
from portal.delegations.operations import end_delegation
from portal.errors import PortalError
from portal.people.models import Delegation, User
from portal.people.operations import activate_person, deactivate_person, grant_role, revoke_role
from releases import operations
from releases.catalog.models import Plan
from releases.content import content_of
from releases.jobs import recheck_pending
from releases.models import Release
from releases.rollouts.operations import start_rollout
from releases.start import still_approved
from releases.states import ReleaseState
from tests.delegating import give, let_run_out
from tests.factories import Shop, decide, verify
from tests.model import rules
from tests.people import BY_THE_PORTAL, acting, person
from tests.soak import examples, long

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
    # Decides nothing; but who loses the last role that they had has moved.
    ("qa", "*"),
)
COMPOSES = [("release_manager", "team:commerce"), ("release_manager", "team:identity")]
STARTING: dict[str, list[rules.Capacity]] = {
    "author": COMPOSES,
    "editor": COMPOSES,
    "pl": [("pl", "service:shopping-service")],
    "lead": [("team_lead", "team:commerce"), COMPOSES[0]],
    "identity-lead": [("team_lead", "team:identity")],
    "senior": [("infra_senior", "cluster_group:production")],
    "director": [("director", "*")],
    "stand-in": [("qa", "*")],
}
PEOPLE = tuple(STARTING)
EDITORS = ("author", "editor")
STARTERS = ("author", "editor", "lead")
FACTS = ("new_api", "infrastructure", "traffic_path", "database_change")
INCIDENT = {"link": "https://incidents.example/7", "reason": "payments fail"}
MOVES = {f"release.{state}" for state in ReleaseState.values}
STALE = f"sha256:{'0' * 64}"
people = st.sampled_from(PEOPLE)
grants = st.tuples(people, st.sampled_from(CAPACITIES))
# Who gives what they hold, by number, to whom; mostly to somebody with no rights of their own.
gifts = st.tuples(st.integers(0, 15), st.just("stand-in") | people)
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
    row: Release

    def __init__(self) -> None:
        super().__init__()
        self.undo = transaction.atomic()
        self.undo.__enter__()
        self.edits = 0
        self.told = AuditEntry.objects.order_by("pk").values_list("pk", flat=True).last() or 0
        self.company = rules.Company({name: {} for name in PEOPLE})
        for name, held in STARTING.items():
            for capacity in held:
                self.company.gain(name, capacity)
        self.given: dict[rules.Delegation, int] = {}
        self.approved: set[str] = set()

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.undo.__exit__(None, None, None)

    @initialize(
        changes=st.lists(grants, max_size=3),
        two_roles=st.sets(doubles, min_size=1, max_size=3),
        given=st.lists(gifts, max_size=2),
        services=st.just(["shopping-service"])
        | st.lists(st.sampled_from(sorted(SERVICES)), min_size=1, max_size=3, unique=True),
        facts=st.sets(st.sampled_from(FACTS), max_size=2),
        wanted=st.sampled_from(["", "", "A", "B", "C", "D", "E"]),
    )
    def compose(
        self,
        changes: list[tuple[str, rules.Capacity]],
        two_roles: set[tuple[str, rules.Capacity]],
        given: list[tuple[int, str]],
        services: list[str],
        facts: set[str],
        wanted: str,
    ) -> None:
        """Roles as they fall, and a release of some services."""
        for name, capacity in [*changes, *sorted(two_roles)]:
            self._toggle(name, capacity)
        for pick, taker in given:
            self._give(pick, taker, is_later=False)
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
            incident=INCIDENT if wanted == "E" else None,
        )
        self.number = operations.create_release(data, actor=self._actor("author")).number
        self.row = self._read()
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
        """What somebody decided in is taken away, from them or from whom they decided for."""
        votes = sorted((vote.name, held) for vote in self.model.yes.values() for held in vote.capacities)
        name, capacity = votes[pick % len(votes)]
        if capacity in self.company.holds(name):
            self._toggle(name, capacity)

    @rule(name=st.sampled_from(PEOPLE[1:]))
    def close_or_open_account(self, name: str) -> None:
        """People leave, and come back without what they held."""
        if name in self.company.closed:
            activate_person(name, actor=BY_THE_PORTAL)
            self.company.closed.remove(name)
        else:
            deactivate_person(name, actor=BY_THE_PORTAL)
            self.company.close(name)

    @rule(gift=gifts)
    def give_delegation(self, gift: tuple[int, str]) -> None:
        """Somebody lets another decide for them."""
        self._give(*gift, is_later=True)

    @precondition(lambda self: any(each.is_in_force for each in self.given))
    @rule(pick=st.integers(0, 3), is_by_date=st.booleans())
    def end_delegation(self, pick: int, is_by_date: bool) -> None:
        """Its date comes, or the giver takes it back."""
        standing_now = [each for each in self.given if each.is_in_force]
        ended = standing_now[pick % len(standing_now)]
        if is_by_date:
            let_run_out(Delegation.objects.get(pk=self.given[ended]))
            ended.is_past = True
        else:
            end_delegation(self.given[ended], actor=self._actor(ended.giver))
            ended.is_revoked = True

    @precondition(lambda self: self.model.state in ("draft", "sent_back"))
    @rule()
    def submit(self) -> None:
        """Ask for approval of what there is now; who is asked stays as it is then."""
        before = self.row.content_digest
        said = self.model.submit(self.company)
        self._same(said, lambda: operations.submit_release(self.number, actor=self._actor("author")))
        release = self._read()
        assert release.content_digest == before
        if said:
            return
        request = release.approval_request
        assert request is not None
        phase = "owed" if self.model.is_emergency else "review"
        asked = {(row.role, row.scope) for row in request.requirements.filter(phase=phase)}
        assert asked == {(row.role, row.scope) for row in self.model.rows}
        assert {user.username for user in request.barred.all()} == self.model.barred

    @rule(name=st.sampled_from(EDITORS))
    def edit(self, name: str) -> None:
        """Change what is sealed."""
        self.edits += 1
        data = {"changes": [{"area": "API", "text": f"edit {self.edits}"}]}
        seen = self.row.content_digest
        if name not in self.company.closed and not set(COMPOSES) <= self.company.holds(name):
            return  # back without any role
        said = "not_found" if name in self.company.closed else self.model.edit(name)
        self._same(
            said,
            lambda: operations.edit_release(self.number, data, actor=self._actor(name), if_match=seen),
        )
        release = self._read()
        assert digest_of(content_of(release)) == release.content_digest

    @precondition(lambda self: self.model.state in ("in_review", "review_owed"))
    @rule(pick=st.integers(0, 3))
    def approve_as_asked(self, pick: int) -> None:
        """Approvals by those who are asked are what most of a review is made of."""
        self._decide(self._pick(pick), "approve")

    @rule(pick=st.integers(0, 11), stale=st.sampled_from([False, False, False, True]))
    def approve(self, pick: int, stale: bool) -> None:
        """Say yes, sometimes to what was there before; mostly somebody who is asked."""
        self._decide(self._pick(pick), "approve", stale=stale)

    @precondition(lambda self: self.given and self.model.state in ("in_review", "review_owed"))
    @rule(pick=st.integers(0, 3), says_for_whom=st.booleans())
    def approve_for_another(self, pick: int, says_for_whom: bool) -> None:
        """Say yes by a delegation, or by what once was one."""
        by = list(self.given)[pick % len(self.given)]
        self._decide(by.taker, "approve", giver=by.giver if says_for_whom else "")

    @precondition(lambda self: self.model.yes)
    @rule(name=people, verdict=st.sampled_from(["send_back", "send_back", "reject"]))
    def refuse(self, name: str, verdict: str) -> None:
        """Say no."""
        self._decide(name, verdict)

    @rule(name=people)
    def take_back(self, name: str) -> None:
        """Take one's newest yes back."""
        if name not in self.approved:
            return
        decision = Decision.objects.filter(person__username=name, verdict="approve").latest("pk")
        said = "not_found" if name in self.company.closed else self.model.take_back(name, self.company)
        self._same(
            said, lambda: operations.take_back_decision(self.number, decision.pk, actor=self._actor(name))
        )

    @precondition(lambda self: self.model.state in rules.OPEN_STATES)
    @rule(name=people)
    def raise_objection(self, name: str) -> None:
        """Anybody who sees it is heard."""
        if name not in self.company.closed:
            decide(self.row, self._user(name), "object", "not like this")
            self.model.objections += 1

    @precondition(lambda self: self.model.state in rules.OPEN_STATES)
    @rule()
    def sweep(self) -> None:
        """Roles that came or went move what waits."""
        recheck_pending()
        self.model.follow(self.company)

    @precondition(lambda self: self.model.yes or self.model.is_emergency)
    @rule(name=st.sampled_from(STARTERS))
    def start(self, name: str) -> None:
        """Only what is approved, by people who count, starts; an emergency at once."""
        if not set(COMPOSES) & self.company.holds(name):
            return
        missing = set(self.model.missing(self.company))
        refusal = self._refusal(lambda: start_rollout(self.number, actor=self._actor(name)))
        assert (refusal is None) == self.model.may_start(self.company)
        if refusal is None:
            self.model.start(name)
        elif self.model.state in rules.OPEN_STATES and missing:
            assert {entry["code"] for entry in refusal.missing} == missing
        else:
            assert refusal.code == ("expired" if self.model.state == "expired" else "wrong_state")

    @precondition(lambda self: self.model.is_emergency and self.model.state == "rolling_out")
    @rule()
    def finish(self) -> None:
        """The rollout of an emergency ends well."""
        verify(self.row)
        self.model.verified()

    @precondition(lambda self: self.model.state in ("submitted", *rules.OPEN_STATES))
    @rule(pick=st.integers(0, 3), goes_on=st.booleans())
    def let_time_pass(self, pick: int, goes_on: bool) -> None:
        """Its time is over: nothing is decided or started any more, and the sweep ends it."""
        now = clock.now()
        ends = now + timedelta(hours=1) if goes_on else now
        Request.objects.filter(subject=self.row.subject).update(expires_at=ends)
        if goes_on:
            return
        name = self._pick(pick)
        if name not in self.company.closed and self.model.state in rules.OPEN_STATES:
            self._same("expired", lambda: self._verdict(name, "approve", STALE))
        if "author" not in self.company.closed:
            self._same("expired", lambda: start_rollout(self.number, actor=self._actor("author")))
        recheck_pending()
        self.model.expire()

    @invariant()
    def says_what_the_rules_say(self) -> None:
        """The state, how the record tells of it, who filled the rows, and whether a wave may begin."""
        release = self.row = self._read()
        told = AuditEntry.objects.filter(pk__gt=self.told, release=self.number, action__in=MOVES)
        moves = [
            action.removeprefix("release.") for action in told.order_by("pk").values_list("action", flat=True)
        ]
        assert ["draft", *moves] == self.model.moves
        assert release.state == self.model.state
        request = release.approval_request
        if not self.model.yes or self.model.state not in (*rules.OPEN_STATES, "rolling_out", "review_owed"):
            return
        assert request is not None
        phase = "owed" if self.model.is_emergency else "review"
        found = standing(request)
        assert found.is_met(phase) == self.model.is_met(self.company)
        for row in found.phase(phase):
            assert not {user.username for user in row.met_by} & self.model.away
        if self.model.state == "rolling_out" and not self.model.is_emergency:
            assert (still_approved(release) == []) == self.model.is_met(self.company)

    def _read(self) -> Release:
        """The release as the database knows it."""
        return Release.objects.select_related("approval_request", "environment__cluster", "plan").get(
            number=self.number
        )

    def _pick(self, pick: int) -> str:
        asked = {name for row in self.model.rows for name in self.company.holders(row)} | set(self.model.yes)
        return [*sorted(asked), *PEOPLE, *PEOPLE][pick]

    def _decide(self, name: str, verdict: str, *, giver: str = "", stale: bool = False) -> None:
        if name in self.company.closed:
            said = "not_found"
        elif verdict == "approve":
            said = self.model.approve(name, self.company, giver=giver, stale=stale)
            self.approved |= set() if said else {name}
        else:
            said = self.model.refuse(name, verdict, self.company, giver=giver, stale=stale)
        seen = STALE if stale else self.row.content_digest
        self._same(said, lambda: self._verdict(name, verdict, seen, giver=giver))

    def _verdict(self, name: str, verdict: str, seen: str, *, giver: str = "") -> None:
        operations.decide_release(
            self.number,
            actor=self._actor(name),
            verdict=verdict,
            content_digest=seen,
            reason="" if verdict == "approve" else "because",
            on_behalf_of=giver or None,
        )

    def _same(self, said: str, act: Callable[[], object]) -> None:
        """The product's answer is the rules' answer."""
        refusal = self._refusal(act)
        code = refusal.code if refusal else ""
        if said == "refused":
            assert code
        else:
            assert code == said

    def _refusal(self, act: Callable[[], object]) -> PortalError | None:
        try:
            act()
        except PortalError as error:
            return error
        return None

    def _toggle(self, name: str, capacity: rules.Capacity) -> None:
        role, scope = capacity
        if capacity in self.company.holds(name):
            revoke_role(name, role=role, scope=scope, actor=BY_THE_PORTAL)
            self.company.lose(name, capacity)
        else:
            grant_role(name, role=role, scope=scope, actor=BY_THE_PORTAL)
            self.company.gain(name, capacity)

    def _give(self, pick: int, taker: str, *, is_later: bool) -> None:
        """Somebody gives what they hold; what must not be given is refused with nothing written."""
        gives = [(name, each) for name in PEOPLE for each in CAPACITIES if each in self.company.holds(name)]
        if not gives:
            return
        giver, (role, scope) = gives[pick % len(gives)]
        wanted = rules.Delegation(giver, taker, (role, scope), is_later=is_later)
        said = self.company.give(wanted)
        made: list[Delegation] = []
        self._same(said, lambda: made.append(give(self._user(giver), self._user(taker), role, scope)))
        if not said:
            self.given[wanted] = made[0].pk

    def _actor(self, name: str) -> Actor:
        return acting(self._user(name))

    def _user(self, name: str) -> User:
        return User.objects.get(username=name)


@long
def test_whatever_people_do_the_product_answers_as_the_rules_say(shop: Shop) -> None:
    for name in ("editor", "stand-in"):
        person(name, *STARTING[name])
    grant_role("lead", role=COMPOSES[0][0], scope=COMPOSES[0][1], actor=BY_THE_PORTAL)
    waves = {"waves": [{"title": "All", "services": sorted(SERVICES)}]}
    Plan.objects.filter(pk=shop.plan.pk).update(spec=waves)
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
