"""move(): the only code that changes a state, with its audit entry and its event in one transaction."""

import logging
from collections.abc import Iterable
from typing import Any, ClassVar, Protocol, cast

from django.db import transaction
from django.db.models import Model
from django.utils.translation import gettext_lazy as _

from portal.actors import Actor
from portal.audit.record import record
from portal.errors import Conflict
from portal.live.publish import publish
from portal.sentences import Text, sentence, why
from portal.statements import save

logger = logging.getLogger(__name__)


class Stateful(Protocol):
    """A row with one state field and a table of allowed moves."""

    MOVES: ClassVar[dict[str, frozenset[str]]]
    KIND: ClassVar[str]
    pk: Any
    state: str

    def get_state_display(self) -> str:
        """The word people read for the state."""


def can_move(row: Stateful, state: str) -> bool:
    """Whether the table allows this move."""
    return state in row.MOVES[row.state]


def move(
    row: Stateful,
    state: str,
    *,
    actor: Actor,
    reason: Text = "",
    fields: Iterable[str] = (),
    topic: str = "",
    data: dict[str, Any] | None = None,
    release: int | None = None,
    service: str = "",
    content_digest: str = "",
) -> None:
    """Change the state of a locked row.

    Args:
        fields: other fields of the row that changed with the state.
        topic: the live stream that is told; the event's kind is "KIND.state", its data `data`.

    Raises:
        Conflict: the table does not allow this move.
    """
    before = row.state
    if not can_move(row, state):
        text = _("It is in state {before}; this is not possible from there.")
        raise Conflict(sentence(text, before=row.get_state_display()))
    row.state = str(state)
    save(cast(Model, row), ["state", *fields])
    action = f"{row.KIND}.{row.state}"
    record(
        action,
        actor=actor,
        subject=(row.KIND, str(row.pk)),
        before={"state": before},
        after={"state": row.state, **(data or {})},
        reason=reason,
        release=release,
        service=service,
        content_digest=content_digest,
    )
    words = f"{row.KIND} {row.pk}: {before} to {row.state}"
    transaction.on_commit(lambda: logger.info("%s", words, extra={"by": actor.name, "cause": actor.cause}))
    if topic:
        publish(
            topic,
            action,
            {"from": before, "reason": str(reason), **why(reason), "by": actor.name, **(data or {})},
        )
