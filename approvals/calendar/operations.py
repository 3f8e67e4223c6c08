"""Adding and lifting freezes, stopping the line, noting who went past: the only writes to the calendar."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.utils.translation import gettext_lazy as _

from approvals.calendar import notices, places, queries, zones
from approvals.calendar.live import TOPIC
from approvals.calendar.models import EVERYWHERE, Freeze, Passage
from approvals.calendar.rules import Closure
from approvals.operations.refusals import check_reason
from portal import clock
from portal.actors import Actor
from portal.audit.record import record
from portal.errors import Conflict, Invalid, Missing, NotAllowed, NotFound, PortalError, field_error
from portal.live.publish import touch
from portal.people import roles
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
    with _noting_refusals(actor, scope), transaction.atomic():
        now = clock.now()
        _check(_wrong_fields(actor, name, reason, scope, zone) + _wrong_times(starts, ends, now=now))
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
    with _noting_refusals(actor, scope), transaction.atomic():
        _check(_wrong_fields(actor, name or "stop", reason, scope, "UTC"))
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
    scope = Freeze.objects.filter(pk=freeze_id).values_list("scope", flat=True).first()
    with _noting_refusals(actor, scope or "", freeze_id), transaction.atomic():
        freeze = Freeze.objects.select_for_update().filter(pk=freeze_id).first()
        if freeze is None or (actor.user is not None and not places.is_seen(actor.user, freeze.scope)):
            raise NotFound
        check_reason(reason)
        now = clock.now()
        if freeze.lifted_at is not None or (freeze.ends_at is not None and freeze.ends_at <= now):
            raise Conflict(_("It is over already."))
        _require_lift(actor, freeze, now=now)
        freeze.lifted_at, freeze.lifted_by, freeze.lift_reason = now, actor.user, reason
        freeze.save(update_fields=["lifted_at", "lifted_by", "lift_reason"])
        _tell(freeze, "freeze.lifted", actor=actor, reason=reason)
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


def _tell(freeze: Freeze, action: str, *, actor: Actor, reason: str) -> None:
    after: dict[str, Any] = {
        "name": freeze.name,
        "scope": freeze.scope,
        "starts": freeze.starts_at.isoformat(),
        "ends": freeze.ends_at.isoformat() if freeze.ends_at else None,
    }
    record(action, actor=actor, subject=("freeze", str(freeze.pk)), after=after, reason=reason)
    touch(TOPIC, action)
    notices.tell(freeze, action, reason=reason)


def _wrong_fields(actor: Actor, name: str, reason: str, scope: str, zone: str) -> list[Missing]:
    name_text = _("Give it a name of at most {most} characters.").format(most=LONGEST_NAME)
    scope_text = _('Write "*", "environment:NAME", "team:KEY" or "service:NAME" of something that is there.')
    is_named = bool(name.strip()) and len(name) <= LONGEST_NAME
    found: list[Missing] = [] if is_named else [field_error("name", name_text)]
    if not _is_place(actor, scope):
        found.append(field_error("scope", scope_text))
    for check in (
        lambda: check_words(name, field="name"),
        lambda: check_reason(reason),
        lambda: zones.zone_named(zone),
    ):
        try:
            check()
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


def _is_place(actor: Actor, scope: str) -> bool:
    """Whether there is such a place; one that the person may not know of is none."""
    if actor.user is not None and not places.is_seen(actor.user, scope):
        return False
    kind, _colon, key = scope.partition(":")
    if scope == EVERYWHERE:
        return True
    return kind in places.KINDS and bool(roles.SCOPE.fullmatch(scope)) and roles.THERE[kind](key)


def _check(missing: list[Missing]) -> None:
    if missing:
        raise Invalid(missing=missing)


def _require(actor: Actor, scope: str, *, stopping: bool) -> None:
    """Raise unless the person may close this place; the portal itself passes where it acts by order."""
    if actor.user is None:
        return
    _require_scope(actor)
    if not (queries.may_stop if stopping else queries.may_add)(actor.user, scope):
        allowed = queries.MAY_STOP if stopping else queries.MAY_ADD
        raise NotAllowed(missing=queries.who_may(allowed, places.within(scope)))


def _require_lift(actor: Actor, freeze: Freeze, *, now: datetime) -> None:
    if actor.user is None:
        return
    _require_scope(actor)
    if queries.may_lift(actor.user, freeze, at=now):
        return
    is_own = freeze.is_stop and freeze.added_by_id == actor.user.pk
    text = _("Whoever stopped the line does not start it again alone.") if is_own else ""
    raise NotAllowed(text, missing=queries.lifters(freeze))


def _require_scope(actor: Actor) -> None:
    if not actor.has_scope("operate"):
        text = _("This access token has no scope {scope}. Make one that has it, or use the browser.")
        raise NotAllowed(text.format(scope="operate"))


@contextmanager
def _noting_refusals(actor: Actor, scope: str, freeze_id: int | None = None) -> Iterator[None]:
    """Leave one entry for an act that is refused inside; its own transaction is gone by then."""
    try:
        yield
    except (NotAllowed, Conflict) as error:
        with transaction.atomic():
            _note(error, actor=actor, scope=scope, freeze_id=freeze_id)
        raise


def _note(error: PortalError, *, actor: Actor, scope: str, freeze_id: int | None) -> None:
    record(
        "freeze.refused",
        actor=actor,
        subject=("freeze", str(freeze_id or "new")),
        after={"code": error.code, "scope": scope},
        reason=str(error.detail),
    )
