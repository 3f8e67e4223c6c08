"""How every state, grade and role reads and looks: the one table that pages, mails and cards draw from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise


class Tone(StrEnum):
    """Colour families of a state; each exists as --TONE and --TONE-bg in tokens.css."""

    MUTE = "mute"
    ACT = "act"
    WAIT = "wait"
    OK = "ok"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Look:
    """A word for people, a tone, and the name of a symbol in shapes.svg."""

    label: _StrPromise
    tone: Tone
    shape: str


@dataclass(frozen=True, slots=True)
class GradeLook:
    """A grade's letter with its risk word."""

    letter: str
    risk: _StrPromise


MUTE, ACT, WAIT, OK, BAD = Tone.MUTE, Tone.ACT, Tone.WAIT, Tone.OK, Tone.BAD

STATES: Final[dict[str, Look]] = {
    # Not begun
    "draft": Look(pgettext_lazy("state", "Draft"), MUTE, "dashed-ring"),
    "queued": Look(pgettext_lazy("state", "Queued"), MUTE, "dashed-ring"),
    "waiting": Look(pgettext_lazy("state", "Waiting"), MUTE, "dashed-ring"),
    "scheduled": Look(pgettext_lazy("state", "Scheduled"), MUTE, "clock"),
    "ready": Look(pgettext_lazy("state", "Ready"), MUTE, "clock"),
    "building": Look(pgettext_lazy("state", "Building"), ACT, "arc"),
    "beta_rollout": Look(pgettext_lazy("state", "Beta rollout"), ACT, "arc"),
    # Somebody decides
    "qa_check": Look(pgettext_lazy("state", "QA check"), WAIT, "ring"),
    "submitted": Look(pgettext_lazy("state", "Submitted"), WAIT, "ring"),
    "in_review": Look(pgettext_lazy("state", "In review"), WAIT, "ring"),
    "open": Look(pgettext_lazy("state", "Open"), WAIT, "ring"),
    "approved": Look(pgettext_lazy("state", "Approved"), OK, "check"),
    "accepted": Look(pgettext_lazy("state", "Accepted"), OK, "check"),
    "met": Look(pgettext_lazy("state", "Met"), OK, "check"),
    "passed": Look(pgettext_lazy("state", "Passed"), OK, "check"),
    "sent_back": Look(pgettext_lazy("state", "Sent back"), WAIT, "arrow-left"),
    "rejected": Look(pgettext_lazy("state", "Rejected"), MUTE, "barred-ring"),
    "objection": Look(pgettext_lazy("state", "Objection"), WAIT, "triangle"),
    "taken_back": Look(pgettext_lazy("state", "Taken back"), MUTE, "turn-arrow"),
    "void": Look(pgettext_lazy("state", "Void (content changed)"), WAIT, "broken-ring"),
    "nobody_can": Look(pgettext_lazy("state", "Nobody can"), BAD, "octagon-question"),
    "overdue": Look(pgettext_lazy("state", "Overdue"), BAD, "clock"),
    # It moves
    "rolling_out": Look(pgettext_lazy("state", "Rolling out"), ACT, "arc"),
    "running": Look(pgettext_lazy("state", "Running"), ACT, "arc"),
    "paused": Look(pgettext_lazy("state", "Paused"), WAIT, "bars"),
    "verifying": Look(pgettext_lazy("state", "Verifying"), ACT, "eye"),
    "awaiting_signoff": Look(pgettext_lazy("state", "Awaiting sign-off"), WAIT, "pen"),
    "review_owed": Look(pgettext_lazy("state", "Review owed"), WAIT, "pen"),
    "switching": Look(pgettext_lazy("state", "Switching"), ACT, "arrows"),
    "stopping": Look(pgettext_lazy("state", "Stopping"), WAIT, "square"),
    "rolling_back": Look(pgettext_lazy("state", "Rolling back"), ACT, "turn-arrow"),
    # It is over
    "announced": Look(pgettext_lazy("state", "Announced"), OK, "check"),
    "closed": Look(pgettext_lazy("state", "Closed"), OK, "check"),
    "succeeded": Look(pgettext_lazy("state", "Succeeded"), OK, "check"),
    "withdrawn": Look(pgettext_lazy("state", "Withdrawn"), MUTE, "dash"),
    "expired": Look(pgettext_lazy("state", "Expired"), MUTE, "dash"),
    "replaced": Look(pgettext_lazy("state", "Replaced"), MUTE, "dash"),
    "refused": Look(pgettext_lazy("state", "Refused"), BAD, "octagon-cross"),
    "started": Look(pgettext_lazy("state", "Started"), OK, "check"),
    "superseded": Look(pgettext_lazy("state", "Superseded"), MUTE, "dash"),
    "stopped": Look(pgettext_lazy("state", "Stopped"), MUTE, "square"),
    "failed": Look(pgettext_lazy("state", "Failed"), BAD, "octagon-cross"),
    "breached": Look(pgettext_lazy("state", "Breached"), BAD, "octagon-cross"),
    "rollback_failed": Look(pgettext_lazy("state", "Rollback failed"), BAD, "octagon-cross"),
    "errored": Look(pgettext_lazy("state", "Could not measure"), WAIT, "diamond-question"),
    "inconclusive": Look(pgettext_lazy("state", "Inconclusive"), WAIT, "diamond-equals"),
    "cancelled": Look(pgettext_lazy("state", "Cancelled"), MUTE, "dash"),
    "missed": Look(pgettext_lazy("state", "Missed"), WAIT, "clock"),
    "skipped": Look(pgettext_lazy("state", "Skipped"), MUTE, "dash"),
    "not_applicable": Look(pgettext_lazy("state", "Not applicable"), MUTE, "dash"),
    "rolled_back": Look(pgettext_lazy("state", "Rolled back"), MUTE, "turn-arrow"),
    "undone": Look(pgettext_lazy("state", "Undone"), MUTE, "turn-arrow"),
    # The board
    "healthy": Look(pgettext_lazy("state", "Healthy"), OK, "check"),
    "progressing": Look(pgettext_lazy("state", "Progressing"), ACT, "arc"),
    "degraded": Look(pgettext_lazy("state", "Degraded"), BAD, "octagon-cross"),
    "unknown": Look(pgettext_lazy("state", "Unknown"), MUTE, "question"),
    "unapproved_change": Look(pgettext_lazy("state", "Unapproved change"), BAD, "triangle"),
    "pinned": Look(pgettext_lazy("state", "Pinned"), MUTE, "pin"),
    # A start that waited for its turn
    "begun": Look(pgettext_lazy("state", "Begun"), OK, "check"),
    "given_back": Look(pgettext_lazy("state", "Given back"), WAIT, "arrow-left"),
    # What became of an unapproved change
    "explained": Look(pgettext_lazy("state", "Explained"), WAIT, "eye"),
    "adopted": Look(pgettext_lazy("state", "Adopted"), OK, "check"),
    "ended": Look(pgettext_lazy("state", "Over by itself"), MUTE, "dash"),
    # An incident
    "ongoing": Look(pgettext_lazy("state", "Ongoing"), BAD, "triangle"),
}

