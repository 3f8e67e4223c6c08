"""Giving and ending delegations (rules.md, "Who counts"); every change is recorded with it."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime

from django.db import transaction
from django.db.models import Q
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from portal import clock
from portal.actors import Actor
from portal.audit.record import record
from portal.delegations import notices, queries
from portal.delegations.rules import Clash, Term, clash
from portal.errors import Conflict, Invalid, Missing, NotAllowed, NotFound, PortalError, field_error
from portal.people import ending
from portal.people.models import LONGEST_DELEGATION, NEVER_DELEGATED, Delegation, Role, User
from portal.people.operations import lock_people, require_administrator
from portal.people.queries import roles_of

CLASHES: dict[Clash, str | Promise] = {
    Clash.SAME: _(
        "{taker} decides for {giver} in this role at that time already. End that delegation first."
    ),
    Clash.LOOP: _(
        "{other_taker} decides for {other_giver} at that time: two people do not decide for each other."
    ),
    Clash.GIVEN_ON: _(
        "{giver} decides for {other_giver} in the same role at that time: what was given is not given on. "
        "End that delegation first."
    ),
    Clash.GIVEN_AWAY: _(
        "{taker} has given the same role to {other_taker} at that time. Choose somebody who is there."
    ),
}


def give_delegation(
    *,
    giver: str,
    taker: str,
    role: str,
    scope: str,
    ends_at: datetime,
    actor: Actor,
    starts_at: datetime | None = None,
) -> Delegation:
    """Let one person decide for another, in one role and scope that the giver holds, for at most 90 days.

    Args:
        giver: the account that gives; taker: the account that decides for it.
        starts_at: never before now; None is now.

    Raises:
        NotAllowed: the actor is neither the giver nor an administrator, or the token does not reach so far.
        Invalid: something is wrong, all of it at once.
        Conflict: another delegation of that time forbids it; the graph is one hop.
    """
    with _noting_refusals("new", actor=actor):
        _require_right(giver, actor=actor)
        with transaction.atomic():
            people = lock_people({giver, taker})
            now = clock.now()
            begins = max(starts_at or now, now)
            _check_people(people, giver=giver, taker=taker)
            _check_rest(people[giver], role=role, scope=scope, starts_at=begins, ends_at=ends_at)
            delegation = Delegation(
                giver=people[giver],
                taker=people[taker],
                role=role,
                scope=scope,
                starts_at=begins,
                ends_at=ends_at,
                made_at=now,
                made_by=actor.user,
            )
            _require_no_clash(delegation)
            delegation.save(force_insert=True)
            _record_given(delegation, actor=actor)
            notices.tell_given(delegation)
            return delegation


def end_delegation(pk: int, *, actor: Actor, reason: str = "") -> Delegation:
    """End a delegation before its time: what was decided by it counts no more where nothing has started.

    Raises:
        NotFound: there is none, or it is not the actor's to see.
        NotAllowed: the actor is neither its giver nor an administrator.
        Conflict: it is over already.
    """
    with _noting_refusals(str(pk), actor=actor), transaction.atomic():
        rows = Delegation.objects.select_for_update(of=("self",)).select_related("giver", "taker")
        delegation = rows.filter(pk=pk).first()
        if delegation is None or not _sees(delegation, actor):
            raise NotFound
        _require_right(delegation.giver.username, actor=actor)
        if delegation.ended_at is not None or delegation.ends_at <= clock.now():
            raise Conflict(_("This delegation is over already."))
        ending.end_early(delegation, actor=actor, reason=reason)
        return delegation


def _require_right(giver: str, *, actor: Actor) -> None:
    if actor.user is None or actor.user.username != giver:
        require_administrator(actor)
    elif not actor.has_scope("decide"):
        text = _("This token does not reach that far: it lacks the scope {scope}.")
        raise NotAllowed(text.format(scope="decide"))


def _sees(delegation: Delegation, actor: Actor) -> bool:
    return actor.user is None or queries.visible_to(actor.user).filter(pk=delegation.pk).exists()


def _check_people(people: dict[str, User], *, giver: str, taker: str) -> None:
    """Refuse what is wrong about the two; the rest is about roles they have."""
    found: list[Missing] = [
        field_error(field, _("Nobody here has the name {name}.").format(name=name))
        for field, name in (("from", giver), ("to", taker))
        if name not in people
    ]
    if giver == taker:
        found.append(field_error("to", _("Choose another person: nobody needs a delegation to themselves.")))
    if (user := people.get(taker)) is not None:
        found += [field_error("to", text) for text in _unfit(user)]
    _refuse(found)


def _unfit(taker: User) -> Iterable[str]:
    if not taker.is_active:
        yield _("The account {name} is closed.").format(name=taker.username)
    elif roles_of(taker).filter(role=Role.AUDITOR).exists():
        yield str(_("An auditor sees everything and changes nothing."))


def _check_rest(giver: User, *, role: str, scope: str, starts_at: datetime, ends_at: datetime) -> None:
    found: list[Missing] = []
    if role in NEVER_DELEGATED:
        found.append(field_error("role", _("The roles of auditors and administrators cannot be given on.")))
    elif not roles_of(giver).filter(role=role, scope=scope).exists():
        text = _("{name} does not hold this role there, and only what one holds can be given on.")
        found.append(field_error("role", text.format(name=giver)))
    if ends_at <= starts_at:
        found.append(field_error("ends", _("It must end after it starts, and in the future.")))
    elif ends_at - starts_at > LONGEST_DELEGATION:
        text = _("A delegation lasts {days} days at most.")
        found.append(field_error("ends", text.format(days=LONGEST_DELEGATION.days)))
    _refuse(found)


def _refuse(found: list[Missing]) -> None:
    if found:
        raise Invalid(_("The delegation cannot be given as it stands."), missing=found)


def _require_no_clash(wanted: Delegation) -> None:
    """Compare with all that the two give and take; both are locked, so that nothing is added meanwhile."""
    both = [wanted.giver_id, wanted.taker_id]
    theirs = Delegation.objects.filter(Q(giver__in=both) | Q(taker__in=both), ended_at=None)
    standing = {_term(row): row for row in theirs.select_related("giver", "taker")}
    found = clash(_term(wanted), standing)
    if found is None:
        return
    why, other = found[0], standing[found[1]]
    names = {"giver": wanted.giver, "taker": wanted.taker}
    text = str(CLASHES[why]).format(**names, other_giver=other.giver, other_taker=other.taker)
    raise Conflict(text, code="delegation_clash")


def _term(row: Delegation) -> Term:
    return Term(
        giver=row.giver_id,
        taker=row.taker_id,
        role=row.role,
        scope=row.scope,
        starts_at=row.starts_at,
        ends_at=row.ends_at,
    )


def _record_given(delegation: Delegation, *, actor: Actor) -> None:
    record(
        "delegation.given",
        actor=actor,
        subject=("delegation", str(delegation.pk)),
        after={
            "from": delegation.giver.username,
            "to": delegation.taker.username,
            "role": delegation.role,
            "scope": delegation.scope,
            "starts_at": delegation.starts_at.isoformat(),
            "ends_at": delegation.ends_at.isoformat(),
        },
    )


@contextmanager
def _noting_refusals(key: str, *, actor: Actor) -> Iterator[None]:
    """Write one entry for an act that is refused inside; its own transaction is gone by then."""
    try:
        yield
    except (NotAllowed, Conflict) as error:
        _note(error, key, actor=actor)
        raise


def _note(error: PortalError, key: str, *, actor: Actor) -> None:
    with transaction.atomic():
        record(
            "delegation.refused",
            actor=actor,
            subject=("delegation", key),
            after={"code": error.code},
            reason=str(error.detail),
        )
