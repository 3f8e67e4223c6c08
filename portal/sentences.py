"""Sentences that outlive the act: kept as their English form with what fills it, worded where they are read.

A refusal is worded in the language of whoever meets it, which for a worker is the portal's. What a row keeps
of it must not be: its reader may read another one.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext

Text = str | Promise
KEYS = {"says", "args"}
PLACES = re.compile(r"\{(\w+)\}")


class Sentence(Promise):
    """A text that is put into words, in the language of that moment, whenever it is asked for them."""

    def __init__(self, says: Text, **args: object) -> None:
        """Take an English form that marks its places as `{name}`, and what fills them: sentences among it."""
        self.says = _form_of(says)
        self.args = args

    def __str__(self) -> str:
        return _filled(self.says, {name: str(value) for name, value in self.args.items()})


def joined(texts: Sequence[Text], *, between: str = " ") -> Text:
    """Return one text of several."""
    places = {f"n{number}": text for number, text in enumerate(texts)}
    return Sentence(between.join(f"{{{place}}}" for place in places), **places)


def kept(text: object) -> Any:
    """Return what a row keeps of a text: {"says", "args"} of what the portal says, all else in words."""
    if isinstance(text, Sentence):
        return {"says": text.says, "args": {name: kept(value) for name, value in text.args.items()}}
    if isinstance(text, Promise) and (form := _form_of(text)):
        return {"says": form, "args": {}}
    return str(text)


def worded(found: Any) -> str:
    """Put into words what `kept` returned; a text is what it is."""
    if _is_kept(found):
        return _filled(found["says"], {name: worded(value) for name, value in found["args"].items()})
    return str(found)


def worded_in(found: Any) -> Any:
    """Put into words every sentence that is kept somewhere in a JSON value."""
    if _is_kept(found):
        return worded(found)
    if isinstance(found, Mapping):
        return {name: worded_in(value) for name, value in found.items()}
    return [worded_in(each) for each in found] if isinstance(found, list) else found


def _is_kept(found: Any) -> bool:
    """Whether a value has the shape of a kept sentence; what others answered may have it by chance."""
    return (
        isinstance(found, Mapping)
        and found.keys() == KEYS
        and isinstance(found["says"], str)
        and isinstance(found["args"], Mapping)
    )


def _filled(says: str, args: Mapping[str, str]) -> str:
    """Fill the places that are named, and nothing else: what others wrote is no format to be carried out."""
    text = gettext(says) if says else says
    return PLACES.sub(lambda place: args.get(place[1], place[0]), text)


def _form_of(text: Text) -> str:
    """The English form of a lazy text, by what it would be pickled as; of others none is known."""
    if not isinstance(text, Promise):
        return text
    make, args, *_rest = text.__reduce__()[1]  # type: ignore[misc]
    return str(args[0]) if make is gettext and args else ""
