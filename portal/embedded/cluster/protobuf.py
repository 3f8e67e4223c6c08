"""Reads the few protobuf bodies that kubectl sends where it takes no JSON.

Field numbers are those of generated.proto in k8s.io/api; unknown fields are skipped.
"""

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from portal.embedded.cluster.errors import bad_request, unsupported_media_type

MAGIC = b"k8s\x00"
CONTENT_TYPE = "application/vnd.kubernetes.protobuf"

Fields = dict[int, tuple[str, Any]]


@dataclass(frozen=True, slots=True)
class Many:
    """A repeated field."""

    of: Any


TEXTS = Many("text")
LABELS = "map"
METADATA: Fields = {
    1: ("name", "text"),
    2: ("generateName", "text"),
    3: ("namespace", "text"),
    11: ("labels", LABELS),
    12: ("annotations", LABELS),
}
NAMED: Fields = {1: ("metadata", METADATA)}
CONTAINER: Fields = {
    1: ("name", "text"),
    2: ("image", "text"),
    3: ("command", TEXTS),
    4: ("args", TEXTS),
    6: ("ports", Many({1: ("name", "text"), 3: ("containerPort", "number"), 4: ("protocol", "text")})),
    7: ("env", Many({1: ("name", "text"), 2: ("value", "text")})),
}
POD_SPEC: Fields = {2: ("containers", Many(CONTAINER)), 3: ("restartPolicy", "text")}
TEMPLATE: Fields = {1: ("metadata", METADATA), 2: ("spec", POD_SPEC)}
RULE: Fields = {
    1: ("verbs", TEXTS),
    2: ("apiGroups", TEXTS),
    3: ("resources", TEXTS),
    4: ("resourceNames", TEXTS),
}
SUBJECT: Fields = {
    1: ("kind", "text"),
    2: ("apiGroup", "text"),
    3: ("name", "text"),
    4: ("namespace", "text"),
}
ROLE: Fields = {**NAMED, 2: ("rules", Many(RULE))}
BINDING: Fields = {
    **NAMED,
    2: ("subjects", Many(SUBJECT)),
    3: ("roleRef", {1: ("apiGroup", "text"), 2: ("kind", "text"), 3: ("name", "text")}),
}
ATTRIBUTES: Fields = {
    1: ("namespace", "text"),
    2: ("verb", "text"),
    3: ("group", "text"),
    4: ("version", "text"),
    5: ("resource", "text"),
    6: ("subresource", "text"),
    7: ("name", "text"),
}
REVIEW_SPEC: Fields = {
    1: ("resourceAttributes", ATTRIBUTES),
    2: ("nonResourceAttributes", {1: ("path", "text"), 2: ("verb", "text")}),
}
MESSAGES: dict[str, Fields] = {
    "SelfSubjectAccessReview": {**NAMED, 2: ("spec", REVIEW_SPEC)},
    "SelfSubjectRulesReview": {**NAMED, 2: ("spec", {1: ("namespace", "text")})},
    "TokenRequest": {**NAMED, 2: ("spec", {1: ("audiences", TEXTS), 4: ("expirationSeconds", "number")})},
    "Namespace": NAMED,
    "ServiceAccount": NAMED,
    "ConfigMap": {**NAMED, 2: ("data", LABELS)},
    "Secret": {**NAMED, 2: ("data", "bytes map"), 3: ("type", "text")},
    "Deployment": {
        **NAMED,
        2: (
            "spec",
            {
                1: ("replicas", "number"),
                2: ("selector", {1: ("matchLabels", LABELS)}),
                3: ("template", TEMPLATE),
            },
        ),
    },
    "Role": ROLE,
    "ClusterRole": ROLE,
    "RoleBinding": BINDING,
    "ClusterRoleBinding": BINDING,
    "DeleteOptions": {1: ("gracePeriodSeconds", "number"), 4: ("propagationPolicy", "text")},
}


def read(body: bytes) -> dict[str, Any]:
    """One object from its envelope.

    Raises:
        ApiError: 400 for broken bytes, 415 for a kind that is only understood as JSON.
    """
    if not body.startswith(MAGIC):
        raise bad_request("the body is no Kubernetes protobuf")
    try:
        envelope = dict(_fields(body[len(MAGIC) :]))
        named = _message(envelope[1], {1: ("apiVersion", "text"), 2: ("kind", "text")})
        known = MESSAGES.get(named.get("kind", ""))
        if known is None:
            raise unsupported_media_type(["application/json", "application/yaml"])
        return {**named, **_message(envelope.get(2, b""), known)}
    except (IndexError, KeyError, UnicodeDecodeError) as error:
        raise bad_request("the protobuf body cannot be read") from error


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    place = 0
    while place < len(data):
        key, place = _varint(data, place)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, place = _varint(data, place)
            yield number, value
        elif wire == 2:
            size, place = _varint(data, place)
            yield number, data[place : place + size]
            place += size
        else:
            place += 8 if wire == 1 else 4


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[place]
        value |= (byte & 0x7F) << shift
        place += 1
        shift += 7
        if not byte & 0x80:
            return value, place


def _message(data: bytes, known: Fields) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for number, raw in _fields(data):
        if number not in known:
            continue
        name, type_ = known[number]
        if isinstance(type_, Many):
            found.setdefault(name, []).append(_value(raw, type_.of))
        elif type_ in ("map", "bytes map"):
            entry = dict(_fields(raw))
            value = entry.get(2, b"")
            text = value.decode() if type_ == "map" else base64.b64encode(value).decode()
            found.setdefault(name, {})[entry[1].decode()] = text
        else:
            found[name] = _value(raw, type_)
    return {name: value for name, value in found.items() if value != ""}


def _value(raw: Any, type_: Any) -> Any:
    if isinstance(type_, dict):
        return _message(raw, type_)
    return raw.decode() if type_ == "text" else raw
