"""What the doors show of incidents: what went out before, how it stands, what was done, and the clock."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Q, QuerySet

from portal import access, clock
from portal.people.models import User
from releases.catalog.models import Environment, Service
from releases.incidents import wording
from releases.incidents.models import STANDING, Entry, Incident
from releases.incidents.states import IncidentState
from releases.models import Release
from releases.open_incidents import OpenIncident
from releases.rollouts.models import Rollout
from releases.rollouts.operations import refusal_of
from releases.rollouts.states import ACTIVE, OrderKind, RolloutState
from releases.rollouts.tables import UNDONE_BY
from releases.schedules.recovery import INCIDENT, Recovered, recovery_of

Json = dict[str, Any]
# What went out so long before is looked at first (screens.md 2.10).
LOOKED_BACK = timedelta(hours=2)
MOST_ROLLOUTS = 20
# The address of an incident, behind the portal's own.
LINK = re.compile(r"/incidents/([0-9]{1,18})/?")
# What the filter of the list asks for.
VIEWS: Mapping[str, str] = {"": IncidentState.ONGOING, "closed": IncidentState.CLOSED}


@dataclass(frozen=True, kw_only=True)
class RecoveryClock:
    """The time since it began beside the aim, in seconds; None where the catalog has no aim.

    `usual` is how long recoveries of the service took in the last year, in the middle of them.
    """

    seconds: int
    aim: int | None
    usual: int | None

    @property
    def left(self) -> int | None:
        """What is left of the aim; negative once it is missed."""
        return None if self.aim is None else self.aim - self.seconds

    @property
    def is_missed(self) -> bool:
        """Whether it takes, or took, longer than it may."""
        return self.left is not None and self.left < 0


@dataclass(frozen=True, kw_only=True)
class WentOut:
    """A rollout around the beginning; `services` are those of it that are this one or beside it."""

    rollout: Rollout
    services: tuple[str, ...]
    is_own: bool
    is_before: bool


@dataclass(frozen=True, kw_only=True)
class Moment:
    """One line of the timeline; `state` where it has a look of its own."""

    at: datetime
    what: str
    by: User | None = None
    text: str = ""
    state: str = ""
    told: int = 0
    release: Release | None = None
    rollout: Rollout | None = None


@dataclass(frozen=True, kw_only=True)
class WayBack:
    """The service's last rollout here, and what stands against taking it back; "" for nothing."""

    rollout: Rollout
    off: str


def visible_incidents(
    user: User, *, view: str = "", environment: str = "", service: str = ""
) -> QuerySet[Incident]:
    """Incidents that the person may see, the newest first.

    Args:
        view: "" for those that are ongoing, "closed", or "all".
    """
    found = access.visible(user, Incident).select_related(
        "service__team", "environment", "opened_by", "closed_by"
    )
    if view in VIEWS:
        found = found.filter(state=VIEWS[view])
    if environment:
        found = found.filter(environment__name=environment)
    return found.filter(service__name=service) if service else found


def ongoing_at(service: Service, environment: Environment) -> Incident | None:
    """The one that is open there."""
    state = IncidentState.ONGOING
    return Incident.objects.filter(service=service, environment=environment, state=state).first()


def ongoing_among(services: Iterable[Service], environment: Environment) -> dict[int, Incident]:
    """Those that are open there, by the keys of their services."""
    state = IncidentState.ONGOING
    found = Incident.objects.filter(service__in=services, environment=environment, state=state)
    return {each.service_id: each for each in found.select_related("service")}


def services_of(rollout: Rollout, user: User | None) -> list[Service]:
    """The services of a rollout that the person may see, in the order of the release; None sees all."""
    seen = access.visible(user, Service) if user else Service.objects.all()
    rows = seen.filter(items__release=rollout.release_id).select_related("team")
    return list(rows.order_by("items__position", "items__pk"))


def link_of(incident: Incident) -> str:
    """The address that an emergency release names as its incident."""
    return f"{_base()}/incidents/{incident.number}/"


def _base() -> str:
    return settings.PUBLIC_URL.rstrip("/")


def open_of_system(user: User, system: str) -> list[OpenIncident]:
    """Those of a system that a release can be composed for, the newest first."""
    found = visible_incidents(user).filter(environment__system=system)
    return [
        OpenIncident(
            number=each.number,
            service=each.service.name,
            environment=str(each.environment),
            title=each.title,
            link=link_of(each),
        )
        for each in found
    ]


