"""Reads the path of a request: which kind, where, which object, which part of it."""

from dataclasses import dataclass

from portal.embedded.cluster import kinds
from portal.embedded.cluster.kinds import Kind

PROXY = "proxy"


@dataclass(frozen=True, slots=True)
class Target:
    """What a path of the API names; `kind` is None where nothing of that name is served.

    `rest` is the path behind a subresource that passes it on.
    """

    group: str
    version: str
    plural: str
    kind: Kind | None
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    rest: str = ""


def parse(path: str) -> Target | None:
    """The target of `/api/v1/…` or `/apis/GROUP/VERSION/…`; None for a path that is no resource."""
    parts = [part for part in path.split("/") if part]
    if parts[:1] == ["api"] and len(parts) > 2:
        return _target("", parts[1], parts[2:])
    if parts[:1] == ["apis"] and len(parts) > 3:
        return _target(parts[1], parts[2], parts[3:])
    return None


def _target(group: str, version: str, rest: list[str]) -> Target | None:
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in ("status", "finalize"):
        namespace, rest = rest[1], rest[2:]
    elif rest[0] == "namespaces" and len(rest) > 1:
        namespace = rest[1]
    if len(rest) > 3 and rest[2] != PROXY:
        return None
    plural, name, subresource = [*rest, "", ""][:3]
    kind = kinds.by_path(group, version, plural)
    return Target(group, version, plural, kind, namespace, name, subresource, "/" + "/".join(rest[3:]))


def verb_of(method: str, target: Target, *, watch: bool) -> str:
    """The verb in the words of RBAC."""
    if method in ("GET", "HEAD"):
        if target.name:
            return "get"
        return "watch" if watch else "list"
    if method == "DELETE":
        return "delete" if target.name else "deletecollection"
    return {"POST": "create", "PUT": "update", "PATCH": "patch"}.get(method, method.lower())
