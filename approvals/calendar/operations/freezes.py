"""Adding, changing and lifting freezes, stopping the line, noting who went past."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.utils.translation import gettext_lazy as _

from approvals.calendar import notices, places, queries, zones
from approvals.calendar.live import TOPIC
from approvals.calendar.models import EVERYWHERE, Freeze, Passage
from approvals.calendar.operations.checks import check, is_place, noting_refusals, require_operate
from approvals.calendar.rules import Closure
from approvals.operations.refusals import check_reason
from portal import clock
from portal.actors import Actor
from portal.audit.record import record
from portal.errors import Conflict, Invalid, Missing, NotAllowed, NotFound, field_error
from portal.live.publish import touch
from portal.words import check_words

LONGEST_NAME = 120
# Forms know minutes, and a hand is slow: so far back a freeze may begin when it is added.
JUST_NOW = timedelta(minutes=10)


def add_freeze(
    *,
    actor: Actor,
    name: str,
    reason: str,
    starts: datetime,
    ends: datetime,
    scope: str = EVERYWHERE,
    zone: str = "Asia/Seoul",
) -> Freeze:
    """Let nothing begin in a scope from one moment to another.

    Args:
        scope: "*", "environment:NAME", "team:KEY" or "service:NAME".
        zone: the one in which the times are told to people.

    Raises:
        Invalid: names every wrong field.
        NotAllowed: only release managers and leads of the scope, directors and administrators may.
    """
    with noting_refusals(actor, scope), transaction.atomic():
        now = clock.now()
        check(_wrong_fields(actor, name, reason, scope, zone) + _wrong_times(starts, ends, now=now))
        _require(actor, scope, stopping=False)
        freeze = _create(
            actor, now, name=name, reason=reason, scope=scope, zone=zone, starts=starts, ends=ends
        )
        _tell(freeze, "freeze.added", actor=actor, reason=reason)
    return freeze


def stop_line(*, actor: Actor, reason: str, scope: str = EVERYWHERE, name: str = "") -> Freeze:
    """Let nothing begin in a scope from now on until somebody lifts it.

    Stopping needs no approval and is wide: it is asked in a hurry (product.md, "Decisions").

    Raises:
        Invalid, NotAllowed: as for a freeze.
        Conflict: it is stopped there already.
    """
    with noting_refusals(actor, scope), transaction.atomic():
        check(_wrong_fields(actor, name or "stop", reason, scope, "UTC"))
        _require(actor, scope, stopping=True)
        now = clock.now()
        try:
            with transaction.atomic():
                freeze = _create(actor, now, name=name, reason=reason, scope=scope, zone="UTC", starts=now)
        except IntegrityError as error:
            raise Conflict(_("The line is stopped here already.")) from error
        _tell(freeze, "freeze.stopped", actor=actor, reason=reason)
    return freeze


def lift_freeze(freeze_id: int, *, actor: Actor, reason: str) -> Freeze:
    """End a freeze, or let the stopped line go again.

    Raises:
        NotFound: there is none, or the person may not know of its place.
        Invalid: no reason is given.
        Conflict: it was lifted already, or is over.
        NotAllowed: lifting is narrower than stopping; `queries.may_lift` says who may.
    """
    with _changing(freeze_id, actor=actor) as (freeze, now):
        check_reason(reason)
        _require_standing(freeze, now=now)
        _require_lift(actor, freeze, now=now)
        freeze.lifted_at, freeze.lifted_by, freeze.lift_reason = now, actor.user, reason
        freeze.save(update_fields=["lifted_at", "lifted_by", "lift_reason"])
        _tell(freeze, "freeze.lifted", actor=actor, reason=reason)
    return freeze


def change_freeze(
    freeze_id: int,
    *,
    actor: Actor,
    reason: str,
    name: str,
    starts: datetime,
    ends: datetime,
    zone: str,
) -> Freeze:
    """Give a freeze other times or another name; what it said before stays in the record.

    Closing for longer takes the right to add a freeze, closing for a shorter time the right to lift it: it is
    lifted for what is left out.

    Args:
        reason: why it is changed; the freeze keeps its own.
        starts: of one that holds already its beginning, as it is.

    Raises:
        NotFound: there is none, or the person may not know of its place.
        Invalid: names every wrong field.
        Conflict: it is over or lifted, or it is a stop, which has no times.
        NotAllowed: as for adding or lifting it.
    """
    with _changing(freeze_id, actor=actor) as (freeze, now):
        check(_wrong_fields(actor, name, reason, freeze.scope, zone))
        _require_standing(freeze, now=now)
        if freeze.ends_at is None:
            raise Conflict(_("A stop begins now and ends when somebody lifts it; it has no times."))
        check(_wrong_change(freeze, starts, ends, now=now))
        if starts > freeze.starts_at or ends < freeze.ends_at:
            _require_lift(actor, freeze, now=now)
        else:
            _require(actor, freeze.scope, stopping=False)
        before = _said(freeze)
        freeze.name, freeze.starts_at, freeze.ends_at, freeze.zone = name, starts, ends, zone
        freeze.save(update_fields=["name", "starts_at", "ends_at", "zone"])
        _tell(freeze, "freeze.changed", actor=actor, reason=reason, before=before)
    return freeze


def note_passage(
    closures: Collection[Closure], *, subject: str, filed_under: int, reason: str, actor: Actor
) -> None:
    """Write down, with the freeze and in the record, that an emergency went past what closes its place.

    Args:
        subject: the opaque key of what goes past.
    """
    for closure in closures:
        if closure.rule.id is None:
            about = {"name": closure.rule.name}
            key = ("windows", closure.rule.name)
            record("window.passed", actor=actor, subject=key, after=about, reason=reason, release=filed_under)
            continue
        passage = {"reason": reason, "by": actor.user, "at": clock.now()}
        found = {"freeze_id": closure.rule.id, "subject": subject}
        _passage, is_new = Passage.objects.get_or_create(**found, defaults=passage)
        if is_new:
            key = ("freeze", str(closure.rule.id))
            about = {"name": closure.rule.name, "subject": subject}
            record("freeze.passed", actor=actor, subject=key, after=about, reason=reason, release=filed_under)


def _create(
    actor: Actor, now: datetime, *, starts: datetime, ends: datetime | None = None, **said: str
) -> Freeze:
    by = {"added_by": actor.user, "added_at": now}
    return Freeze.objects.create(starts_at=starts, ends_at=ends, **by, **said)


@contextmanager
def _changing(freeze_id: int, *, actor: Actor) -> Iterator[tuple[Freeze, datetime]]:
    """Yield the locked freeze and the time; a refusal leaves one entry in the record."""
    scope = Freeze.objects.filter(pk=freeze_id).values_list("scope", flat=True).first()
    with noting_refusals(actor, scope or "", subject=("freeze", str(freeze_id))), transaction.atomic():
        freeze = Freeze.objects.select_for_update().filter(pk=freeze_id).first()
        if freeze is None or (actor.user is not None and not places.is_seen(actor.user, freeze.scope)):
            raise NotFound
        yield freeze, clock.now()


def _require_standing(freeze: Freeze, *, now: datetime) -> None:
    if queries.state_of(freeze, at=now) in {"lifted", "over"}:
        raise Conflict(_("It is over already."))


def _said(freeze: Freeze) -> dict[str, Any]:
    return {
        "name": freeze.name,
        "scope": freeze.scope,
        "starts": freeze.starts_at.isoformat(),
        "ends": freeze.ends_at.isoformat() if freeze.ends_at else None,
    }


def _tell(
    freeze: Freeze, action: str, *, actor: Actor, reason: str, before: dict[str, Any] | None = None
) -> None:
    subject = ("freeze", str(freeze.pk))
    record(action, actor=actor, subject=subject, before=before, after=_said(freeze), reason=reason)
    touch(TOPIC, action)
    notices.tell(freeze, action, reason=reason)


def _wrong_fields(actor: Actor, name: str, reason: str, scope: str, zone: str) -> list[Missing]:
    name_text = _("Give it a name of at most {most} characters.").format(most=LONGEST_NAME)
    scope_text = _('Write "*", "environment:NAME", "team:KEY" or "service:NAME" of something that is there.')
    is_named = bool(name.strip()) and len(name) <= LONGEST_NAME
    found: list[Missing] = [] if is_named else [field_error("name", name_text)]
    if not is_place(actor, scope):
        found.append(field_error("scope", scope_text))
    for look in (
        lambda: check_words(name, field="name"),
        lambda: check_reason(reason),
        lambda: zones.zone_named(zone),
    ):
        try:
            look()
        except Invalid as error:
            found += error.missing
    return found


def _wrong_times(starts: datetime, ends: datetime, *, now: datetime) -> list[Missing]:
    begins, is_over = (
        _("A freeze begins now or later."),
        _("It ends after its beginning, and later than now."),
    )
    found = [] if starts >= now - JUST_NOW else [field_error("starts", begins)]
    return found if ends > max(starts, now) else [*found, field_error("ends", is_over)]


def _wrong_change(freeze: Freeze, starts: datetime, ends: datetime, *, now: datetime) -> list[Missing]:
    """What is wrong with new times; the beginning of a freeze that holds is history."""
    if freeze.starts_at > now:
        return _wrong_times(starts, ends, now=now)
    text = _("It has begun: its beginning stays as it is.")
    found = [] if starts == freeze.starts_at else [field_error("starts", text)]
    return [*found, *_wrong_times(max(starts, now), ends, now=now)]


def _require(actor: Actor, scope: str, *, stopping: bool) -> None:
    """Raise unless the person may close this place; the portal itself passes where it acts by order."""
    if actor.user is None:
        return
    require_operate(actor)
    if not (queries.may_stop if stopping else queries.may_add)(actor.user, scope):
        allowed = queries.MAY_STOP if stopping else queries.MAY_ADD
        raise NotAllowed(missing=queries.who_may(allowed, places.within(scope)))


def _require_lift(actor: Actor, freeze: Freeze, *, now: datetime) -> None:
    if actor.user is None:
        return
    require_operate(actor)
    if queries.may_lift(actor.user, freeze, at=now):
        return
    is_own = freeze.is_stop and freeze.added_by_id == actor.user.pk
    text = _("Whoever stopped the line does not start it again alone.") if is_own else ""
    raise NotAllowed(text, missing=queries.lifters(freeze))
