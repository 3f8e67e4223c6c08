"""Label and field selectors: reading them and matching objects against them."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from portal.embedded.cluster.errors import ApiError, bad_request
from portal.embedded.cluster.kinds import Kind

Object = dict[str, Any]
Match = Callable[[Object], bool]

_SET = re.compile(r"^\s*([\w./-]+)\s+(in|notin)\s*\(([^)]*)\)\s*$")
_EQUAL = re.compile(r"^\s*([\w./-]+)\s*(==|!=|=)\s*([\w./-]*)\s*$")
_EXISTS = re.compile(r"^\s*(!?)\s*([\w./-]+)\s*$")

FIELDS: dict[str, frozenset[str]] = {
    "pods": frozenset(
        {
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "status.phase",
            "status.podIP",
            "status.nominatedNodeName",
        }
    ),
    "events": frozenset(
        {
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
        }
    ),
    "nodes": frozenset({"spec.unschedulable"}),
    "namespaces": frozenset({"status.phase"}),
    "secrets": frozenset({"type"}),
    "replicasets.apps": frozenset({"status.replicas"}),
    "jobs.batch": frozenset({"status.successful"}),
}


def _split(text: str) -> list[str]:
    return [part for part in re.split(r",(?![^(]*\))", text) if part.strip()]


def _requirement(text: str) -> Callable[[Mapping[str, str]], bool]:
    if found := _SET.match(text):
        key, word, values = found[1], found[2], {value.strip() for value in found[3].split(",")}
        if word == "in":
            return lambda labels: labels.get(key) in values
        return lambda labels: labels.get(key) not in values
    if found := _EQUAL.match(text):
        key, sign, value = found[1], found[2], found[3]
        if sign == "!=":
            return lambda labels: labels.get(key) != value
        return lambda labels: labels.get(key) == value
    if found := _EXISTS.match(text):
        absent, key = bool(found[1]), found[2]
        return lambda labels: (key in labels) != absent
    raise bad_request(f"unable to parse requirement: found '{text.strip()}'")


def labels_match(text: str) -> Match:
    """Read a labelSelector such as `app=web,tier in (a, b)`."""
    checks = [_requirement(part) for part in _split(text)]
    return lambda item: all(check(item["metadata"].get("labels") or {}) for check in checks)


def fields_match(text: str, *, kind: Kind) -> Match:
    """Read a fieldSelector; Kubernetes knows only a few fields per kind and refuses others with 400."""
    checks = []
    allowed = FIELDS.get(kind.resource, frozenset())
    for part in _split(text):
        found = _EQUAL.match(part)
        if found is None:
            raise bad_request(f"invalid selector: '{part}'; can't understand '{part}'")
        if found[1] not in allowed and found[1] not in ("metadata.name", "metadata.namespace"):
            raise _unsupported(found[1], text=text)
        checks.append((found[1], found[2] == "!=", found[3]))
    return lambda item: all(
        (field_value(item, path) == wanted) != negated for path, negated, wanted in checks
    )


def _unsupported(field: str, *, text: str) -> ApiError:
    return bad_request(f'Unable to find field selector "{text}": field label not supported: {field}')


def field_value(item: Object, path: str) -> str:
    value: Any = item
    if path == "source":
        return str((item.get("source") or {}).get("component", ""))
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    if path == "spec.unschedulable" and value is None:
        return "false"
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


def selector_matches(selector: Mapping[str, Any] | None, labels: Mapping[str, str] | None) -> bool:
    """Match labels against a LabelSelector object; an empty selector matches everything, null nothing."""
    if selector is None:
        return False
    labels = labels or {}
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    return all(_expression(item, labels) for item in selector.get("matchExpressions") or [])


def _expression(item: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    key, values = item["key"], item.get("values") or []
    match item["operator"]:
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case _:
            return key not in labels


def selector_text(selector: Mapping[str, Any] | None) -> str:
    """A LabelSelector object as text, for Scale's `status.selector`."""
    if selector is None:
        return ""
    parts = [f"{key}={value}" for key, value in sorted((selector.get("matchLabels") or {}).items())]
    words = {"In": "in", "NotIn": "notin"}
    for item in selector.get("matchExpressions") or []:
        if item["operator"] in words:
            parts.append(f"{item['key']} {words[item['operator']]} ({','.join(item['values'])})")
        else:
            parts.append(item["key"] if item["operator"] == "Exists" else f"!{item['key']}")
    return ",".join(parts)
