"""The incidents app."""

import importlib

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _

from portal import asked, frame
from portal.audit.actions import register


class IncidentsConfig(AppConfig):
    """Incidents of services."""

    name = "releases.incidents"
    label = "incidents"

    def ready(self) -> None:
        """Name the acts this app records, let incidents wait in inboxes, be composed for and be measured."""
        people = importlib.import_module("releases.incidents.people")
        asked.register(people.any_open)
        frame.COUNTERS.append(people.counts)
        importlib.import_module("releases.inbox").OTHERS.append(people.others_waiting_for)
        queries = importlib.import_module("releases.incidents.queries")
        importlib.import_module("releases.open_incidents").SOURCES.append(queries.open_of_system)
        importlib.import_module("releases.schedules.recovery").SOURCES.append(queries.recovered)
        counted = importlib.import_module("releases.incidents.figures").figures
        importlib.import_module("releases.rollouts.rhythm.incidents").SOURCES.append(counted)
        register(
            {
                "incident.opened": _("Incident opened"),
                "incident.noted": _("Noted in an incident"),
                "incident.told": _("Team told of an incident"),
                "incident.linked": _("Release linked with an incident"),
                "incident.unlinked": _("Link of a release with an incident taken back"),
                "incident.corrected": _("Incident corrected"),
                "incident.closed": _("Incident closed"),
            }
        )
