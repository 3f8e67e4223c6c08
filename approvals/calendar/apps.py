"""The calendar app."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _

from portal import asked
from portal.audit.actions import register
from portal.notices import kinds


class CalendarConfig(AppConfig):
    """Windows, freezes and the stopped line."""

    name = "approvals.calendar"
    label = "calendar"

    def ready(self) -> None:
        """Name the acts this app records, and let open pages watch the calendar."""
        # The models are loaded only now.
        from approvals.calendar import frame, live, notices  # noqa: PLC0415

        asked.register(frame.newest_event)
        asked.register(frame.any_holding)
        live.register()
        kinds.register(
            {notices.KIND: _("A freeze or a window is added, changed or lifted, the line is stopped")}
        )
        register(
            {
                "freeze.added": _("Freeze added"),
                "freeze.stopped": _("Line stopped"),
                "freeze.changed": _("Freeze changed"),
                "freeze.lifted": _("Freeze lifted"),
                "freeze.passed": _("Passed a freeze"),
                "freeze.refused": _("Change of the calendar refused"),
                "window.added": _("Window added"),
                "window.changed": _("Window changed"),
                "window.ended": _("Window ended"),
                "window.passed": _("Began outside its windows"),
            }
        )
