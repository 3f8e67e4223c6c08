"""What a health answer must say: its code, Spring's status, values at paths of its JSON. Pure."""

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from portal.masking import masked

Json = dict[str, Any]
LONGEST = 80
# Spring counts an unknown part as healthy.
UP = frozenset({"UP", "UNKNOWN"})


def health_of(document: Mapping[str, Any], status: int, body: Any) -> tuple[bool, Json]:
    """Return whether an answer is a healthy one, and what it says: {"status", "unmet"? as of `unmet`}.

    Args:
        document: {"kind", "expect"?, "json"?}: of "actuator" the JSON's status counts, else the code.
        body: the parsed answer; None where it was no JSON.
    """
    if document.get("kind") == "actuator":
        said = str(body.get("status", "")) if isinstance(body, dict) else ""
        shown, is_well = _shown(said) or f"HTTP {status}", status == HTTPStatus.OK and said in UP
    else:
        shown, is_well = f"HTTP {status}", status == int(document.get("expect") or HTTPStatus.OK)
    wrong = unmet(body, document.get("json") or ())
    return is_well and not wrong, {"status": shown, "unmet": wrong} if wrong else {"status": shown}


def in_short(said: Mapping[str, Any]) -> str:
    """What an answer says (`health_of`) in its own words alone, the same in every language."""
    parts = [f"{each['path']} = {each.get('found', '–')}" for each in said.get("unmet") or ()]
    return ": ".join(filter(None, (str(said["status"]), ", ".join(parts))))


def unmet(body: Any, expectations: Iterable[Mapping[str, Any]]) -> list[Json]:
    """Return what of the answer is not as it should be: [{"code", "path", "found"?, "wanted"?, "limit"?}].

    Args:
        body: the parsed answer; None where it was no JSON.
        expectations: [{"path", "below"? , "above"?, "equals"?}] as the catalog has them.
    """
    return [wrong for each in expectations if (wrong := _unmet(at(body, each["path"]), each))]


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


def _unmet(found: Any, wanted: Mapping[str, Any]) -> Json | None:
    seen = {"path": wanted["path"], "found": _shown(found)}
    if found is None:
        return {"code": "missing", "path": wanted["path"]}
    if "equals" in wanted and not (type(found) is type(wanted["equals"]) and found == wanted["equals"]):
        return {"code": "equals", **seen, "wanted": _shown(wanted["equals"])}
    if "below" in wanted and not (_is_number(found) and found < wanted["below"]):
        return {"code": "below", **seen, "limit": wanted["below"]}
    if "above" in wanted and not (_is_number(found) and found > wanted["above"]):
        return {"code": "above", **seen, "limit": wanted["above"]}
    return None


def _is_number(found: Any) -> bool:
    return isinstance(found, int | float) and not isinstance(found, bool)


def _shown(found: Any) -> str:
    text = str(found).lower() if isinstance(found, bool) else masked(str(found)[: 4 * LONGEST])
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