def incidents_of(user: User, release: Release) -> QuerySet[Incident]:
    """Those that the release names, or is linked with, as far as the person may see them."""
    found = LINK.fullmatch((release.incident or {}).get("link", "").removeprefix(_base()))
    named = Q(number=int(found[1]), environment__system=release.environment.system) if found else Q(pk=None)
    linked = Q(pk__in=release.incident_entries.filter(STANDING).values("incident"))
    return visible_incidents(user, view="all").filter(named | linked)


def clock_of(incident: Incident) -> RecoveryClock:
    """How long it takes, or took, beside what the catalog aims at."""
    found = recovery_of(incident.service, incident.environment)
    until = incident.closed_at or clock.now()
    seconds = int((until - incident.began_at).total_seconds())
    return RecoveryClock(seconds=seconds, aim=found.rto_aim, usual=found.rto_median)


def recovered(services: Sequence[int], environment: Environment, since: datetime) -> list[Recovered]:
    """How long the services there were in trouble, by their closed incidents that began since.

    Args:
        services: their keys.
    """
    closed = Incident.objects.filter(service__in=services, environment=environment, began_at__gte=since)
    return [
        Recovered(
            service=each.service_id, kind=INCIDENT, number=each.pk, began=each.began_at, ended=each.closed_at
        )
        for each in closed
        if each.closed_at
    ]


def neighbours_of(service: Service, environment: Environment) -> set[str]:
    """The services here that this one needs, and those that need it, by the catalog."""
    needs = set(service.spec.get("dependencies") or [])
    rows = environment.services.exclude(pk=service.pk).values_list("name", "spec")
    return {name for name, spec in rows if name in needs or service.name in (spec.get("dependencies") or [])}


def went_out(incident: Incident) -> list[WentOut]:
    """The rollouts of the service and of its neighbours, from two hours before it began; the newest first."""
    around = {incident.service.name, *neighbours_of(incident.service, incident.environment)}
    until = incident.closed_at or clock.now()
    since = incident.began_at - LOOKED_BACK
    lately = Q(queued_at__gte=since) | Q(ended_at__gte=since) | Q(failed_at__gte=since)
    found = (
        Rollout.objects.filter(lately | Q(state__in=[*ACTIVE, RolloutState.PAUSED]), queued_at__lte=until)
        .filter(environment=incident.environment, release__items__service__name__in=around)
        .select_related("release", "started_by")
        .prefetch_related("release__items__service")
    )
    return [_went_out(each, incident, around) for each in found.distinct().order_by("-pk")[:MOST_ROLLOUTS]]


def _went_out(rollout: Rollout, incident: Incident, around: set[str]) -> WentOut:
    names = tuple(item.service.name for item in rollout.release.items.all() if item.service.name in around)
    return WentOut(
        rollout=rollout,
        services=names,
        is_own=incident.service.name in names,
        is_before=(rollout.started_at or rollout.queued_at) <= incident.began_at,
    )


def way_back(incident: Incident) -> WayBack | None:
    """The last rollout of the service here that there is a way back from, whose order takes it back.

    A restart, as many try it first, hides no release: nothing of it could be taken back.
    """
    own = Rollout.objects.filter(environment=incident.environment, release__items__service=incident.service)
    returning = own.filter(Q(release__operation={}) | Q(release__operation__kind__in=UNDONE_BY))
    rollout = returning.select_related("release").order_by("-pk").first()
    if rollout is None:
        return None
    refusal = refusal_of(rollout, OrderKind.ROLLBACK)
    return WayBack(rollout=rollout, off=str(refusal.detail) if refusal else "")


def releases_of(incident: Incident, reader: User | None) -> QuerySet[Release]:
    """The releases that are linked with it, and those of its system that name it as their incident.

    Args:
        reader: who sees only what they may; None sees all.
    """
    seen = access.visible(reader, Release) if reader else Release.objects.all()
    return seen.filter(_linked(incident) | _naming(incident)).select_related("author").order_by("-number")


