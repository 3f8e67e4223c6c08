"""The whole report: every table, in as many questions to the database however much there is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from portal import access
from portal.people.models import Team, User
from releases.catalog.models import Environment, Service
from releases.models import Item
from releases.rollouts.models import Rollout
from releases.rollouts.rhythm.figures import Bundle, Figures, bundles, figures
from releases.rollouts.rhythm.incidents import IncidentTables, incidents
from releases.rollouts.rhythm.period import Asked
from releases.rollouts.rhythm.waiting import PersonWait, RoleWait, by_person, by_role

# Below this a median says nothing (screens.md 2.12).
FEWEST = 3
MOST_LISTED = 50


@dataclass(frozen=True, kw_only=True)
class Report:
    """What is known of the deployments of a period; `weeks` holds every week of it, empty ones among them."""

    asked: Asked
    total: Figures
    weeks: Sequence[Figures]
    hours: Sequence[Figures]
    teams: Sequence[Figures]
    services: Sequence[Figures]
    environments: Sequence[Figures]
    grades: Sequence[Figures]
    people: Sequence[Figures]
    waiting_roles: Sequence[RoleWait]
    waiting_people: Sequence[PersonWait]
    bundles: Sequence[Bundle]
    latest: Sequence[Rollout]
    incidents: IncidentTables

    @property
    def is_enough(self) -> bool:
        """Whether there are deployments enough to say something."""
        return self.total.deployments >= FEWEST

    @property
    def per_week(self) -> float:
        """Deployments in seven days of the period."""
        return 7 * self.total.deployments / self.asked.days


@dataclass(frozen=True, kw_only=True)
class Choices:
    """What the reader may filter by."""

    teams: Sequence[Team]
    services: Sequence[Service]
    environments: Sequence[Environment]


def report(user: User, asked: Asked) -> Report:
    """Count what this person may see of what was asked."""
    parameters = asked.parameters(user)
    weeks = {row.key: row for row in figures("week", parameters)}
    totals = figures("total", parameters)
    return Report(
        asked=asked,
        total=totals[0] if totals else Figures(key="all"),
        weeks=[weeks.get(monday, Figures(key=monday)) for monday in asked.mondays],
        hours=figures("hour", parameters),
        teams=figures("team", parameters),
        services=figures("service", parameters),
        environments=figures("environment", parameters),
        grades=figures("grade", parameters),
        people=figures("person", parameters),
        waiting_roles=by_role(parameters),
        waiting_people=by_person(parameters),
        bundles=bundles(parameters),
        latest=_latest(parameters),
        incidents=incidents(parameters, asked.mondays),
    )


def choices(user: User) -> Choices:
    """Teams, services and environments the person may see."""
    services = list(access.visible(user, Service).select_related("team").defer("spec", "source"))
    teams = {service.team.key: service.team for service in services}
    environments = access.visible(user, Environment).defer("spec", "source")
    return Choices(
        teams=[teams[key] for key in sorted(teams)], services=services, environments=list(environments)
    )


def _latest(parameters: Mapping[str, Any]) -> list[Rollout]:
    """The newest of the deployments that were counted."""
    items = Item.objects.all()
    if parameters["service"]:
        items = items.filter(service__name=parameters["service"])
    if parameters["team"]:
        items = items.filter(service__team__key=parameters["team"])
    found = Rollout.objects.filter(
        environment__in=parameters["environments"],
        started_at__gte=parameters["start"],
        started_at__lt=parameters["until"],
        release__in=items.values("release"),
        release__operation={},
    )
    return list(
        found.select_related("release", "environment", "started_by").order_by("-started_at")[:MOST_LISTED]
    )
