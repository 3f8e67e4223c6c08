"""The releases app."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _

from portal import frame
from portal.audit.actions import register
from portal.notices import kinds

# How people read the acts that the record keeps.
ACTS = {
    "release.created": _("Release composed"),
    "release.edited": _("Release edited"),
    "release.draft": _("Returned to draft"),
    "release.submitted": _("Submitted"),
    "release.in_review": _("Review began"),
    "release.approved": _("Release approved"),
    "release.sent_back": _("Release sent back"),
    "release.rejected": _("Release rejected"),
    "release.withdrawn": _("Release withdrawn"),
    "release.superseded": _("Release superseded"),
    "release.expired": _("Release expired"),
    "release.scheduled": _("Release scheduled"),
    "release.rolling_out": _("Rollout began"),
    "release.paused": _("Release paused"),
    "release.verifying": _("Verification began"),
    "release.awaiting_signoff": _("Result sign-off awaited"),
    "release.switching": _("Traffic switches"),
    "release.announced": _("Release announced"),
    "release.review_owed": _("Review owed"),
    "release.closed": _("Release closed"),
    "release.failed": _("Release failed"),
    "release.rolling_back": _("Rollback began"),
    "release.rolled_back": _("Release rolled back"),
    "checklist.measured": _("Check measured"),
    "gate.passed": _("Gate passed"),
    "gate.breached": _("Gate breached"),
    "gate.errored": _("Gate could not be measured"),
    "gate.inconclusive": _("Gate inconclusive"),
    "gate.ignored": _("Breach ignored"),
    "release.refused": _("Refused"),
    "release.start_refused": _("Start refused"),
    "checklist.ticked": _("Check answered"),
}


class ReleasesConfig(AppConfig):
    """Releases from draft to close."""

    name = "releases"

    def ready(self) -> None:
        """Name the acts this app records, count for the header, join the sweep, be watched."""
        # The models are loaded only now; importing jobs registers its sweep.
        from portal.administration import queries as administration  # noqa: PLC0415
        from releases import inbox, jobs, live, retention  # noqa: F401, PLC0415
        from releases.reading import leaving  # noqa: PLC0415

        kinds.register(
            {
                "decision": _("My decision is needed"),
                "deadline": _("A deadline is near, or has passed"),
                "settled": _("My release was decided on, expired or was replaced"),
                "objection": _("Somebody objects"),
                kinds.TROUBLE: _("A rollout or a service that I am in charge of is in trouble"),
                "shared": _("What was submitted and released, for my information"),
            }
        )
        frame.COUNTERS.append(inbox.counts)
        administration.CONSEQUENCES.append(leaving.consequences)
        live.register()
        retention.register()
        register(ACTS)
