"""Moving a release: one way for every operation, so that record, event, end and board never differ."""

from collections.abc import Iterable
from typing import Any

from approvals.calendar import live as calendar
from portal import clock
from portal.actors import Actor
from portal.live.publish import touch
from portal.sentences import Text
from portal.transitions import move
from releases.models import Release
from releases.states import ENDS, ReleaseState

# What the calendar draws moves in and out of these.
ON_THE_CALENDAR = {ReleaseState.SCHEDULED, ReleaseState.ROLLING_OUT, ReleaseState.VERIFYING}


def move_release(
    release: Release,
    state: str,
    *,
    actor: Actor,
    reason: Text = "",
    fields: Iterable[str] = (),
    data: dict[str, Any] | None = None,
) -> None:
    """Move a locked release, note its end where it is one, and let the board read again.

    Args:
        fields: other fields of the row that changed with the state.
        data: told with the event and kept in the record.

    Raises:
        Conflict: the life of a release does not allow the move.
    """
    before = release.state
    release.ended_at = clock.now() if state in ENDS else None
    if state != ReleaseState.SCHEDULED:
        release.scheduled_at, release.scheduled_by = None, None
    move(
        release,
        state,
        actor=actor,
        reason=reason,
        fields=["ended_at", "scheduled_at", "scheduled_by", *fields],
        topic=release.topic,
        data=data,
        release=release.number,
        content_digest=release.content_digest,
    )
    touch(f"board.{release.environment.name}")
    if {before, state} & ON_THE_CALENDAR:
        touch(calendar.TOPIC)