def linked_with(incident: Incident, reader: User | None) -> QuerySet[Release]:
    """The releases that somebody linked with it, as far as the reader sees them; None sees all."""
    seen = access.visible(reader, Release) if reader else Release.objects.all()
    return seen.filter(_linked(incident)).order_by("-number")


def _linked(incident: Incident) -> Q:
    return Q(pk__in=incident.entries.filter(STANDING).values("release"))


def _naming(incident: Incident) -> Q:
    link = link_of(incident)
    system = incident.environment.system
    return Q(incident__link__in=[link, link.removesuffix("/")], environment__system=system)


def timeline(incident: Incident, rollouts: Sequence[WentOut], reader: User | None) -> list[Moment]:
    """What happened, the newest first: what people wrote, and what rollouts around it came to."""
    moments = [
        Moment(at=incident.began_at, what="began", state="degraded"),
        Moment(at=incident.opened_at, what="opened", by=incident.opened_by),
        *(_of_an_entry(each) for each in incident.entries.select_related("by", "release")),
        *(moment for each in rollouts for moment in _of_a_rollout(each.rollout)),
    ]
    for release in releases_of(incident, reader).filter(_naming(incident)):
        moments.append(Moment(at=release.created_at, what="drafted", by=release.author, release=release))
    if incident.closed_at:
        at, cause = incident.closed_at, incident.cause
        moments.append(Moment(at=at, what="closed", by=incident.closed_by, text=cause, state="closed"))
    return sorted(moments, key=lambda each: each.at, reverse=True)


def _of_an_entry(entry: Entry) -> Moment:
    text, told, release = entry.text or wording.correction(entry), entry.told, entry.release
    return Moment(at=entry.at, what=entry.kind, by=entry.by, text=text, told=told, release=release)


def _of_a_rollout(rollout: Rollout) -> list[Moment]:
    moments = []
    if rollout.started_at:
        at, by = rollout.started_at, rollout.started_by
        moments.append(Moment(at=at, what="started", by=by, state="running", rollout=rollout))
    if rollout.failed_at:
        moments.append(Moment(at=rollout.failed_at, what="failed", state="failed", rollout=rollout))
    if rollout.ended_at and rollout.state != RolloutState.FAILED:
        moments.append(Moment(at=rollout.ended_at, what="ended", state=rollout.state, rollout=rollout))
    return moments


def _release_of(moment: Moment) -> int | None:
    if moment.rollout:
        return moment.rollout.release_id
    return moment.release.number if moment.release else None


def shape(incident: Incident) -> Json:
    """Return an incident as the API lists it."""
    return {
        "number": incident.number,
        "service": incident.service.name,
        "environment": incident.environment.name,
        "team": incident.service.team.key,
        "title": incident.title,
        "state": incident.state,
        "began_at": incident.began_at,
        "opened_at": incident.opened_at,
        "opened_by": incident.opened_by.username if incident.opened_by else None,
        "closed_at": incident.closed_at,
        "closed_by": incident.closed_by.username if incident.closed_by else None,
        "cause": incident.cause,
        "link": link_of(incident),
    }


def mark_of(incident: Incident) -> str:
    """Names exactly what can be corrected of it, as it is now."""
    facts = json.dumps([incident.title, incident.began_at.isoformat()])
    return hashlib.sha256(facts.encode()).hexdigest()[:32]


def full_shape(incident: Incident, reader: User | None) -> Json:
    """Return an incident as the API gives it alone."""
    found, out = clock_of(incident), went_out(incident)
    return {
        **shape(incident),
        "mark": mark_of(incident),
        "recovery": {
            "seconds": found.seconds,
            "aim_seconds": found.aim,
            "usual_seconds": found.usual,
            "missed": found.is_missed,
        },
        "releases": [release.number for release in releases_of(incident, reader)],
        "went_out": [
            {
                "rollout": each.rollout.pk,
                "release": each.rollout.release_id,
                "services": list(each.services),
                "state": each.rollout.state,
                "started_at": each.rollout.started_at,
                "own": each.is_own,
                "before": each.is_before,
            }
            for each in out
        ],
        "timeline": [
            {
                "at": each.at,
                "what": each.what,
                "by": each.by.username if each.by else None,
                "text": each.text,
                "told": each.told,
                "release": _release_of(each),
                "rollout": each.rollout.pk if each.rollout else None,
            }
            for each in timeline(incident, out, reader)
        ],
    }
