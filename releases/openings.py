"""Whether a release may begin or go on now: its place, laid before the one evaluator of the calendar."""

from collections.abc import Mapping
from datetime import datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.utils.translation import gettext as _

from approvals import grades
from approvals.calendar import operations, queries
from approvals.calendar.models import Freeze
from approvals.calendar.places import Place
from approvals.calendar.rules import Closure, Verdict, Window, Windows
from portal import clock
from portal.actors import Actor
from portal.errors import Missing
from portal.ui import times
from releases.catalog.models import Environment
from releases.models import Release

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def windows_of(environment: Environment) -> Windows | None:
    """The windows that the catalog gives an environment; None where it is open at all times."""
    found = tuple(window for _said, window in windows_in(environment))
    return Windows(name=environment.title or environment.name, windows=found) if found else None


def windows_in(environment: Environment) -> list[tuple[Mapping[str, Any], Window]]:
    """Each window as the catalog file says it, and as a rule."""
    return [
        (
            said,
            Window(
                days=frozenset(DAYS.index(day) for day in said["days"]),
                start=time.fromisoformat(said["from"]),
                end=time.fromisoformat(said["to"]),
                zone=ZoneInfo(said.get("timeZone") or settings.TIME_ZONE),
            ),
        )
        for said in environment.spec.get("windows") or []
    ]


def place_of(release: Release) -> Place:
    """What a release touches."""
    services = release.items.values_list("service__name", "service__team__key")
    names, teams = zip(*services, strict=True) if services else ((), ())
    return Place(environment=release.environment.name, teams=frozenset(teams), services=frozenset(names))


def verdict_for(release: Release, *, at: datetime | None = None) -> Verdict:
    """What the calendar says of the release at a moment; now, by the database's time, when left out."""
    return queries.verdict_for(place_of(release), windows_of(release.environment), at=at)


def missing_for(release: Release, *, at: datetime | None = None) -> list[Missing]:
    """What of the calendar stands against a start or going on; an emergency passes (product.md)."""
    if release.grade == grades.EMERGENCY:
        return []
    verdict = verdict_for(release, at=at)
    return [_missing(closure, verdict.opens_at) for closure in verdict.closures]


def note_passage(release: Release, *, actor: Actor, windows_too: bool = False) -> None:
    """Keep with every freeze that an emergency begins or goes on in spite of it, and why.

    Args:
        windows_too: record that it is outside its windows as well, as at the start.
    """
    if release.grade != grades.EMERGENCY:
        return
    closures = verdict_for(release).closures
    operations.note_passage(
        [each for each in closures if windows_too or each.rule.id is not None],
        subject=release.subject,
        filed_under=release.number,
        reason=str((release.incident or {}).get("reason", "")),
        actor=actor,
    )


def sentence(fact: Missing, *, opens_at: datetime | None = None, lifting: bool = False) -> str:
    """Say what closes a place, why and until when, in the reader's language and zone.

    Args:
        fact: what `facts_of` said of it, be it long ago.
        opens_at: the next moment at which nothing is closed.
        lifting: name who may lift it; of a stop that is said always, as nothing else ends it.
    """
    until = _moment(fact["until"] and datetime.fromisoformat(fact["until"]))
    if fact["kind"] == "windows":
        text = _("It is outside the windows of {name}. The next one opens: {until}.")
        return text.format(name=fact["name"], until=until)
    text = (
        _("The line is stopped ({reason}).")
        if fact["kind"] == "stop"
        else _('The freeze "{name}" ({reason}) lasts until {until}.')
    )
    told = [text.format(name=fact["name"], until=until, reason=fact["reason"])]
    if lifting or fact["kind"] == "stop":
        told.append(_("It can be lifted by: {people}.").format(people=_lifters(fact["id"])))
    if opens_at is not None:
        told.append(_("Next opening: {opens}.").format(opens=_moment(opens_at)))
    return " ".join(told)


def facts_of(closure: Closure) -> Missing:
    """What is kept and told of a closure: names and times, without words of any language."""
    rule = closure.rule
    kind = "windows" if isinstance(rule, Windows) else "freeze" if rule.ends else "stop"
    until = closure.until.isoformat() if closure.until else None
    return {"kind": kind, "id": rule.id, "name": rule.name, "reason": rule.reason, "until": until}


def _missing(closure: Closure, opens_at: datetime | None) -> Missing:
    facts = facts_of(closure)
    opens = opens_at.isoformat() if opens_at else None
    return {"code": "freeze", **facts, "opens_at": opens, "text": sentence(facts, opens_at=opens_at)}


def _moment(moment: datetime | None) -> str:
    return times.absolute(moment, now=clock.now()) if moment else _("not in sight")


def _lifters(freeze_id: int) -> str:
    freeze = Freeze.objects.filter(pk=freeze_id).first()
    found = queries.lifters(freeze) if freeze else []
    return "; ".join(str(each["text"]) for each in found) or _("nobody, until somebody holds such a role")
