"""Everybody tries every operation on a release; the table says who gets through."""

from collections.abc import Callable
from dataclasses import fields
from datetime import timedelta

from django.db import transaction

from approvals.models import Decision
from portal import clock
from portal.audit.models import AuditEntry
from portal.errors import NotAllowed
from portal.people.models import User
from releases import operations
from releases.catalog import rights
from releases.models import Gate, Release
from tests.factories import Shop, decide, make_checklist, make_environment, make_release, runs
from tests.people import Cast, acting

COMPOSERS = {"author", "pl", "team_lead"}
EVERYBODY = {field.name for field in fields(Cast)}

MAY: dict[str, set[str]] = {
    "create": COMPOSERS,
    "operate": COMPOSERS,
    "edit": COMPOSERS,
    "submit": COMPOSERS,
    "duplicate": COMPOSERS,
    "carry": COMPOSERS,
    "withdraw": COMPOSERS,
    "approve": {"pl"},
    "send_back": {"pl"},
    "reject": {"pl"},
    "object": EVERYBODY - {"auditor"},
    "answer": {"pl"},
    "take_back": {"pl"},
    "check_of_qa": {"qa"},
    "check_of_anyone": COMPOSERS,
    "sign_off": {"pl", "team_lead"},
    "ignore_breach": {"pl", "team_lead"},
    "announce": COMPOSERS,
    "close": COMPOSERS,
    "schedule": COMPOSERS,
    "unschedule": COMPOSERS,
}


def make_following(shop: Shop) -> None:
    """An environment after the shop's."""
    after = {"after": {"environment": "shop-production"}}
    following = make_environment(shop, "shop-next", stage="production", spec=after)
    shop.shopping.environments.add(following)
    rights.grant()


class World:
    """One release in each state that the operations need."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        make_following(shop)
        self.waiting = make_release(shop, at="awaiting_signoff")
        self.announced = make_release(shop, at="announced")
        payment = [{"service": "payment-service", "version": "1.0.0"}]
        self.scheduled = make_release(shop, at="approved", items=payment)
        at, author = clock.now() + timedelta(hours=1), acting(shop.cast.author)
        operations.schedule_release(self.scheduled.number, actor=author, at=at)
        auth = [{"service": "auth-service", "version": "1.0.0"}]
        self.approved = make_release(shop, at="approved", items=auth)
        make_checklist({"phase": "before", "text": "a", "role": "qa"}, {"phase": "before", "text": "b"})
        self.reviewed = make_release(shop, at="in_review")
        self.objection = decide(self.reviewed, shop.cast.outsider, "object", "wait")
        self.draft = make_release(shop)
        runs(shop.shopping, shop.environment, "2.7.4")

    def operations_of(self, user: User) -> dict[str, Callable[[], object]]:
        """Every operation as this person."""
        actor, data = acting(user), self.shop.data()
        draft, reviewed = self.draft.number, self.reviewed.number
        for_qa, for_anyone = self.reviewed.checks.order_by("-role")
        return {
            "create": lambda: operations.create_release(data, actor=actor),
            "operate": lambda: operations.create_operation(
                self.shop.shopping.name, self.shop.environment.name, {"kind": "restart"}, actor=actor
            ),
            "edit": lambda: operations.edit_release(
                draft, {"title": "x"}, actor=actor, if_match=self.draft.content_digest
            ),
            "submit": lambda: operations.submit_release(draft, actor=actor),
            "duplicate": lambda: operations.duplicate_release(reviewed, actor=actor),
            "carry": lambda: operations.carry_release(reviewed, "shop-next", actor=actor),
            "withdraw": lambda: operations.withdraw_release(reviewed, actor=actor),
            "approve": lambda: decide(self.reviewed, user),
            "send_back": lambda: decide(self.reviewed, user, "send_back", "no"),
            "reject": lambda: decide(self.reviewed, user, "reject", "no"),
            "object": lambda: decide(self.reviewed, user, "object", "no"),
            "answer": lambda: operations.answer_objection(
                reviewed, self.objection.pk, actor=actor, answer="yes"
            ),
            "take_back": lambda: operations.take_back_decision(reviewed, self._approval().pk, actor=actor),
            "check_of_qa": lambda: operations.answer_check(reviewed, for_qa.pk, actor=actor, result="done"),
            "check_of_anyone": lambda: operations.answer_check(
                reviewed, for_anyone.pk, actor=actor, result="done"
            ),
            "sign_off": lambda: self._sign_off(user),
            "ignore_breach": lambda: self._ignore_breach(user),
            "announce": lambda: self._announce(user),
            "close": lambda: operations.close_release(self.announced.number, actor=actor),
            "schedule": lambda: operations.schedule_release(
                self.approved.number, actor=actor, at=clock.now() + timedelta(hours=1)
            ),
            "unschedule": lambda: operations.unschedule_release(self.scheduled.number, actor=actor),
        }

    def _approval(self) -> Decision:
        decision: Decision = decide(self.reviewed, self.shop.cast.pl)
        return decision

    def _sign_off(self, user: User) -> Decision:
        return operations.sign_off_result(self.waiting.number, actor=acting(user), verdict="approve")

    def _ignore_breach(self, user: User) -> Gate:
        now = clock.now()
        gate = Gate.objects.create(
            release=self.waiting, key="g", kind="http", breached_at=now, breaches=1, due_at=now
        )
        number = self.waiting.number
        return operations.ignore_breach(number, gate.pk, actor=acting(user), reason="x", breach=1)

    def _announce(self, user: User) -> Release:
        self._sign_off(self.shop.cast.team_lead)
        return operations.announce_release(self.waiting.number, actor=acting(user))


def test_only_those_in_the_table_get_through_and_the_others_leave_one_entry(shop: Shop) -> None:
    world = World(shop)
    through: dict[str, set[str]] = {name: set() for name in MAY}
    for who in sorted(EVERYBODY):
        for name, act in world.operations_of(getattr(shop.cast, who)).items():
            with transaction.atomic():
                if _gets_through(act):
                    through[name].add(who)
                transaction.set_rollback(True)
    assert through == MAY


def _gets_through(act: Callable[[], object]) -> bool:
    try:
        act()
    except NotAllowed:
        last = AuditEntry.objects.order_by("-id").first()
        assert last is not None
        is_recorded = last.action in {"release.refused", "decision.refused"}
        if not is_recorded:
            raise
        return False
    return True
