"""The part after the sign-off, by the rules alone: it begins when the result is signed off, and never before.

rules.md, "Verdicts" and "Who counts"; product.md, "A release's life". As in `rules`, nothing of the product's
code says what is expected here.
"""

from dataclasses import dataclass, field

import pytest
from django.db import transaction
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from portal.errors import PortalError
from portal.people.models import User
from portal.people.operations import grant_role, revoke_role
from releases import operations
from releases.models import Release
from releases.rollouts.models import Rollout
from tests.factories import ENGINE, Shop, make_release, roll_out
from tests.people import BY_THE_PORTAL, acting
from tests.soak import examples, long

Capacity = tuple[str, str]
HELD: dict[str, Capacity] = {
    "pl": ("pl", "service:shopping-service"),
    "lead": ("team_lead", "team:commerce"),
    "identity-lead": ("team_lead", "team:identity"),
}
PEOPLE = (*HELD, "author", "outsider")
# By grade the rows of the sign-off: who may fill each, by what they hold. One who wrote it never does.
ROWS: dict[str, tuple[frozenset[str], ...]] = {
    "B": (frozenset({"pl", "lead"}),),
    "D": (frozenset({"lead"}), frozenset({"identity-lead"})),
}
SERVICES = {"B": ["shopping-service"], "D": ["shopping-service", "auth-service"]}


@dataclass
class Result:
    """What the rules say of a result that waits for its sign-off, with a switch behind it."""

    grade: str
    starter: str
    state: str = "awaiting_signoff"
    holds: set[str] = field(default_factory=lambda: set(HELD))
    yes: dict[str, bool] = field(default_factory=dict)

    def says(self, person: str, verdict: str) -> str:
        """A verdict; "" where it counts, else why it is refused."""
        if self.state != "awaiting_signoff":
            return "wrong_state"
        if person in {"author", self.starter}:
            return "self_approval"
        if person not in self.holds or not any(person in row for row in ROWS[self.grade]):
            return "not_entitled"
        if person in self.yes:
            return "already_decided"
        if verdict == "reject":
            self.state = "failed"
        else:
            self.yes[person] = True
        return ""

    def is_signed_off(self) -> bool:
        """Whether each row has somebody who said yes in what they hold still."""
        counting = {person for person, counts in self.yes.items() if counts and person in self.holds}
        return all(row & counting for row in ROWS[self.grade])

    def turn(self, person: str) -> None:
        """Somebody loses what they hold, or gets it back; what is gained later adds nothing to a verdict."""
        if person in self.holds:
            self.holds.remove(person)
            self.yes |= {person: False} if person in self.yes else {}
        else:
            self.holds.add(person)

    def looks(self) -> None:
        """The engine looks whether it may go on."""
        if self.state == "awaiting_signoff" and self.is_signed_off():
            self.state = "switching"

    def ends(self) -> None:
        """The switch is over."""
        if self.state == "switching":
            self.state = "announced"


@dataclass
class Both:
    """The product beside the rules."""

    release: Release
    result: Result

    def do(self, act: str, person: str) -> None:
        """Let it happen on both sides; the answers are the same."""
        if act in {"approve", "reject"}:
            assert self._sign(person, act) == self.result.says(person, act), (act, person)
        elif act == "turn":
            self._turn(person)
        elif act == "look":
            operations.begin_switch(self.release, actor=ENGINE)
            self.result.looks()
        elif self.result.state == "switching":
            operations.finish_verification(self.release, actor=ENGINE)
            self.result.ends()
        self.release.refresh_from_db()
        assert self.release.state == self.result.state, (act, person)
        if self.result.state == "awaiting_signoff":
            assert (operations.missing_signoffs(self.release) == []) == self.result.is_signed_off()

    def _sign(self, person: str, verdict: str) -> str:
        actor = acting(User.objects.get(username=person))
        try:
            operations.sign_off_result(
                self.release.number, actor=actor, verdict=verdict, reason="no" if verdict == "reject" else ""
            )
        except PortalError as error:
            return error.code
        return ""

    def _turn(self, person: str) -> None:
        if person not in HELD:
            return
        role, scope = HELD[person]
        change = revoke_role if person in self.result.holds else grant_role
        change(person, role=role, scope=scope, actor=BY_THE_PORTAL)
        self.result.turn(person)


@pytest.fixture(params=sorted(ROWS))
def waiting(request: pytest.FixtureRequest, shop: Shop) -> tuple[str, Release]:
    """A release of each grade whose rollout is verified, and whose switch waits for the sign-off."""
    items = [{"service": name, "version": "3"} for name in SERVICES[request.param]]
    release = make_release(shop, at="approved", items=items)
    assert release.grade == request.param
    roll_out(release, shop)
    operations.follow(release, "verifying", actor=ENGINE)
    operations.finish_before_switch(release, actor=ENGINE)
    return request.param, release


ACTS = st.sampled_from(["approve", "approve", "reject", "turn", "look", "look", "end"])


@long
@pytest.mark.repeated
@settings(
    max_examples=examples(15, soaking=1000),
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(
    starter=st.sampled_from(["author", "author", "lead"]),
    acts=st.lists(st.tuples(ACTS, st.sampled_from(PEOPLE)), min_size=3, max_size=10),
)
def test_the_switch_begins_when_the_rules_say_so_and_never_before(
    waiting: tuple[str, Release], starter: str, acts: list[tuple[str, str]]
) -> None:
    grade, release = waiting
    with transaction.atomic():
        Rollout.objects.filter(release=release).update(started_by=User.objects.get(username=starter))
        both = Both(Release.objects.get(pk=release.pk), Result(grade, starter))
        for act, person in acts:
            both.do(act, person)
        transaction.set_rollback(True)
