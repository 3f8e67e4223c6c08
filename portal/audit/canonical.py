"""The RFC 8785 form of an entry's text, by the interpreter's own encoder wherever the two say the same."""

import json
import re
from typing import Any

import rfc8785

_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
# A fraction, an exponent or more than 15 digits, which the form writes in its own way (section 3.2.2.3).
_NUMBER = re.compile(r"[:\[,]-?\d+(?:[.e]|(?<=\d{16}))")
_BEYOND = "\ud800"  # from here on the order of keys may differ (section 3.2.3)


def canonical(values: dict[str, Any]) -> str:
    """Return the text that anybody gets from these values with a library of RFC 8785.

    Raises:
        ValueError: a value has no such form.
    """
    text = _ENCODER.encode(values)
    may_differ = _NUMBER.search(text) or not (text.isascii() or max(text) < _BEYOND)
    return rfc8785.dumps(values).decode() if may_differ else text
