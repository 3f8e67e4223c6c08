"""What tests put into a cluster, as plain dicts, and waiting for what becomes of it."""

import contextlib
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from tests.cluster.api import Api, Json, address

Found = TypeVar("Found")

IMAGE = "registry.test/web:1"
# Real controllers answer within a second; the rest is patience with a busy machine.
PATIENCE_SECONDS = 30.0


class TooLate(AssertionError):
    """What was waited for did not happen."""


def wait_for(
    look: Callable[[], Found | None], *, what: str, seconds: float = PATIENCE_SECONDS, pause: float = 0.03
) -> Found:
    """Call `look` until it returns something true, and return that.

    Raises:
        TooLate: nothing true within the time; the text names `what` and shows what was seen last.
    """
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            raise TooLate(f"not within {seconds:.0f} s: {what}; last seen: {found!r}")
        time.sleep(pause)


@dataclass(frozen=True)
class Space:
    """One namespace of a test, seen by one user."""

    api: Api
    name: str

    def path(self, plural: str, name: str = "", *, sub: str = "") -> str:
        return address(plural, namespace=self.name, name=name, sub=sub)

    def create(self, body: Json, **query: object) -> Json:
        return self.api.create(self.path(_plural(body)), body, **query)

    def get(self, plural: str, name: str, *, sub: str = "", **query: object) -> Json:
        return self.api.get(self.path(plural, name, sub=sub), **query)

    def find(self, plural: str, **query: object) -> list[Json]:
        return list(self.api.get(self.path(plural), **query)["items"])

    def patch(
        self, plural: str, name: str, body: object, *, kind: str = "strategic", sub: str = "", **query: object
    ) -> Json:
        return self.api.patch(self.path(plural, name, sub=sub), body, kind=kind, **query)

    def delete(self, plural: str, name: str, *, body: Json | None = None, **query: object) -> Json:
        return self.api.delete(self.path(plural, name), body=body, **query)

    def seen_by(self, api: Api) -> "Space":
        """Return the same namespace as another user sees it."""
        return Space(api, self.name)

    def set_image(self, name: str, image: str, *, container: str = "web", **query: str) -> Json:
        """Change one container's image of a Deployment as kubectl does."""
        return self.patch("deployments", name, image_patch(image, container=container), **query)

    def pods(self, owner: str) -> list[Json]:
        """Return the pods whose `app` label names the workload, those that are being deleted left out."""
        found = self.find("pods", labelSelector=f"app={owner}")
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def replica_sets(self, owner: str) -> list[Json]:
        """Return a Deployment's ReplicaSets, the oldest revision first."""
        return sorted(self.find("replicasets", labelSelector=f"app={owner}"), key=revision)

    def events(self, reason: str) -> list[Json]:
        return [event for event in self.find("events") if event.get("reason") == reason]

    def wait_until_done(self, name: str, *, seconds: float = PATIENCE_SECONDS) -> Json:
        """Wait until a Deployment's rollout is done by kubectl's rules, and return the Deployment."""
        return self.wait("deployments", name, rollout_done, seconds=seconds)

    def settle(self, name: str) -> Json:
        """Wait until a Deployment is done and its controller has written all it has to say, and return it."""

        def settled(seen: Json) -> bool:
            return (
                rollout_done(seen)
                and condition(seen, "Progressing").get("reason") == "NewReplicaSetAvailable"
            )

        return self.wait("deployments", name, settled)

    def wait(
        self,
        plural: str,
        name: str,
        holds: Callable[[Json], object],
        *,
        seconds: float = PATIENCE_SECONDS,
    ) -> Json:
        """Wait until something holds for an object, and return the object."""
        last: Json = {}

        def look() -> Json | None:
            nonlocal last
            last = self.get(plural, name)
            return last if holds(last) else None

        try:
            return wait_for(look, what=f"{plural} {name}", seconds=seconds)
        except TooLate as error:
            raise TooLate(f"{error}; its status: {last.get('status')}") from None


