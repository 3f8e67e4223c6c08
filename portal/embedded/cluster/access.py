"""Who asks, and whether they may: tokens of service accounts and RBAC."""

import base64
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from portal.embedded.cluster import kinds
from portal.embedded.cluster.disk import Disk
from portal.embedded.cluster.errors import unauthorized
from portal.embedded.cluster.store import Object, Store

ADMINS = "system:masters"
EVERYBODY = "system:authenticated"
ISSUER = "https://kubernetes.default.svc.cluster.local"
OPEN_REVIEWS = {
    "selfsubjectaccessreviews.authorization.k8s.io",
    "selfsubjectrulesreviews.authorization.k8s.io",
    "selfsubjectreviews.authentication.k8s.io",
}


@dataclass(frozen=True, slots=True)
class Caller:
    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""


ANONYMOUS = Caller("system:anonymous", ("system:unauthenticated",))
ADMIN = Caller("admin", (ADMINS, EVERYBODY))


@dataclass(frozen=True, slots=True)
class Act:
    """One thing somebody wants to do, in the words of RBAC."""

    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""

    @property
    def full_resource(self) -> str:
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@dataclass
class Tokens:
    """Makes and reads bearer tokens. Signed, so none but the key and the administrator's are stored."""

    store: Store
    admin: str
    key: bytes = field(repr=False)

    @classmethod
    def load(cls, disk: Disk, store: Store) -> "Tokens":
        for name in ("admin-token", "token-key"):
            if disk.setting(name) is None:
                disk.set(name, secrets.token_hex(32))
        return cls(store, str(disk.setting("admin-token")), str(disk.setting("token-key")).encode())

    def issue(self, account: Object, *, seconds: int, audiences: list[str]) -> tuple[str, int]:
        """A token of a service account in the form of a JWT, and when it expires (Unix time)."""
        metadata = account["metadata"]
        begins = int(time.time())
        claims = {
            "aud": audiences or [ISSUER],
            "exp": begins + seconds,
            "iat": begins,
            "iss": ISSUER,
            "kubernetes.io": {
                "namespace": metadata["namespace"],
                "serviceaccount": {"name": metadata["name"], "uid": metadata["uid"]},
            },
            "sub": f"system:serviceaccount:{metadata['namespace']}:{metadata['name']}",
        }
        head = _encode(json.dumps({"alg": "HS256", "typ": "JWT"}).encode())
        body = _encode(json.dumps(claims).encode())
        return f"{head}.{body}.{self._signature(head, body)}", claims["exp"]  # type: ignore[return-value]

    def _signature(self, head: str, body: str) -> str:
        return _encode(hmac.new(self.key, f"{head}.{body}".encode(), hashlib.sha256).digest())

    def caller(self, authorization: str | None) -> Caller:
        """Whose request this is; a missing or foreign kind of header is nobody's, a bad token an error."""
        if not authorization or not authorization.lower().startswith("bearer "):
            return ANONYMOUS
        token = authorization[7:].strip()
        if hmac.compare_digest(token.encode(), self.admin.encode()):
            return ADMIN
        parts = token.split(".")
        if len(parts) != 3 or not hmac.compare_digest(
            parts[2].encode(), self._signature(*parts[:2]).encode()
        ):
            raise unauthorized()
        return self._account(json.loads(_decode(parts[1])))

    def _account(self, claims: dict[str, Any]) -> Caller:
        place = claims["kubernetes.io"]
        named = place["serviceaccount"]
        account = self.store.get(kinds.SERVICEACCOUNTS, place["namespace"], named["name"])
        if claims["exp"] < time.time() or account is None or account["metadata"]["uid"] != named["uid"]:
            raise unauthorized()
        groups = ("system:serviceaccounts", f"system:serviceaccounts:{place['namespace']}", EVERYBODY)
        return Caller(claims["sub"], groups, named["uid"])


class Authorizer:
    """Answers from the Roles and bindings in the store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def allows(self, caller: Caller, act: Act) -> bool:
        if ADMINS in caller.groups:
            return True
        if act.path:
            return True
        if (
            EVERYBODY in caller.groups
            and f"{act.resource}.{act.group}" in OPEN_REVIEWS
            and act.verb == "create"
        ):
            return True
        return any(_rule_allows(rule, act) for rule in self.rules(caller, act.namespace))

    def rules(self, caller: Caller, namespace: str) -> Iterator[Object]:
        """Every rule that holds for somebody in a namespace."""
        for binding in self._store.every(kinds.CLUSTERROLEBINDINGS):
            yield from self._bound(binding, caller, namespace="")
        if namespace:
            for binding in self._store.every(kinds.ROLEBINDINGS, namespace):
                yield from self._bound(binding, caller, namespace=namespace)

    def _bound(self, binding: Object, caller: Caller, *, namespace: str) -> Iterator[Object]:
        subjects = binding.get("subjects") or []
        if not any(_is_subject(subject, caller, namespace=namespace) for subject in subjects):
            return
        reference = binding["roleRef"]
        if reference["kind"] == "ClusterRole":
            role = self._store.get(kinds.CLUSTERROLES, "", reference["name"])
        else:
            role = self._store.get(kinds.ROLES, namespace, reference["name"])
        yield from (role or {}).get("rules") or []


def _is_subject(subject: Object, caller: Caller, *, namespace: str) -> bool:
    match subject["kind"]:
        case "User":
            return bool(subject["name"] == caller.name)
        case "Group":
            return subject["name"] in caller.groups
        case _:
            place = subject.get("namespace") or namespace
            return caller.name == f"system:serviceaccount:{place}:{subject['name']}"


def _rule_allows(rule: Object, act: Act) -> bool:
    def holds(names: list[str] | None, wanted: str) -> bool:
        return bool(names) and ("*" in (names or []) or wanted in (names or []))

    resources = rule.get("resources") or []
    covered = holds(resources, act.full_resource) or (
        bool(act.subresource) and f"*/{act.subresource}" in resources
    )
    names = rule.get("resourceNames") or []
    return (
        holds(rule.get("verbs"), act.verb)
        and holds(rule.get("apiGroups"), act.group)
        and covered
        and (not names or act.name in names)
    )


def denial(caller: Caller, act: Act) -> str:
    """The words of a refusal."""
    words = (
        f'User "{caller.name}" cannot {act.verb} resource "{act.full_resource}" in API group "{act.group}"'
    )
    return f'{words} in the namespace "{act.namespace}"' if act.namespace else f"{words} at the cluster scope"
