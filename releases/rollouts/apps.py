"""The rollouts app."""

import importlib

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _

from portal import frame
from portal.audit.actions import register
from portal.notices import kinds

# How people read the acts that the record keeps.
ACTS = {
    "rollout.queued": _("Rollout queued"),
    "rollout.running": _("Rollout running"),
    "rollout.paused": _("Rollout paused"),
    "rollout.verifying": _("Rollout verifying"),
    "rollout.awaiting_signoff": _("Rollout awaiting the sign-off"),
    "rollout.switching": _("Rollout switching"),
    "rollout.stopping": _("Rollout stopping"),
    "rollout.stopped": _("Rollout stopped"),
    "rollout.failed": _("Rollout failed"),
    "rollout.succeeded": _("Rollout succeeded"),
    "rollout.rolling_back": _("Rolling back"),
    "rollout.rolled_back": _("Rolled back"),
    "rollout.rollback_failed": _("Rollback failed"),
    "rollout.refused": _("Rollout refused"),
    "order.asked": _("Order given"),
    "order.honoured": _("Order honoured"),
    "order.already": _("Order for what was so already"),
    "order.refused": _("Order refused"),
    "step.ready": _("Step ready"),
    "step.waiting": _("Step waiting"),
    "step.running": _("Step began"),
    "step.acted": _("Step acted on the cluster"),
    "step.succeeded": _("Step succeeded"),
    "step.failed": _("Step failed"),
    "step.errored": _("Step could not measure"),
    "step.inconclusive": _("Step inconclusive"),
    "step.cancelled": _("Step cancelled"),
    "step.skipped": _("Step skipped"),
    "step.undone": _("Step undone"),
    "drift.accepted": _("Foreign change accepted"),
    "finding.opened": _("Unapproved change found"),
    "finding.changed": _("Unapproved change changed"),
    "finding.adopted": _("Unapproved change adopted"),
    "finding.explained": _("Unapproved change explained"),
    "finding.ended": _("Unapproved change is over"),
    "finding.put_back": _("Draft made that puts back what was approved"),
    "place.queued": _("Start queued"),
    "place.begun": _("Turn came"),
    "place.given_back": _("Start given back from the queue"),
    "place.cancelled": _("Start taken out of the queue"),
    "pin.set": _("Service pinned"),
    "pin.lifted": _("Pin lifted"),
}


class RolloutsConfig(AppConfig):
    """The rollout engine."""

    name = "releases.rollouts"
    label = "rollouts"

    def ready(self) -> None:
        """Register the sweep and the measurements, and name the acts this app records."""
        importlib.import_module("releases.rollouts.jobs")
        importlib.import_module("releases.rollouts.readings")
        importlib.import_module("releases.rollouts.topics")
        texts = importlib.import_module("releases.rollouts.texts")
        observations = importlib.import_module("releases.observations")
        observations.register(name=texts.gate_name, say=texts.measured, why=texts.reason)
        said = importlib.import_module("releases.rollouts.remarking")
        importlib.import_module("releases.remarks").register(said.remarks_on)
        running = importlib.import_module("releases.rollouts.running")
        importlib.import_module("releases.announcement").SKIPPED.append(running.left_out_of)
        places = importlib.import_module("releases.rollouts.places")
        importlib.import_module("releases.turns").register(places.leave)
        findings = importlib.import_module("releases.rollouts.findings.people")
        frame.COUNTERS.append(findings.counts)
        importlib.import_module("releases.inbox").OTHERS.append(findings.others_waiting_for)
        kinds.register({"finding": _("Something runs that nobody approved")})
        register(ACTS)
