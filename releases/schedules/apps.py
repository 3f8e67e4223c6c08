"""The schedules app."""

import importlib

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _

from portal.audit.actions import register


class SchedulesConfig(AppConfig):
    """Scheduled operations and backups."""

    name = "releases.schedules"
    label = "schedules"

    def ready(self) -> None:
        """Register the sweeps, and name the acts this app records."""
        importlib.import_module("releases.schedules.jobs")
        register(
            {
                "schedule.started": _("Scheduled run began"),
                "schedule.succeeded": _("Scheduled run succeeded"),
                "schedule.failed": _("Scheduled run failed"),
                "schedule.errored": _("Scheduled run could not be carried out"),
                "schedule.missed": _("Scheduled run missed"),
                "schedule.skipped": _("Scheduled run skipped"),
                "backup.made": _("Backup made"),
                "backup.removed": _("Backup removed"),
            }
        )
