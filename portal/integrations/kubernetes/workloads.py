"""A workload as the API server describes it, with the few facts the portal decides by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]

PLURALS = {
    "Deployment": "deployments",
    "StatefulSet": "statefulsets",
    "DaemonSet": "daemonsets",
    "ReplicaSet": "replicasets",
    "Rollout": "rollouts",
}
# Its pods follow from the nodes: it has no replicas of its own.
DAEMON_SET = "DaemonSet"
# Of Argo Rollouts; the others are the cluster's own.
ROLLOUT = "Rollout"
API_GROUPS = {ROLLOUT: "argoproj.io"}
VERSIONS = {ROLLOUT: "v1alpha1"}
# Where a Rollout's body keeps the Deployment that holds its template.
HOLDER = "holder"
ROLLOUT_ANNOTATION = "portal/rollout"
STEP_ANNOTATION = "portal/step"
# Which rollout of the portal holds a workload where it is, by `spec.paused`: nobody else's pause is lifted.
HELD_BY = "portal/held"
# Under this name the portal writes.
FIELD_MANAGER = "release-portal"
# When its pods were last made anew, as `kubectl rollout restart` writes it into the template.
RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"
REVISION_ANNOTATION = "deployment.kubernetes.io/revision"
ROLLOUT_REVISION = "rollout.argoproj.io/revision"
HELM_RELEASE = "meta.helm.sh/release-name"


@dataclass(frozen=True, order=True)
class Reference:
    """Names one workload in a cluster."""

    kind: str
    namespace: str
    name: str

    @property
    def path(self) -> str:
        """The object's path below the server's address."""
        group = f"/apis/{self.group}/{VERSIONS.get(self.kind, 'v1')}"
        return f"{group}/namespaces/{self.namespace}/{PLURALS[self.kind]}/{self.name}"

    @property
    def group(self) -> str:
        """The API group of its kind."""
        return API_GROUPS.get(self.kind, "apps")

    def __str__(self) -> str:
        return f"{self.kind.lower()}/{self.name}"


@dataclass(frozen=True)
class Workload:
    """One workload as last read; `raw` is the answer itself.

    The template of a Rollout can stand in a Deployment that it names: that one is then its `holder`, and all
    that is written on the template is written there.
    """

    raw: Json

    @property
    def reference(self) -> Reference:
        """Its name."""
        metadata = self.raw["metadata"]
        return Reference(self.raw["kind"], metadata["namespace"], metadata["name"])

    @property
    def kind(self) -> str:
        """Its kind, without all else of its name."""
        return str(self.raw["kind"])

    @property
    def holder(self) -> Json | None:
        """The Deployment that holds a Rollout's template; None where it holds its own."""
        found: Json | None = self.raw.get(HOLDER)
        return found

    @property
    def written(self) -> Reference:
        """The object on which its template is written."""
        if self.holder is None:
            return self.reference
        return Reference("Deployment", self.reference.namespace, self.holder["metadata"]["name"])

    @property
    def status(self) -> Json:
        """What its controller says of it."""
        return self.raw.get("status") or {}

    @property
    def spec(self) -> Json:
        """What is wanted, with the template wherever it stands."""
        spec: Json = self.raw["spec"]
        if self.raw["kind"] != ROLLOUT:
            return spec
        held = self.holder["spec"] if self.holder else spec
        selector = spec.get("selector") or held.get("selector") or {}
        return {**spec, "selector": selector, "template": _tidy(held.get("template") or {})}

    @property
    def held_by(self) -> str:
        """The rollout of the portal that has paused it; empty where nobody has, or somebody else."""
        if not self.raw["spec"].get("paused") or last_manager(self, "paused") not in {"", FIELD_MANAGER}:
            return ""
        return str((self.raw["metadata"].get("annotations") or {}).get(HELD_BY, ""))

    @property
    def goes_on_with_template(self) -> bool:
        """Whether a new template lets it go: a Rollout's may stand in another object than its pause."""
        return bool(self.held_by) and self.raw["kind"] != ROLLOUT

    @property
    def is_paused(self) -> bool:
        """Whether somebody else has paused it."""
        return bool(self.raw["spec"].get("paused")) and not self.held_by

    @property
    def template(self) -> Json:
        """The pod template."""
        template: Json = self.spec["template"]
        return template

    @property
    def annotations(self) -> dict[str, str]:
        """The annotations of the object that holds the template."""
        return self._written_metadata.get("annotations") or {}

    @property
    def resource_version(self) -> str:
        """The version a conditional write of the template names."""
        return str(self._written_metadata["resourceVersion"])

    @property
    def _written_metadata(self) -> Json:
        found: Json = (self.holder or self.raw)["metadata"]
        return found

    @property
    def uid(self) -> str:
        """Tells a re-created object from the old one."""
        return str(self.raw["metadata"].get("uid", ""))

    @property
    def generation(self) -> int:
        """Rises with each change of the spec."""
        return int(self.raw["metadata"].get("generation", 0))

    @property
    def replicas(self) -> int:
        """How many pods are wanted; of a DaemonSet one for each node that it fits."""
        if self.raw["kind"] == DAEMON_SET:
            return int(self.status.get("desiredNumberScheduled") or 0)
        value = self.spec.get("replicas")
        return 1 if value is None else int(value)

    @property
    def ready(self) -> int:
        """How many pods are ready."""
        field = "numberReady" if self.raw["kind"] == DAEMON_SET else "readyReplicas"
        return int(self.status.get(field) or 0)

    @property
    def rolls(self) -> bool:
        """Whether it replaces its pods by itself once its template changes; with `OnDelete` nobody does."""
        return (self.spec.get("updateStrategy") or {}).get("type") != "OnDelete"

    @property
    def selector(self) -> dict[str, str]:
        """The labels its pods carry."""
        return (self.spec.get("selector") or {}).get("matchLabels") or {}

    @property
    def images(self) -> dict[str, str]:
        """Image by container name, init containers included."""
        return {each["name"]: each.get("image", "") for each in containers(self.template)}

    @property
    def revision(self) -> str:
        """The rollout's number: a label for people, not an identity (protocols.md, fact 3)."""
        own = self.raw["metadata"].get("annotations") or {}
        return str(own.get(REVISION_ANNOTATION) or own.get(ROLLOUT_REVISION) or "")

    @property
    def helm_release(self) -> str:
        """The Helm release that it belongs to; empty where none does."""
        return self.annotations.get(HELM_RELEASE, "")


