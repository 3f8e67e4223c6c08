"""The pipeline app."""

import importlib

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _

from portal.audit.actions import register


class PipelineConfig(AppConfig):
    """Releases that begin with an event of a CI system."""

    name = "releases.pipeline"
    label = "pipeline"

    def ready(self) -> None:
        """Register the sweep, and name the acts this app records."""
        importlib.import_module("releases.pipeline.jobs")
        register(
            {
                "delivery.received": _("CI event received"),
                "delivery.forgotten": _("Old CI events removed"),
                "arrival.started": _("CI event started a rollout"),
                "arrival.queued": _("CI event queued a rollout"),
                "arrival.scheduled": _("CI event scheduled a release"),
                "arrival.submitted": _("CI event submitted a release"),
                "arrival.replaced": _("CI event replaced by a newer one"),
                "arrival.shrunk": _("CI event left services to a newer one"),
                "arrival.refused": _("CI event refused"),
            }
        )
