"""What is decided about a new object beside its own fields: namespace, quota, account, address."""

import ipaddress
import secrets
from typing import Any

from portal.embedded.cluster import kinds
from portal.embedded.cluster.errors import ApiError, cause, details_of, forbidden, not_found
from portal.embedded.cluster.kinds import Kind
from portal.embedded.cluster.store import Object, Store

# Wide, and filled at random: Services are listened on, and several clusters may run on one machine.
SERVICE_NETWORK = ipaddress.IPv4Network("127.64.0.0/10")
POD_NETWORK = ipaddress.IPv4Network("127.41.0.0/16")
COUNTED = {"pods": kinds.PODS, "services": kinds.SERVICES, "configmaps": kinds.CONFIGMAPS}
COUNTED |= {f"count/{kind.resource}": kind for kind in kinds.KINDS if kind.namespaced}
ENDED = ("Succeeded", "Failed")


def admit(store: Store, kind: Kind, item: Object) -> None:
    """Refuse what may not be created now; complete what the cluster decides itself, in place.

    Raises:
        ApiError: 404 for a missing namespace, 403 for one that ends, a quota or a missing account.
    """
    if kind.namespaced:
        _namespace(store, kind, item)
    if kind is kinds.PODS:
        _account(store, item)
    if kind.namespaced and kind is not kinds.EVENTS:
        _quota(store, kind, item)
    if kind is kinds.SERVICES:
        _service_address(store, item)


def _namespace(store: Store, kind: Kind, item: Object) -> None:
    name = item["metadata"]["namespace"]
    namespace = store.get(kinds.NAMESPACES, "", name)
    if namespace is None:
        raise not_found(kinds.NAMESPACES, name)
    if "deletionTimestamp" not in namespace["metadata"]:
        return
    words = f"unable to create new content in namespace {name} because it is being terminated"
    error = forbidden(kind, item["metadata"]["name"], because=words)
    ending = cause("metadata.namespace", message=f"namespace {name} is being terminated")
    error.details["causes"] = [{**ending, "reason": "NamespaceTerminating"}]
    raise error


def _account(store: Store, pod: Object) -> None:
    namespace, name = pod["metadata"]["namespace"], pod["spec"].get("serviceAccountName", "default")
    if store.get(kinds.SERVICEACCOUNTS, namespace, name) is None:
        words = f'error looking up service account {namespace}/{name}: serviceaccount "{name}" not found'
        raise forbidden(kinds.PODS, pod["metadata"]["name"], because=words)


def usage(store: Store, kind: Kind, namespace: str) -> int:
    """How many objects of a kind count against a quota; pods that have ended do not."""
    found = store.every(kind, namespace)
    if kind is kinds.PODS:
        found = [pod for pod in found if pod.get("status", {}).get("phase") not in ENDED]
    return len(found)


def _quota(store: Store, kind: Kind, item: Object) -> None:
    namespace = item["metadata"]["namespace"]
    for quota in store.every(kinds.QUOTAS, namespace):
        over = []
        for name, hard in (quota.get("spec", {}).get("hard") or {}).items():
            if COUNTED.get(name) is not kind:
                continue
            used = usage(store, kind, namespace)
            if used + 1 > int(hard):
                over.append((name, used, hard))
        if over:
            raise _exceeded(kind, item["metadata"]["name"], quota["metadata"]["name"], over)


def _exceeded(kind: Kind, name: str, quota: str, over: list[tuple[str, int, Any]]) -> ApiError:
    requested = ",".join(f"{resource}=1" for resource, _, _ in over)
    used = ",".join(f"{resource}={count}" for resource, count, _ in over)
    limited = ",".join(f"{resource}={hard}" for resource, _, hard in over)
    words = f"exceeded quota: {quota}, requested: {requested}, used: {used}, limited: {limited}"
    return ApiError(
        403,
        reason="Forbidden",
        message=f'{kind.resource} "{name}" is forbidden: {words}',
        details=details_of(kind, name=name),
    )


def _service_address(store: Store, service: Object) -> None:
    spec = service["spec"]
    if spec["type"] == "ExternalName" or spec.get("clusterIP") == "None":
        spec.setdefault("clusterIPs", [spec.get("clusterIP", "None")])
        return
    taken = {other["spec"].get("clusterIP") for other in store.every(kinds.SERVICES)}
    wanted = spec.get("clusterIP") or free_address(SERVICE_NETWORK, taken=taken)
    spec["clusterIP"] = wanted
    spec["clusterIPs"] = [wanted]


def free_address(network: ipaddress.IPv4Network, *, taken: set[str | None]) -> str:
    """An address of the network that nothing else in this cluster has, and hardly anything in another."""
    while True:
        address = str(network[1 + secrets.randbelow(network.num_addresses - 2)])
        if address not in taken:
            return address
