"""Events of one stream, written out once for each language that reads them."""

import json
from collections.abc import Sequence

from django.core.serializers.json import DjangoJSONEncoder
from django.utils import translation
from websockets.frames import Frame, Opcode

from portal.live.models import Event
from portal.live.shapes import event_shape


class Batch:
    """Some events in order, none missing between the first and the last."""

    def __init__(self, events: Sequence[Event]) -> None:
        self.events = events
        self.last = events[-1].number
        self._before = events[0].number - 1
        self._texts: dict[tuple[str, str, int], str] = {}
        self._frames: dict[tuple[str, str, int], bytes] = {}

    def text(self, topic: str, *, language: str, after: int) -> str:
        """What is sent to a reader of this topic and language who has read up to `after`."""
        key = topic, language, max(after, self._before)
        if key not in self._texts:
            self._texts[key] = self._write(*key)
        return self._texts[key]

    def frame(self, topic: str, *, language: str, after: int) -> bytes:
        """The same text as a WebSocket frame, the same bytes for all these readers (RFC 6455, 5.2)."""
        key = topic, language, max(after, self._before)
        if key not in self._frames:
            text = self.text(topic, language=language, after=after)
            self._frames[key] = Frame(Opcode.TEXT, text.encode()).serialize(mask=False)
        return self._frames[key]

    def _write(self, topic: str, language: str, after: int) -> str:
        with translation.override(language):
            shapes = [event_shape(event) for event in self.events if event.number > after]
        return json.dumps({"topic": topic, "events": shapes}, ensure_ascii=False, cls=DjangoJSONEncoder)
