"""Whether a release may begin or go on now: its place, laid before the one evaluator of the calendar."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, time
from zoneinfo import ZoneInfo

from django.conf import settings
from django.utils.translation import gettext_lazy as _

from approvals import grades
from approvals.calendar import operations, queries
from approvals.calendar.models import Freeze, OpenHours
from approvals.calendar.places import Place
from approvals.calendar.rules import Closure, Verdict, Window, Windows
from portal.actors import Actor
from portal.errors import Missing, PortalError
from portal.sentences import Text, joined
from portal.sentences import sentence as sentence_of
from releases.catalog.models import Environment
from releases.items import items_of
from releases.models import Release

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A window as a rule, and the row that holds it; None for one that the catalog file says."""

    rule: Window
    row: OpenHours | None = None


def windows_of(environment: Environment, kept: Iterable[Kept] | None = None) -> Windows | None:
    """The windows of an environment; None where it has none and is open at all times.

    Args:
        kept: those to look at instead of what stands, such as what would stand after a change.
    """
    windows = tuple(each.rule for each in (windows_in(environment) if kept is None else kept))
    return Windows(name=environment.title or environment.name, windows=windows) if windows else None


def windows_in(environment: Environment) -> list[Kept]:
    """What the environment's catalog file and its page say: it is open while one of them is."""
    return windows_by([environment])[environment.name]


def windows_by(environments: Iterable[Environment]) -> dict[str, list[Kept]]:
    """The windows of several environments by name, in one query."""
    found = {each.name: [Kept(rule=rule) for rule in _in_file(each)] for each in environments}
    for row in queries.hours_of(scope_of(name) for name in found):
        found[row.scope.partition(":")[2]].append(Kept(rule=queries.window_of(row), row=row))
    return found


def scope_of(name: str) -> str:
    """The scope of an environment, as freezes and windows name it."""
    return f"environment:{name}"


def _in_file(environment: Environment) -> list[Window]:
    return [
        Window(
            days=frozenset(DAYS.index(day) for day in said["days"]),
            start=time.fromisoformat(said["from"]),
            end=time.fromisoformat(said["to"]),
            zone=ZoneInfo(said.get("timeZone") or settings.TIME_ZONE),
        )
        for said in environment.spec.get("windows") or []
    ]


def place_of(release: Release) -> Place:
    """What a release touches."""
    services = [item.service for item in items_of(release)]
    return Place(
        environment=release.environment.name,
        teams=frozenset(each.team.key for each in services),
        services=frozenset(each.name for each in services),
    )


def verdict_for(release: Release, *, at: datetime | None = None) -> Verdict:
    """What the calendar says of the release at a moment; now, by the database's time, when left out."""
    return queries.verdict_for(place_of(release), windows_of(release.environment), at=at)


def closed_now(environment: Environment) -> list[str]:
    """What closes the whole of an environment at this moment, in sentences; not what closes one service."""
    place = Place(environment=environment.name, teams=frozenset(), services=frozenset())
    verdict = queries.verdict_for(place, windows_of(environment))
    return [sentence(facts_of(each), opens_at=verdict.opens_at) for each in verdict.closures]


def missing_for(release: Release, *, at: datetime | None = None) -> list[Missing]:
    """What of the calendar stands against a start or going on; an emergency passes (product.md)."""
    if release.grade == grades.EMERGENCY:
        return []
    verdict = verdict_for(release, at=at)
    return [_missing(closure, verdict.opens_at) for closure in verdict.closures]


def close_alone(error: PortalError) -> bool:
    """Whether the calendar alone refused: what an event starts is planned into the next opening then."""
    return {each.get("code") for each in error.missing} == {"freeze"}


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
    return str(_sentence(fact, opens_at=opens_at, lifting=lifting))


def _sentence(fact: Missing, *, opens_at: datetime | None = None, lifting: bool = False) -> Text:
    until = _moment(fact["until"] and datetime.fromisoformat(fact["until"]))
    if fact["kind"] == "windows":
        text = _("It is outside the windows of {name}. The next one opens: {until}.")
        return sentence_of(text, name=fact["name"], until=until)
    text = (
        _("The line is stopped ({reason}).")
        if fact["kind"] == "stop"
        else _('The freeze "{name}" ({reason}) lasts until {until}.')
    )
    told = [sentence_of(text, name=fact["name"], until=until, reason=fact["reason"])]
    if lifting or fact["kind"] == "stop":
        told.append(sentence_of(_("It can be lifted by: {people}."), people=_lifters(fact["id"])))
    if opens_at is not None:
        told.append(sentence_of(_("Next opening: {opens}."), opens=opens_at))
    return joined(told)


def facts_of(closure: Closure) -> Missing:
    """What is kept and told of a closure: names and times, without words of any language."""
    rule = closure.rule
    kind = "windows" if isinstance(rule, Windows) else "freeze" if rule.ends else "stop"
    until = closure.until.isoformat() if closure.until else None
    return {"kind": kind, "id": rule.id, "name": rule.name, "reason": rule.reason, "until": until}


def _missing(closure: Closure, opens_at: datetime | None) -> Missing:
    facts = facts_of(closure)
    opens = opens_at.isoformat() if opens_at else None
    return {"code": "freeze", **facts, "opens_at": opens, "text": _sentence(facts, opens_at=opens_at)}


def _moment(moment: datetime | None) -> object:
    return moment or _("not in sight")


def _lifters(freeze_id: int) -> Text:
    freeze = Freeze.objects.filter(pk=freeze_id).first()
    found = queries.lifters(freeze) if freeze else []
    nobody = _("nobody, until somebody holds such a role")
    return joined([each["text"] for each in found], between="; ") if found else nobody
