"""Events as programs and browsers read them."""

from typing import Any

from portal.live.models import Event
from portal.live.texts import render


def event_shape(event: Event) -> dict[str, Any]:
    """One event, with its text in the active language."""
    return {
        "id": event.number,
        "at": event.at.isoformat(),
        "kind": event.kind,
        "step": event.data.get("step"),
        "text": render(event.kind, event.data),
        "data": event.data,
    }
