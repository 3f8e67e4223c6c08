"""What people do about an incident: open it, note, tell the team, link a release, correct it, close it.

Whoever may carry rollouts on in the environment may: release managers, owners and infrastructure
(screens.md 2.10).
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta

from django.db import transaction
from django.utils.translation import gettext as _

from portal import access, clock
from portal.actors import Actor
from portal.audit.record import record
from portal.errors import Conflict, Invalid, NotFound, field_error
from portal.live.publish import touch, touch_each
from portal.transitions import move
from portal.ui import times
from portal.words import check_words
from releases.catalog.models import Environment, Service
from releases.guards import require_scope
from releases.incidents import notices
from releases.incidents.models import STANDING, Entry, Incident
from releases.incidents.queries import mark_of, services_of
from releases.incidents.states import EntryKind, IncidentState
from releases.models import Release
from releases.operations.fields import Faults
from releases.rollouts import queries as rollout_queries
from releases.rollouts.models import Rollout

RIGHT = "operate"
LONGEST_TITLE, LONGEST_WORDS = 200, 4_000
# What began earlier is another story; a wrong year is a slip of the pen.
LONGEST_BEFORE = timedelta(days=30)
HEALTHY = frozenset({"healthy", "unknown"})


def open_incident(
    service: str,
    environment: str,
    *,
    actor: Actor,
    title: str = "",
    began_at: datetime | None = None,
    rollout: int | None = None,
) -> tuple[Incident, bool]:
    """Open an incident, or come to the one that is open there: two people press at once.

    Args:
        title: said from what is seen, where it is empty.
        began_at: since when the service is in trouble; now, or when the rollout failed, without it.
        rollout: the failed rollout it is opened from; its release is linked.

    Returns:
        The incident, and whether it is a new one.

    Raises:
        NotFound: no such service, environment or rollout, or the person may not see it.
        NotAllowed: the person may not operate there.
        Invalid: names every wrong field.
    """
    place = _place(service, environment, actor)
    access.require(actor, RIGHT, place[1])
    require_scope(actor, RIGHT)
    failed = _rollout(rollout, *place) if rollout is not None else None
    with transaction.atomic():
        Environment.objects.select_for_update(no_key=True).get(pk=place[1].pk)
        standing = Incident.objects.filter(
            service=place[0], environment=place[1], state=IncidentState.ONGOING
        ).first()
        if standing is not None:
            return standing, False
        incident = _made(*place, actor=actor, title=title, began_at=_beginning(began_at, failed))
        if failed is not None:
            _write(incident, EntryKind.LINKED, actor=actor, release=failed.release)
    return incident, True


def open_for_rollout(rollout: int, service: str = "", *, actor: Actor) -> list[Incident]:
    """Open an incident of one service of a rollout that failed as a whole, or of each of them.

    Where one is open already, it is that one: two people press at once.

    Args:
        service: one of the release's; "" for every one that the person may see.

    Returns:
        The incidents, in the order of the release.

    Raises:
        NotFound: no such rollout, none of its services has this name, or the person may not see it.
        NotAllowed: the person may not operate there.
    """
    found = _visible_rollout(rollout, actor)
    names = [each.name for each in services_of(found, actor.user) if service in {"", each.name}]
    if not names:
        raise NotFound
    place = found.environment.name
    with transaction.atomic():
        return [open_incident(name, place, actor=actor, rollout=rollout)[0] for name in names]


def note(number: int, *, actor: Actor, text: str) -> Entry:
    """Write down what was seen or done.

    Raises:
        NotFound, NotAllowed.
        Invalid: nothing is said.
        Conflict: the incident is closed.
    """
    with _locked(number, actor=actor) as incident:
        return _write(incident, EntryKind.NOTE, actor=actor, text=_words("text", text))


def tell_team(number: int, *, actor: Actor, text: str) -> Entry:
    """Tell everybody with a role in the service or its team, and those in charge of it in the environment.

    Raises:
        NotFound, NotAllowed, Invalid, Conflict: as for a note.
    """
    with _locked(number, actor=actor) as incident:
        people = notices.team_of(incident)
        words = _words("text", text)
        entry = _write(incident, EntryKind.TOLD, actor=actor, text=words, told=len(people))
        notices.tell_team(incident, entry, people)
    return entry


def link_release(number: int, release: int, *, actor: Actor) -> Entry:
    """Say that a release belongs to the incident: what caused it, or what mends it.

    Raises:
        NotFound, NotAllowed, Conflict: as for a note.
        Invalid: the person sees no such release, or it is of another environment.
    """
    with _locked(number, actor=actor) as incident:
        found = _visible_release(release, actor)
        if found is None or found.environment_id != incident.environment_id:
            text = _("There is no release #{number} in {environment}.")
            words = text.format(number=release, environment=incident.environment)
            raise Invalid(missing=[field_error("release", words)])
        known = incident.entries.filter(STANDING, release=found).first()
        return known or _write(incident, EntryKind.LINKED, actor=actor, release=found)


def unlink_release(number: int, release: int, *, actor: Actor) -> Entry:
    """Take a mistaken link back, of a closed incident as well; both stay in the timeline.

    Raises:
        NotFound, NotAllowed: as for a note.
        NotFound: the person sees no such release, or it is not linked.
    """
    with _locked(number, actor=actor, or_closed=True) as incident:
        found = _visible_release(release, actor)
        link = incident.entries.filter(STANDING, release=found).first()
        if found is None or link is None:
            raise NotFound
        link.undone_at = clock.now()
        link.save(update_fields=["undone_at"])
        return _write(incident, EntryKind.UNLINKED, actor=actor, release=found)


def correct_incident(
    number: int,
    *,
    actor: Actor,
    title: str | None = None,
    began_at: datetime | None = None,
    mark: str | None = None,
) -> Incident:
    """Correct its title, and since when the trouble lasts, of a closed incident as well.

    Args:
        title: None leaves it.
        began_at: None leaves it.
        mark: of what the person saw; None for whoever saw nothing.

    Raises:
        NotFound, NotAllowed: as for a note.
        Invalid: names every wrong field.
        Conflict: `stale_digest`, with what it is now, where somebody else was faster.
    """
    with _locked(number, actor=actor, or_closed=True) as incident:
        if mark is not None and mark != mark_of(incident):
            raise _stale(incident)
        before = _facts(incident)
        faults = Faults()
        if title is not None:
            incident.title = faults.text("title", title, most=LONGEST_TITLE, required=True)
        if began_at is not None:
            incident.began_at = began_at
            if not _may_begin(began_at, opened=incident.opened_at, until=incident.closed_at or clock.now()):
                text = _("A time before now and its end is expected, at most 30 days before it was opened.")
                faults.add("began_at", text)
        if faults.found:
            raise Invalid(missing=faults.found)
        after = _facts(incident)
        changes = {name: [before[name], after[name]] for name in after if before[name] != after[name]}
        if changes:
            incident.save(update_fields=list(changes))
            _write(incident, EntryKind.CORRECTED, actor=actor, changes=changes)
    return incident


def _facts(incident: Incident) -> dict[str, str]:
    """What can be corrected."""
    return {"title": incident.title, "began_at": incident.began_at.isoformat()}


def _stale(incident: Incident) -> Conflict:
    text = _("It was corrected since you looked: “{title}”, since {time}. Look whether that is right now.")
    since = times.absolute(incident.began_at, now=clock.now())
    return Conflict(text.format(title=incident.title, time=since), code="stale_digest")


def close_incident(number: int, *, actor: Actor, cause: str) -> Incident:
    """End it and say what the cause was; the time to recover is measured to here.

    Raises:
        NotFound, NotAllowed, Invalid, Conflict: as for a note.
    """
    with _locked(number, actor=actor) as incident:
        incident.cause = _words("cause", cause)
        incident.closed_at, incident.closed_by = clock.now(), actor.user
        fields, name = ["cause", "closed_at", "closed_by"], incident.service.name
        move(incident, IncidentState.CLOSED, actor=actor, reason=incident.cause, fields=fields, service=name)
        _touch(incident)
    return incident


def find(number: int, *, actor: Actor) -> Incident:
    """Return an incident that the person may see.

    Raises:
        NotFound: there is none, or they may not.
    """
    around = ("service__team", "environment__cluster", "opened_by", "closed_by")
    found = Incident.objects.select_related(*around).filter(number=number).first()
    if found is None or (actor.user and not access.allowed(actor.user, "view", found)):
        raise NotFound
    return found


def _place(service: str, environment: str, actor: Actor) -> tuple[Service, Environment]:
    found = Service.objects.select_related("team").filter(name=service, environments__name=environment)
    there = found.first(), Environment.objects.filter(name=environment).first()
    if there[0] is None or there[1] is None:
        raise NotFound
    if actor.user and not all(access.allowed(actor.user, "view", each) for each in there if each):
        raise NotFound
    return there[0], there[1]


def _visible_rollout(pk: int, actor: Actor) -> Rollout:
    found = Rollout.objects.select_related("environment").filter(pk=pk).first()
    if found is None or (actor.user and not access.allowed(actor.user, "view", found)):
        raise NotFound
    return found


def _rollout(pk: int, service: Service, environment: Environment) -> Rollout:
    """The rollout of this service here."""
    around = Rollout.objects.select_related("release").filter(environment=environment)
    found = around.filter(pk=pk, release__items__service=service).first()
    if found is None:
        raise NotFound
    return found


def _beginning(said: datetime | None, failed: Rollout | None) -> datetime:
    now = clock.now()
    if said is None:
        return min(failed.failed_at, now) if failed and failed.failed_at else now
    if not _may_begin(said, opened=now, until=now):
        text = _("A time of the last 30 days is expected.")
        raise Invalid(missing=[field_error("began_at", text)])
    return said


def _may_begin(said: datetime, *, opened: datetime, until: datetime) -> bool:
    return opened - LONGEST_BEFORE <= said <= until


def _made(
    service: Service, environment: Environment, *, actor: Actor, title: str, began_at: datetime
) -> Incident:
    faults = Faults()
    words = faults.text("title", title, most=LONGEST_TITLE) or _title(service, environment)
    if faults.found:
        raise Invalid(missing=faults.found)
    incident = Incident.objects.create(
        service=service,
        environment=environment,
        title=words,
        began_at=began_at,
        opened_at=clock.now(),
        opened_by=actor.user,
    )
    _record(incident, "opened", actor=actor, after=_facts(incident))
    return incident


def _title(service: Service, environment: Environment) -> str:
    """The place, and what the cluster says of it: words of no language of ours, as everybody reads them."""
    cell = rollout_queries.cell_of(service, environment)
    seen = "" if cell.health in HEALTHY else cell.text
    place = f"{service.name} ({environment})"
    return (f"{place}: {seen}" if seen else place)[:LONGEST_TITLE]


@contextmanager
def _locked(number: int, *, actor: Actor, or_closed: bool = False) -> Iterator[Incident]:
    """Yield the incident under lock, for who may act on it, while it is ongoing, or closed as well."""
    found = find(number, actor=actor)
    access.require(actor, RIGHT, found)
    require_scope(actor, RIGHT)
    with transaction.atomic():
        rows = Incident.objects.select_for_update(of=("self",)).select_related("service__team", "environment")
        incident = rows.get(number=number)
        if incident.state != IncidentState.ONGOING and not or_closed:
            raise Conflict(_("This incident is closed. Open another one if the trouble is back."))
        yield incident


def _write(
    incident: Incident,
    kind: EntryKind,
    *,
    actor: Actor,
    text: str = "",
    release: Release | None = None,
    told: int = 0,
    changes: Mapping[str, Sequence[str]] | None = None,
) -> Entry:
    found = changes or {}
    entry = Entry.objects.create(
        incident=incident,
        kind=kind,
        text=text,
        release=release,
        told=told,
        changes=changes,
        by=actor.user,
        at=clock.now(),
    )
    _record(
        incident,
        "noted" if kind == EntryKind.NOTE else kind,
        actor=actor,
        before={name: before for name, (before, _after) in found.items()},
        after={name: after for name, (_before, after) in found.items()}
        | ({"told": told} if kind == EntryKind.TOLD else {}),
        reason=text,
        release=release.number if release else None,
    )
    return entry


def _record(
    incident: Incident,
    act: str,
    *,
    actor: Actor,
    before: Mapping[str, str] | None = None,
    after: Mapping[str, object] | None = None,
    reason: str = "",
    release: int | None = None,
) -> None:
    record(
        f"incident.{act}",
        actor=actor,
        subject=("incident", str(incident.number)),
        before=dict(before) if before else None,
        after={"environment": incident.environment.name, **(after or {})},
        reason=reason,
        release=release,
        service=incident.service.name,
    )
    _touch(incident)


def _touch(incident: Incident) -> None:
    """Let the board, the pages of the service and of the incident, and the team's inboxes read again."""
    touch(f"board.{incident.environment.name}", data={"service": incident.service.name})
    touch_each(f"inbox.{user.pk}" for user in notices.team_of(incident))


def _words(field: str, text: str) -> str:
    check_words(text, field=field, most=LONGEST_WORDS)
    words = text.strip()
    if not words:
        raise Invalid(missing=[field_error(field, _("Say it in a sentence."))])
    return words


def _visible_release(number: int, actor: Actor) -> Release | None:
    release = Release.objects.filter(number=number).first()
    if release is None or (actor.user and not access.allowed(actor.user, "view", release)):
        return None
    return release
