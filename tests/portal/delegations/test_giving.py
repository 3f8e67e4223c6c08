"""Giving and ending delegations: who may, what is refused, and what is written of it."""

from collections.abc import Callable
from dataclasses import fields
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from portal import clock
from portal.actors import Actor
from portal.audit.models import AuditEntry
from portal.delegations.operations import end_delegation, give_delegation
from portal.errors import Conflict, Invalid, NotAllowed, NotFound, PortalError
from portal.outbox.models import Message
from portal.people.models import Delegation, User
from portal.people.operations import deactivate_person, grant_role, revoke_role
from tests.delegating import WEEK, give, let_run_out
from tests.people import BY_THE_PORTAL, Cast, acting, person

PL = ("pl", "service:shopping-service")
LEAD = ("team_lead", "team:commerce")


def blamed(act: Callable[[], Any]) -> set[str]:
    """The fields that an act is refused for."""
    with pytest.raises(Invalid) as error:
        act()
    return {str(fault["field"]) for fault in error.value.missing}


def test_a_delegation_is_recorded_and_told_to_both(cast: Cast) -> None:
    given = give(cast.pl, cast.outsider, *PL)
    assert given.starts_at == given.made_at
    entry = AuditEntry.objects.get(action="delegation.given")
    assert (entry.actor, entry.subject) == ("pl", str(given.pk))
    end_delegation(given.pk, actor=acting(cast.pl), reason="back early")
    ended = AuditEntry.objects.get(action="delegation.ended")
    assert "back early" in ended.body
    told = Message.objects.filter(key__startswith="delegation.").order_by("key")
    assert [message.recipient for message in told] == ["outsider", "pl", "outsider", "pl"]


def test_only_the_giver_and_administrators_give_and_end(cast: Cast) -> None:
    given = give(cast.pl, cast.outsider, *PL)
    may: dict[str, set[str]] = {"give": set(), "end": set()}
    for who in sorted(field.name for field in fields(Cast)):
        actor = acting(getattr(cast, who))
        acts: dict[str, Callable[[], object]] = {
            "give": lambda actor=actor: give(cast.pl, cast.qa, *PL, actor=actor.user),  # type: ignore[misc]
            "end": lambda actor=actor: end_delegation(given.pk, actor=actor),  # type: ignore[misc]
        }
        for name, act in acts.items():
            with transaction.atomic():
                try:
                    act()
                    may[name].add(who)
                except (NotAllowed, NotFound):
                    pass
                transaction.set_rollback(True)
    assert may == {"give": {"pl", "administrator"}, "end": {"pl", "administrator"}}


def test_a_refused_act_leaves_one_entry(cast: Cast) -> None:
    with pytest.raises(NotAllowed):
        give(cast.pl, cast.qa, *PL, actor=cast.qa)
    entry = AuditEntry.objects.latest("id")
    assert (entry.action, entry.actor) == ("delegation.refused", "qa")
    assert not Delegation.objects.exists()


def test_a_token_without_the_scope_to_decide_gives_nothing_away(cast: Cast) -> None:
    narrow = Actor(user=cast.pl, door="api", scopes=frozenset({"read", "compose", "operate"}))
    with pytest.raises(NotAllowed):
        give_delegation(
            giver="pl", taker="outsider", role=PL[0], scope=PL[1], ends_at=clock.now() + WEEK, actor=narrow
        )


def test_nobody_gives_to_themselves_to_a_closed_account_or_to_an_auditor(cast: Cast) -> None:
    deactivate_person("outsider", actor=BY_THE_PORTAL)
    for taker in (cast.pl, cast.outsider, cast.auditor, User(username="nobody-here")):
        assert blamed(lambda taker=taker: give(cast.pl, taker, *PL)) == {"to"}  # type: ignore[misc]


def test_only_what_is_held_there_is_given_and_never_the_rights_over_the_portal(cast: Cast) -> None:
    assert blamed(lambda: give(cast.pl, cast.outsider, *LEAD)) == {"role"}
    assert blamed(lambda: give(cast.pl, cast.outsider, "pl", "service:another")) == {"role"}
    assert blamed(lambda: give(cast.administrator, cast.outsider, "administrator", "*")) == {"role"}
    assert blamed(lambda: give(cast.auditor, cast.outsider, "auditor", "*")) == {"role"}