@contextlib.contextmanager
def namespace(api: Api, *, prefix: str = "contract") -> Iterator[Space]:
    """Give a new namespace in which pods can run, and ask for its deletion at the end."""
    name = f"{prefix}-{secrets.token_hex(4)}"
    api.create("api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    space = Space(api, name)
    wait_for(lambda: space.find("serviceaccounts"), what="the namespace's service account")
    try:
        yield space
    finally:
        # Nobody waits for the end: it takes a real cluster seconds, and no test uses the name again.
        api.delete(f"api/v1/namespaces/{name}")


def deployment(
    name: str,
    *,
    image: str = IMAGE,
    replicas: int = 1,
    pod_annotations: Mapping[str, str] | None = None,
    pod_spec: Mapping[str, Any] | None = None,
    annotations: Mapping[str, str] | None = None,
    **spec: Any,
) -> Json:
    """Return a Deployment with one container `web`; `pod_spec` and `spec` add fields or replace them."""
    template = _template(name, image=image, annotations=pod_annotations, spec=pod_spec)
    wanted = {"replicas": replicas, "selector": _selector(name), "template": template, **spec}
    return _object("apps/v1", "Deployment", name, spec=wanted, annotations=annotations)


def stateful_set(
    name: str,
    *,
    image: str = IMAGE,
    replicas: int = 1,
    pod_annotations: Mapping[str, str] | None = None,
    pod_spec: Mapping[str, Any] | None = None,
    **spec: Any,
) -> Json:
    """Return a StatefulSet with one container `web` and the headless service name `<name>`."""
    template = _template(name, image=image, annotations=pod_annotations, spec=pod_spec)
    wanted = {"replicas": replicas, "serviceName": name, "selector": _selector(name), "template": template}
    return _object("apps/v1", "StatefulSet", name, spec={**wanted, **spec})


def http_route(name: str, *rules: Mapping[str, int], **more: object) -> Json:
    """Return an HTTPRoute; each rule names Services with their weights."""
    made = [{"backendRefs": [_backend(*each) for each in rule.items()]} for rule in rules]
    return _object("gateway.networking.k8s.io/v1", "HTTPRoute", name, spec={"rules": made, **more})


def _backend(name: str, weight: int) -> Json:
    return {"name": name, "port": 80, "weight": weight}


def daemon_set(
    name: str, *, image: str = IMAGE, pod_annotations: Mapping[str, str] | None = None, **spec: Any
) -> Json:
    """Return a DaemonSet with one container `web`."""
    template = _template(name, image=image, annotations=pod_annotations)
    return _object(
        "apps/v1", "DaemonSet", name, spec={"selector": _selector(name), "template": template, **spec}
    )


def argo_rollout(
    name: str,
    *,
    steps: Sequence[Json] = (),
    image: str = IMAGE,
    replicas: int = 1,
    pod_annotations: Mapping[str, str] | None = None,
    pod_spec: Mapping[str, Any] | None = None,
    **spec: Any,
) -> Json:
    """Return a Rollout of Argo Rollouts with a canary strategy and one container `web`."""
    template = _template(name, image=image, annotations=pod_annotations, spec=pod_spec)
    strategy = {"canary": {"steps": list(steps), "maxSurge": 1, "maxUnavailable": 0}}
    wanted = {"replicas": replicas, "selector": _selector(name), "template": template, "strategy": strategy}
    return _object("argoproj.io/v1alpha1", "Rollout", name, spec={**wanted, **spec})


def job(
    name: str, *, image: str = IMAGE, pod_annotations: Mapping[str, str] | None = None, **spec: Any
) -> Json:
    """Return a Job that runs one pod once."""
    pod = {"restartPolicy": "Never"}
    template = _template(name, image=image, annotations=pod_annotations, spec=pod)
    return _object("batch/v1", "Job", name, spec={"backoffLimit": 0, "template": template, **spec})


def cron_job(name: str, **job_options: Any) -> Json:
    """Return a CronJob at rest whose template is that of `job`; takes its options."""
    template = {"spec": job(name, **job_options)["spec"]}
    spec = {"schedule": "0 3 1 1 *", "suspend": True, "jobTemplate": template}
    return _object("batch/v1", "CronJob", name, spec=spec)


def service(name: str, *, selector: Mapping[str, str], port: int = 80) -> Json:
    ports = [{"name": "http", "port": port, "targetPort": 8080, "protocol": "TCP"}]
    return _object("v1", "Service", name, spec={"selector": dict(selector), "ports": ports})


def config_map(name: str, **data: str) -> Json:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def failing(reason: str, **more: str) -> dict[str, str]:
    """Return the pod annotations that make pods fail in the way named, see `failing-pods.yaml`."""
    return {
        "practice/fail": reason,
        **{f"practice/{key.replace('_', '-')}": text for key, text in more.items()},
    }


def ends_late(after: str) -> dict[str, str]:
    """Return the pod annotations with which pods take that long to end once they are told to."""
    return {"practice/ends-after": after}


def slow(after: str = "300ms") -> dict[str, str]:
    """Return the pod annotations that delay readiness, so that a rollout can be watched on its way."""
    return failing("LateReady", after=after)


def image_patch(image: str, *, container: str = "web") -> Json:
    return {"spec": {"template": {"spec": {"containers": [{"name": container, "image": image}]}}}}


def template_patch(image: str, pod_annotations: Mapping[str, str], *, container: str = "web") -> Json:
    """Return a strategic patch that gives the pods another image and annotations."""
    patch = image_patch(image, container=container)
    patch["spec"]["template"]["metadata"] = {"annotations": dict(pod_annotations)}
    return patch


def rollout_done(seen: Json) -> bool:
    """Tell whether a Deployment is rolled out, by the rules of `kubectl rollout status`."""
    status, wanted = seen.get("status", {}), seen["spec"].get("replicas", 1)
    if seen["metadata"]["generation"] > status.get("observedGeneration", 0):
        return False
    updated, total = status.get("updatedReplicas", 0), status.get("replicas", 0)
    return bool(updated >= wanted and total <= updated and status.get("availableReplicas", 0) >= updated)


def condition(seen: Json, name: str) -> Json:
    """Return an object's condition of that type, empty when it has none."""
    conditions = seen.get("status", {}).get("conditions") or []
    return next((each for each in conditions if each["type"] == name), {})


def revision(seen: Json) -> int:
    """Return the rollout's number as the Deployment controller wrote it, 0 before it did."""
    return int(seen["metadata"].get("annotations", {}).get("deployment.kubernetes.io/revision", 0))


def image_of(seen: Json, *, container: str = "web") -> str:
    """Return a container's image in the pod template of a workload."""
    containers = seen["spec"]["template"]["spec"]["containers"]
    return str(next(each["image"] for each in containers if each["name"] == container))


def waiting_reasons(pod: Json) -> set[str]:
    """Return why containers of the pod wait, init containers included."""
    status = pod.get("status", {})
    containers = [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]
    return {each["state"]["waiting"]["reason"] for each in containers if each.get("state", {}).get("waiting")}


def is_ready(pod: Json) -> bool:
    return condition(pod, "Ready").get("status") == "True"


def _selector(name: str) -> Json:
    return {"matchLabels": {"app": name}}


def _template(
    name: str,
    *,
    image: str,
    annotations: Mapping[str, str] | None,
    spec: Mapping[str, Any] | None = None,
) -> Json:
    return {
        "metadata": {"labels": {"app": name}, "annotations": dict(annotations or {})},
        "spec": {"containers": [{"name": "web", "image": image}], **(spec or {})},
    }


def _object(
    version: str, kind: str, name: str, *, spec: Json, annotations: Mapping[str, str] | None = None
) -> Json:
    metadata: Json = {"name": name, "labels": {"app": name}}
    if annotations:
        metadata["annotations"] = dict(annotations)
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}


def _plural(body: Json) -> str:
    return str(body["kind"]).lower() + "s"
