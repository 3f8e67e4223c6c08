"""Sentences that outlive the act: kept as their English form with what fills it, worded where they are read.

A refusal is worded in the language of whoever meets it, which for a worker is the portal's. What a row keeps
of it must not be: its reader may read another one.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeGuard

from django.utils.functional import Promise, lazy
from django.utils.translation import gettext

Text = str | Promise
KEYS = {"says", "args"}
PLACES = re.compile(r"\{(\w+)\}")
# Under this name the facts of a portal's own reason stand beside its words.
WHY = "why"
MOMENT = "moment"
# Writes a moment for its reader; filled by the pages, which know their language and zone.
WRITERS: list[Callable[[datetime], str]] = [datetime.isoformat]


def _filled(says: str, args: Mapping[str, object]) -> str:
    """Fill the places that are named, and nothing else: what others wrote is no format to be carried out."""
    text = gettext(says) if says else says
    return PLACES.sub(lambda place: worded(args[place[1]]) if place[1] in args else place[0], text)


_lazy = lazy(_filled, str)


def sentence(says: Text, **args: object) -> Text:
    """Return a text that is put into words in the language in which it is asked for them.

    Args:
        says: the English form, which marks its places as `{name}`.
        args: what fills them: sentences and moments among it.
    """
    return _lazy(_made_of(says)["says"] if isinstance(says, Promise) else says, args)


def joined(texts: Sequence[Text], *, between: str = " ") -> Text:
    """Return one text of several."""
    places = {f"n{number}": text for number, text in enumerate(texts)}
    return sentence(between.join(f"{{{place}}}" for place in places), **places)


def kept(text: object) -> Any:
    """Return what a row keeps of a text: {"says", "args"} of what the portal says, all else in words."""
    if isinstance(text, datetime):
        return {MOMENT: text.isoformat()}
    return (isinstance(text, Promise) and _made_of(text)) or str(text)


def why(reason: Text) -> dict[str, Any]:
    """Return what stands beside a reason's words, by which `said` words it anew; nothing of a person's."""
    found = kept(reason)
    return {} if isinstance(found, str) else {WHY: found}


def said(told: Mapping[str, Any], reason: str) -> str:
    """Put a reason into words, by the facts beside it where there are some."""
    found = told.get(WHY)
    return worded(found) if _is_kept(found) else reason


def worded(found: Any) -> str:
    """Put into words what `kept` returned; a text is what it is."""
    if isinstance(found, Mapping) and found.keys() == {MOMENT}:
        found = _moment_in(found[MOMENT])
    if isinstance(found, datetime):
        return WRITERS[-1](found)
    return _filled(found["says"], found["args"]) if _is_kept(found) else str(found)


def with_words(found: Any, change: Callable[[str], str]) -> Any:
    """Return what `kept` returned with every word changed that others wrote; what the portal says stays."""
    if _is_kept(found):
        args = {name: with_words(each, change) for name, each in found["args"].items()}
        return {"says": found["says"], "args": args}
    return change(found) if isinstance(found, str) else found


def _moment_in(found: object) -> object:
    try:
        return datetime.fromisoformat(str(found))
    except ValueError:
        return found


def worded_in(found: Any) -> Any:
    """Put into words every sentence that is kept somewhere in a JSON value."""
    if _is_kept(found):
        return worded(found)
    if isinstance(found, Mapping):
        return {name: worded_in(value) for name, value in found.items()}
    return [worded_in(each) for each in found] if isinstance(found, list) else found


def _is_kept(found: object) -> TypeGuard[Mapping[str, Any]]:
    """Whether a value has the shape of a kept sentence; what others answered may have it by chance."""
    return (
        isinstance(found, Mapping)
        and found.keys() == KEYS
        and isinstance(found["says"], str)
        and isinstance(found["args"], Mapping)
    )


def _made_of(text: Promise) -> dict[str, Any]:
    """The English form of a lazy text, and what fills it, by what it would be pickled as; {} of others."""
    pickled: Any = text.__reduce__()
    make, args = pickled[1][:2]
    if make is _filled:
        says, filling = args
        return {"says": says, "args": {name: kept(value) for name, value in filling.items()}}
    return {"says": str(args[0]), "args": {}} if make is gettext else {}
