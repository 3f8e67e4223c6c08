"""Whose inbox an open incident stands in: those who release the service, who can do something about it."""

from typing import Any

from django.db.models import QuerySet

from portal import access, asked
from portal.frame import NONE, Counts
from portal.people.models import User
from portal.reader import Reader
from releases.catalog.models import Service
from releases.inbox import Other
from releases.incidents.models import Incident
from releases.incidents.states import IncidentState


def waiting_for(user: User) -> list[Incident]:
    """The open incidents of the services that the person releases, the oldest first."""
    services = access.visible_set(user, Service, "compose")
    found = Incident.objects.filter(state=IncidentState.ONGOING, service__in=services)
    return list(found.select_related("service", "environment").order_by("number"))


def others_waiting_for(user: User) -> list[Other]:
    """The same as rows of the inbox."""
    return [
        Other(
            kind="incident",
            key=each.number,
            title=each.title,
            state=each.state,
            environment=each.environment.name,
            since=each.began_at,
        )
        for each in waiting_for(user)
    ]


def any_open() -> QuerySet[Incident, Any]:
    """Asks whether there is an open incident anywhere; nearly always there is none at all."""
    return Incident.objects.filter(state=IncidentState.ONGOING).values("pk")


def counts(reader: Reader) -> Counts:
    """What the person's incidents add to the numbers in every header."""
    if asked.first(reader, any_open) is None:
        return NONE
    number = len(waiting_for(reader.user))
    return {"waiting_count": number, "trouble_count": number}
