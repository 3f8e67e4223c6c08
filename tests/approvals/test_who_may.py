"""Everybody tries every operation on a change of the policy; the table says who gets through."""

from collections.abc import Callable
from dataclasses import fields

import pytest
from django.db import transaction

from approvals.models import Decision, PolicyProposal
from portal.audit.models import AuditEntry
from portal.errors import NotAllowed
from portal.people.models import User
from releases.catalog.policies import coverage
from releases.catalog.policies import operations as policies
from tests.factories import Shop, policy_table
from tests.people import Cast, acting, person
from tests.soak import long

EVERYBODY = {field.name for field in fields(Cast)}
SIGNERS = {"director"}

MAY: dict[str, set[str]] = {
    "propose": {"administrator"},
    "withdraw": {"administrator"},
    "approve": SIGNERS,
    "send_back": SIGNERS,
    "reject": SIGNERS,
    "object": EVERYBODY - {"auditor"},
    "answer": SIGNERS,
    "take_back": SIGNERS,
    "look_for_gaps": {"administrator"},
}


class World:
    """An open proposal with an objection, beside a second director."""

    def __init__(self, shop: Shop) -> None:
        self.administrator, self.director = shop.cast.administrator, shop.cast.director
        person("second", ("director", "*"))
        self.proposal = self._propose(self.administrator)
        self.objection = self._decide(shop.cast.outsider, "object")

    def operations_of(self, user: User) -> dict[str, Callable[[], object]]:
        """Every operation as this person."""
        actor, number = acting(user), self.proposal.pk
        return {
            "propose": lambda: self._propose_another(user),
            "withdraw": lambda: policies.withdraw(number, actor=actor),
            **{
                verdict: lambda verdict=verdict: self._decide(user, verdict)  # type: ignore[misc]
                for verdict in ("approve", "send_back", "reject", "object")
            },
            "answer": lambda: policies.answer(number, self.objection.pk, actor=actor, answer="Heard."),
            "take_back": lambda: policies.take_back(
                number, self._decide(self.director, "approve").pk, actor=actor
            ),
            "look_for_gaps": lambda: coverage.look_again(actor=actor),
        }

    def _propose(self, user: User) -> PolicyProposal:
        return policies.propose(policy_table(B={"deadlineHours": 24}), actor=acting(user), note="Faster.")

    def _propose_another(self, user: User) -> PolicyProposal:
        policies.withdraw(self.proposal.pk, actor=acting(self.administrator))
        return self._propose(user)

    def _decide(self, user: User, verdict: str) -> Decision:
        digest = self.proposal.content_digest
        return policies.decide(
            self.proposal.pk, actor=acting(user), verdict=verdict, content_digest=digest, reason="So."
        )


@long
@pytest.mark.django_db
def test_only_those_in_the_table_get_through_and_the_others_leave_one_entry(shop: Shop) -> None:
    world = World(shop)
    through: dict[str, set[str]] = {name: set() for name in MAY}
    for who in sorted(EVERYBODY):
        for name, act in world.operations_of(getattr(shop.cast, who)).items():
            with transaction.atomic():
                if _gets_through(act, is_recorded=name != "look_for_gaps"):
                    through[name].add(who)
                transaction.set_rollback(True)
    assert through == MAY


def _gets_through(act: Callable[[], object], *, is_recorded: bool) -> bool:
    try:
        act()
    except NotAllowed:
        last = AuditEntry.objects.latest("id")
        assert not is_recorded or last.action == "proposal.refused"
        return False
    return True
