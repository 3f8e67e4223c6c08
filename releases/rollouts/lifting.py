"""Who may lift a pause, by its reason, and whom to ask where the reader cannot lift it (product.md)."""

from collections.abc import Callable, Sequence
from typing import Any

from django.utils.translation import gettext as _

from approvals import queries as approval_queries
from approvals.states import Phase
from portal import access, clock
from portal.actors import Actor
from portal.ui.looks import role_entry
from releases import openings
from releases.rollouts.course import is_switching
from releases.rollouts.events import by
from releases.rollouts.models import Rollout, Step

Json = dict[str, Any]
# What it takes besides, before those who operate can resume.
FIRST = {"approval": "approve", "freeze": "lift_freeze"}
OPERATE = "operate"
# More people than this are counted.
MOST_NAMES = 3


def pause_of(reason: Json, *, step: Step | None, actor: Actor) -> Json:
    """Return what a rollout keeps of a pause: why, by whom, and which rights lift it, in their order.

    Args:
        reason: {"reason": a code, "args": what its sentence names}.
        step: at which it holds.
    """
    code = str(reason["reason"])
    return {
        "reason": code,
        "args": reason.get("args") or {},
        **by(actor),
        "lift": [*([FIRST[code]] if code in FIRST else []), OPERATE],
        "step": step.pk if step else None,
        "at": clock.now().isoformat(),
    }


def help_with(rollout: Rollout) -> str:
    """Say who lifts the pause of a rollout, by name; "" where it has none.

    Who lifts a freeze is said with the freeze itself.
    """
    lift = (rollout.pause or {}).get("lift") or []
    return " ".join(HELPERS[right](rollout) for right in lift if right in HELPERS)


def _operators(rollout: Rollout) -> str:
    """Who may resume: first those near to the services of the release, then those of wider scopes."""
    place = openings.place_of(rollout.release)
    near = {f"service:{name}" for name in place.services} | {f"team:{key}" for key in place.teams}
    held = access.assignments_with(OPERATE, rollout)
    people = dict.fromkeys(each.user for each in sorted(held, key=lambda each: each.scope not in near))
    if not people:
        return _("Nobody may resume it here.")
    return _("It can be resumed by: {people}.").format(people=_few([str(each) for each in people]))


def _few(names: Sequence[str]) -> str:
    told = ", ".join(names[:MOST_NAMES])
    more = len(names) - MOST_NAMES
    return _("{names} and {count} more").format(names=told, count=more) if more > 0 else told


def _approvers(rollout: Rollout) -> str:
    """Whose approval is missing; after the start no new one is taken (rules.md, "Verdicts")."""
    request = rollout.release.approval_request
    phases = [Phase.REVIEW, *([Phase.SIGNOFF] if is_switching(rollout.steps.all()) else [])]
    standing = approval_queries.standing(request) if request is not None else None
    rows = [row for phase in phases for row in (standing.open(phase) if standing else ())]
    said = [_row(row) for row in rows]
    awaited = [_("Their approval is missing: {people}.").format(people="; ".join(said))] if said else []
    return " ".join([*awaited, _("It goes on once what was approved counts again; else roll it back.")])


def _row(row: approval_queries.RowStanding) -> str:
    asked = row.requirement
    people = dict.fromkeys([*row.lost, *row.candidates])
    return role_entry(asked.role, asked.scope, [str(each) for each in people])["text"]


HELPERS: dict[str, Callable[[Rollout], str]] = {"approve": _approvers, OPERATE: _operators}
