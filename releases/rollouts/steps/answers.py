"""What a health answer's JSON must say: values at paths, by limit or word for word. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

Json = dict[str, Any]
LONGEST = 80


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
    text = str(found).lower() if isinstance(found, bool) else str(found)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
