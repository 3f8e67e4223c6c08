"""The scale of a workload as an object of its own, `/scale`."""

from portal.embedded.cluster.errors import bad_request, cause, invalid
from portal.embedded.cluster.kinds import Kind
from portal.embedded.cluster.selectors import selector_text
from portal.embedded.cluster.store import Object


def of(item: Object) -> Object:
    """The Scale that shows a workload's replicas."""
    metadata = item["metadata"]
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    status = {"replicas": item.get("status", {}).get("replicas", 0)}
    selector = selector_text(item["spec"].get("selector"))
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {name: metadata[name] for name in kept if name in metadata},
        "spec": {"replicas": item["spec"].get("replicas", 0)} if item["spec"].get("replicas") else {},
        "status": {**status, "selector": selector},
    }


def scaled(kind: Kind, item: Object, wanted: Object) -> Object:
    """The workload with the replicas that a Scale asks for.

    Raises:
        ApiError: 400 for a number that is none, 422 for a negative one.
    """
    replicas = (wanted.get("spec") or {}).get("replicas", 0)
    name = item["metadata"]["name"]
    if not isinstance(replicas, int) or isinstance(replicas, bool):
        raise bad_request("Scale.spec.replicas must be a number")
    if replicas < 0:
        words = f"Invalid value: {replicas}: must be greater than or equal to 0"
        raise invalid(kind, name, causes=[cause("spec.replicas", message=words)])
    metadata = dict(item["metadata"])
    version = (wanted.get("metadata") or {}).get("resourceVersion")
    if version:
        metadata["resourceVersion"] = version
    return {**item, "metadata": metadata, "spec": {**item["spec"], "replicas": replicas}}