# Verdicts and results are verbs or participles of a state above; they share its look.
ALIASES: Final[dict[str, str]] = {
    "approve": "approved",
    "send_back": "sent_back",
    "reject": "rejected",
    "object": "objection",
    "done": "passed",
}

GRADES: Final[dict[str, GradeLook]] = {
    "A": GradeLook("A", pgettext_lazy("risk", "very low")),
    "B": GradeLook("B", pgettext_lazy("risk", "low")),
    "C": GradeLook("C", pgettext_lazy("risk", "medium")),
    "D": GradeLook("D", pgettext_lazy("risk", "high")),
    "E": GradeLook("E", pgettext_lazy("risk", "special")),
}

ROLES: Final[dict[str, _StrPromise]] = {
    "pl": _("Project lead"),
    "team_lead": _("Team lead"),
    "infra_senior": _("Infrastructure senior"),
    "director": _("Director"),
    "qa": _("QA"),
    "release_manager": _("Release manager"),
    "auditor": _("Auditor"),
    "administrator": _("Administrator"),
}

MOST_NAMES: Final = 5
SCOPES: Final[dict[str, _StrPromise]] = {
    "cluster_group": _("Cluster group"),
    "environment": _("Environment"),
    "service": _("Service"),
    "team": _("Team"),
}

FACTS: Final[dict[str, _StrPromise]] = {
    "database_change": _("Database change"),
    "infrastructure": _("Infrastructure"),
    "traffic_path": _("Traffic path"),
    "new_api": _("New API"),
    "configuration_only": _("Configuration only"),
    "feature_flag": _("Feature flag only"),
    "scale_only": _("Scaling only"),
    "core_service": _("Core service"),
    "incident": _("Incident"),
}


def state_look(value: str) -> Look:
    """Look up a state by its stored word.

    An unlisted word is shown as *unknown* rather than breaking the page; a test keeps the table complete.
    """
    word = str(value)
    return STATES.get(ALIASES.get(word, word), STATES["unknown"])


def grade_look(value: str | None) -> GradeLook | None:
    """Look up a grade by its letter, in either case; None where none is set yet."""
    return GRADES.get(str(value).upper()) if value else None


def role_name(value: str) -> str:
    """Name a role in the reader's language; an unlisted one stands as it is."""
    return str(ROLES.get(str(value), value))


def scope_name(scope: str) -> str:
    """Say where a role holds: everywhere, or a kind with its name, such as "Team commerce"."""
    if scope == "*":
        return str(_("everywhere"))
    kind, _colon, name = scope.partition(":")
    return f"{SCOPES[kind]} {name}" if kind in SCOPES else scope


def role_entry(role: str, scope: str, names: Sequence[str]) -> dict[str, str]:
    """A role that a refusal asks for, with who holds it: one entry of an error's `missing`.

    Args:
        scope: where it is asked for; "" where any will do.
    """
    where = f"{role_name(role)} ({scope_name(scope)})" if scope else role_name(role)
    people = ", ".join(names[:MOST_NAMES]) + (" …" if len(names) > MOST_NAMES else "")
    text = _("{role}: {people}") if people else _("{role}: nobody holds it")
    return {
        "code": "role",
        "role": role,
        "scope": scope,
        "text": str(text).format(role=where, people=people),
    }
