"""What happened, in the reader's language: texts are made from an event's kind and data when it is read."""

from collections.abc import Callable, Mapping
from typing import Any

from django.utils.functional import Promise

from portal.sentences import WHY, said

Words = str | Promise | Callable[[Mapping[str, Any]], str]
TEXTS: dict[str, Words] = {}


class _Gaps(dict[str, Any]):
    def __missing__(self, key: str) -> str:
        return ""


def register(texts: Mapping[str, Words]) -> None:
    """Add texts by kind: templates such as _("Paused by {by}: {reason}"), or functions of the data."""
    TEXTS.update(texts)


def render(kind: str, data: Mapping[str, Any]) -> str:
    """Say what happened, in the active language; "" for a kind without words."""
    template = TEXTS.get(kind, "")
    if WHY in data:
        data = {**data, "reason": said(data, str(data.get("reason", "")))}
    if callable(template):
        return template(data)
    return str(template).format_map(_Gaps(data)).strip()
