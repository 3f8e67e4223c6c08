"""Events of one stream, written out once for each language that reads them."""

import json
from collections.abc import Sequence

from django.core.serializers.json import DjangoJSONEncoder
from django.utils import translation

from portal.live.models import Event
from portal.live.shapes import event_shape


class Batch:
    """Some events in order, none missing between the first and the last."""

    def __init__(self, events: Sequence[Event]) -> None:
        self.events = events
        self.last = events[-1].number
        self._written: dict[tuple[str, int], str] = {}

    def text(self, topic: str, *, language: str, after: int) -> str:
        """The frame for a reader of this topic and language who has read up to `after`."""
        start = max(after, self.events[0].number - 1)
        if (language, start) not in self._written:
            self._written[language, start] = self._write(language, start)
        return f'{{"topic":{json.dumps(topic)},"events":{self._written[language, start]}}}'

    def _write(self, language: str, after: int) -> str:
        with translation.override(language):
            shapes = [event_shape(event) for event in self.events if event.number > after]
        return json.dumps(shapes, ensure_ascii=False, cls=DjangoJSONEncoder)