def test_it_ends_after_it_starts_in_the_future_and_within_ninety_days(cast: Cast) -> None:
    now = clock.now()

    def between(starts: timedelta, ends: timedelta) -> set[str]:
        return blamed(lambda: give(cast.pl, cast.outsider, *PL, starts_at=now + starts, ends_at=now + ends))

    assert between(2 * WEEK, WEEK) == {"ends"}
    assert between(-2 * WEEK, -WEEK) == {"ends"}
    assert between(WEEK, WEEK + timedelta(days=90, seconds=1)) == {"ends"}
    given = give(cast.pl, cast.outsider, *PL, starts_at=now + WEEK, ends_at=now + WEEK + timedelta(days=90))
    assert given.starts_at == now + WEEK


def test_one_that_would_begin_in_the_past_begins_now(cast: Cast) -> None:
    given = give(cast.pl, cast.outsider, *PL, starts_at=clock.now() - WEEK)
    assert given.starts_at == given.made_at


def test_loops_second_hops_and_repetitions_are_refused(cast: Cast) -> None:
    second = person("second-pl", PL)
    give(cast.pl, second, *PL)
    refused: list[Callable[[], object]] = [
        lambda: give(cast.pl, second, *PL),
        lambda: give(second, cast.pl, *PL),
        lambda: give(second, cast.outsider, *PL),
    ]
    for act in refused:
        with pytest.raises(Conflict) as error:
            act()
        assert error.value.code == "delegation_clash"
    third = person("third-pl", PL)
    with pytest.raises(Conflict):
        give(third, cast.pl, *PL)
    assert Delegation.objects.count() == 1
    give(cast.pl, third, *PL)
    with pytest.raises(Conflict):
        give(third, second, *PL)


def test_who_holds_a_role_by_delegation_alone_has_nothing_to_give_on(cast: Cast) -> None:
    give(cast.pl, cast.outsider, *PL)
    assert blamed(lambda: give(cast.outsider, cast.qa, *PL)) == {"role"}


def test_what_is_over_is_ended_no_more(cast: Cast) -> None:
    given = give(cast.pl, cast.outsider, *PL)
    let_run_out(given)
    with pytest.raises(Conflict):
        end_delegation(given.pk, actor=acting(cast.pl))
    again = give(cast.pl, cast.outsider, *PL)
    end_delegation(again.pk, actor=acting(cast.administrator))
    with pytest.raises(Conflict):
        end_delegation(again.pk, actor=acting(cast.pl))


def test_a_lost_role_and_a_closed_account_end_what_hangs_on_them_for_good(cast: Cast) -> None:
    lost = give(cast.pl, cast.outsider, *PL)
    taken = give(cast.team_lead, cast.outsider, *LEAD)
    revoke_role("pl", role=PL[0], scope=PL[1], actor=acting(cast.administrator))
    lost.refresh_from_db()
    assert lost.ended_by == cast.administrator
    grant_role("pl", role=PL[0], scope=PL[1], actor=BY_THE_PORTAL)
    lost.refresh_from_db()
    assert lost.ended_at is not None
    deactivate_person("outsider", actor=acting(cast.administrator))
    taken.refresh_from_db()
    assert taken.ended_at is not None


def test_the_database_itself_refuses_what_no_operation_writes(cast: Cast) -> None:
    given = give(cast.pl, cast.outsider, *PL)
    impossible: list[dict[str, Any]] = [
        {"taker": cast.pl},
        {"ends_at": given.starts_at},
        {"ends_at": given.starts_at + timedelta(days=90, seconds=1)},
        {"starts_at": given.made_at - timedelta(seconds=1)},
        {"role": "administrator"},
        {"ended_by": cast.pl},
    ]
    for change in impossible:
        with pytest.raises(IntegrityError), transaction.atomic():
            Delegation.objects.filter(pk=given.pk).update(**change)


def test_a_stranger_learns_nothing_of_a_delegation(cast: Cast) -> None:
    given = give(cast.pl, cast.outsider, *PL)
    with pytest.raises(NotFound):
        end_delegation(given.pk, actor=acting(cast.qa))
    refusals: list[type[PortalError]] = []
    for pk, user in ((given.pk, cast.outsider), (given.pk + 1000, cast.administrator)):
        with pytest.raises(PortalError) as error:
            end_delegation(pk, actor=acting(user))
        refusals.append(type(error.value))
    assert refusals == [NotAllowed, NotFound]