def with_holder(body: Json, deployments: Iterable[Json]) -> Json:
    """Return a workload's body together with the Deployment that holds its template, where one does.

    Args:
        deployments: those of its namespace.
    """
    name = (body["spec"].get("workloadRef") or {}).get("name")
    if not name:
        return body
    found = next((each for each in deployments if each["metadata"]["name"] == name), None)
    return {**body, HOLDER: found} if found else body


def _tidy(template: Json) -> Json:
    """A template without the empty `resources` that the controller adds when it writes a Rollout."""
    spec = template.get("spec")
    if not spec:
        return template
    kept = dict(spec)
    for field in ("initContainers", "containers"):
        if field in spec:
            kept[field] = [
                {key: value for key, value in each.items() if key != "resources" or value}
                for each in spec[field]
            ]
    return {**template, "spec": kept}


def containers(template: Json) -> list[Json]:
    """Return the containers of a pod template, init containers first."""
    spec = template.get("spec") or {}
    return [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]


def container_statuses(pod: Json) -> list[Json]:
    """Return what the node says of a pod's containers, init containers first."""
    status = pod.get("status") or {}
    return [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]


def scaled_by(autoscaler: Json) -> tuple[str, str]:
    """Return the kind and the name of the workload whose size an autoscaler decides."""
    target = (autoscaler.get("spec") or {}).get("scaleTargetRef") or {}
    return str(target.get("kind") or ""), str(target.get("name") or "")


def pods_with(selector: Mapping[str, str], pods: Sequence[Json]) -> list[Json]:
    """Return the pods that carry all the labels."""
    return [pod for pod in pods if selector.items() <= (pod["metadata"].get("labels") or {}).items()]


def merged(template: Json, change: Json) -> Json:
    """Return a template with fields merged into it; lists of named things by their names, others as a whole.

    Custom resources know no strategic merge: theirs is made here.
    """
    found = dict(template)
    for key, value in change.items():
        there = found.get(key)
        if isinstance(value, dict) and isinstance(there, dict):
            found[key] = merged(there, value)
        elif _named(value) and _named(there):
            news = _by_name(value)
            found[key] = [merged(each, news.get(name, {})) for name, each in _by_name(there).items()]
        else:
            found[key] = value
    return found


def changed_fields(before: object, after: object, *, path: str = "") -> list[tuple[str, object, object]]:
    """Return the fields that differ as (path, before, after); lists of named things are compared by name."""
    if isinstance(before, dict) and isinstance(after, dict):
        keys = sorted({*before, *after})
        pairs = [(f"{path}.{key}" if path else key, before.get(key), after.get(key)) for key in keys]
    elif _named(before) and _named(after):
        old, new = _by_name(before), _by_name(after)
        names = sorted({*old, *new})
        pairs = [(f"{path}[{name}]", old.get(name), new.get(name)) for name in names]
    else:
        return [] if before == after else [(path, before, after)]
    return [change for where, old, new in pairs for change in changed_fields(old, new, path=where)]


def last_manager(workload: Workload, field: str) -> str:
    """Return who last wrote a field of the spec, judged by the object's managed fields; empty if unknown."""
    return last_manager_of(workload.raw, field)


def last_manager_of(found: Json, field: str) -> str:
    """Return the same for any object."""
    return last_change_of(found, field)[0]


def last_change_of(found: Json, field: str) -> tuple[str, str]:
    """Return who last wrote a field of any object's spec, and when; both empty if unknown.

    Args:
        field: as `template.spec`; `*` is each of a list. Of two in the same second times say nothing.
    """
    entries = found["metadata"].get("managedFields") or []
    parts = field.split("[", maxsplit=1)[0].split(".")
    steps = ["f:spec", *(part if part == "*" else f"f:{part}" for part in parts)]
    owners = [
        each for each in entries if not each.get("subresource") and _depth(each.get("fieldsV1"), steps) > 1
    ]
    owners.sort(key=lambda each: (_depth(each.get("fieldsV1"), steps), each.get("time") or ""))
    return (str(owners[-1].get("manager", "")), str(owners[-1].get("time") or "")) if owners else ("", "")


def _depth(fields: object, steps: list[str]) -> int:
    if not steps or not isinstance(fields, dict):
        return 0
    below = (each for key, each in fields.items() if key == steps[0] or (steps[0] == "*" and key != "."))
    return max((1 + _depth(each, steps[1:]) for each in below), default=0)


def _named(value: object) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(each, dict) and "name" in each for each in value)
    )


def _by_name(value: object) -> dict[str, Json]:
    assert isinstance(value, list)
    return {str(each["name"]): each for each in value}
