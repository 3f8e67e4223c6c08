"""What a health answer's JSON must say: values at paths, by limit or word for word. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

from django.utils.translation import gettext as _

LONGEST = 80


def unmet(body: Any, expectations: Iterable[Mapping[str, Any]]) -> str:
    """Say in words what of the answer is not as it should be; "" where all is.

    Args:
        body: the parsed answer; None where it was no JSON.
        expectations: [{"path", "below"? , "above"?, "equals"?}] as the catalog has them.
    """
    return ", ".join(filter(None, (_unmet(at(body, each["path"]), each) for each in expectations)))


def at(body: Any, path: str) -> Any:
    """Return the value at a path such as `checks.0.status`; None where there is none."""
    for part in path.split("."):
        if isinstance(body, Mapping):
            body = body.get(part)
        elif isinstance(body, list) and part.isdecimal() and int(part) < len(body):
            body = body[int(part)]
        else:
            return None
    return body


def _unmet(found: Any, wanted: Mapping[str, Any]) -> str:
    words = {"path": wanted["path"], "found": _shown(found)}
    if found is None:
        return _("{path} is missing").format(**words)
    if "equals" in wanted and not (type(found) is type(wanted["equals"]) and found == wanted["equals"]):
        return _("{path} is {found}, not {wanted}").format(**words, wanted=_shown(wanted["equals"]))
    if "below" in wanted and not (_is_number(found) and found < wanted["below"]):
        return _("{path} is {found}, not below {limit}").format(**words, limit=wanted["below"])
    if "above" in wanted and not (_is_number(found) and found > wanted["above"]):
        return _("{path} is {found}, not above {limit}").format(**words, limit=wanted["above"])
    return ""


def _is_number(found: Any) -> bool:
    return isinstance(found, int | float) and not isinstance(found, bool)


def _shown(found: Any) -> str:
    text = str(found).lower() if isinstance(found, bool) else str(found)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
