"""How templates are told apart: by ReplicaSets for a Deployment, by ControllerRevisions for other kinds."""

import copy
import json
from collections.abc import Iterable
from typing import Any

from portal.embedded.cluster import kinds
from portal.embedded.cluster.controllers import ownership, rolling
from portal.embedded.cluster.kinds import Kind
from portal.embedded.cluster.store import Object, Store

HASH_LABEL = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
HISTORY = "deployment.kubernetes.io/revision-history"
DESIRED = "deployment.kubernetes.io/desired-replicas"
MAXIMUM = "deployment.kubernetes.io/max-replicas"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
# Annotations that tell of one object only and are not copied from the Deployment to its ReplicaSet.
OWN = frozenset({REVISION, HISTORY, DESIRED, MAXIMUM, LAST_APPLIED, "deprecated.deployment.rollback.to"})
LETTERS = "bcdfghjklmnpqrstvwxz2456789"


def annotations(item: Object) -> dict[str, str]:
    return item["metadata"].get("annotations") or {}


def revision(item: Object) -> int:
    text = annotations(item).get(REVISION, "0")
    return int(text) if text.isdigit() else 0


def template_hash(template: Any, *, collisions: int = 0) -> str:
    """A short name for a template: FNV-1a in the letters that spell no words."""
    value = 0x811C9DC5
    for byte in (json.dumps(template, sort_keys=True) + (str(collisions) if collisions else "")).encode():
        value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    return "".join(LETTERS[ord(digit) % len(LETTERS)] for digit in str(value))


def plain_template(template: Object) -> Object:
    """A template without the hash label, for comparing."""
    metadata = {name: value for name, value in (template.get("metadata") or {}).items() if value}
    labels = {name: value for name, value in (metadata.get("labels") or {}).items() if name != HASH_LABEL}
    metadata.pop("creationTimestamp", None)
    return {**template, "metadata": {**metadata, "labels": labels}}


def find_new(deployment: Object, sets: Iterable[Object]) -> Object | None:
    """The ReplicaSet of the present template; the oldest wins."""
    wanted = plain_template(deployment["spec"]["template"])
    fitting = [each for each in sets if plain_template(each["spec"]["template"]) == wanted]
    return min(fitting, key=_by_age, default=None)


def _by_age(item: Object) -> tuple[str, str]:
    return item["metadata"]["creationTimestamp"], item["metadata"]["name"]


def by_age(sets: Iterable[Object]) -> list[Object]:
    return sorted(sets, key=_by_age)


def new_set(deployment: Object, *, replicas: int, number: int) -> Object:
    """A ReplicaSet for the present template, not created yet."""
    metadata, spec = deployment["metadata"], deployment["spec"]
    template = copy.deepcopy(spec["template"])
    digest = template_hash(plain_template(template), collisions=deployment["status"].get("collisionCount", 0))
    template.setdefault("metadata", {}).setdefault("labels", {})[HASH_LABEL] = digest
    selector = copy.deepcopy(spec["selector"])
    selector.setdefault("matchLabels", {})[HASH_LABEL] = digest
    copied = {name: text for name, text in annotations(deployment).items() if name not in OWN}
    limits = {DESIRED: str(spec["replicas"]), MAXIMUM: str(rolling.most(deployment)), REVISION: str(number)}
    made: Object = {
        "metadata": {
            "name": f"{metadata['name']}-{digest}",
            "labels": dict(template["metadata"]["labels"]),
            "annotations": {**copied, **limits},
            "ownerReferences": [ownership.reference(kinds.DEPLOYMENTS, deployment)],
        },
        "spec": {"replicas": replicas, "selector": selector, "template": template},
    }
    if spec.get("minReadySeconds"):
        made["spec"]["minReadySeconds"] = spec["minReadySeconds"]
    return made


def renewed(deployment: Object, found: Object, *, number: int) -> Object:
    """An existing ReplicaSet with the Deployment's annotations and, when it was old, a new number."""
    kept = annotations(found)
    marks = {**kept, **{name: text for name, text in annotations(deployment).items() if name not in OWN}}
    before = revision(found)
    if before < number:
        marks[REVISION] = str(number)
        if before:
            marks[HISTORY] = f"{kept[HISTORY]},{before}" if kept.get(HISTORY) else str(before)
    spec = {**found["spec"]}
    seconds = deployment["spec"].get("minReadySeconds", 0)
    if spec.get("minReadySeconds", 0) != seconds:
        spec["minReadySeconds"] = seconds
    return {**found, "metadata": {**found["metadata"], "annotations": marks}, "spec": spec}


def numbered(store: Store, kind: Kind, owner: Object) -> list[Object]:
    """The ControllerRevisions of an object, the newest last."""
    found = ownership.owned(store, kinds.REVISIONS, kind, owner, adopt=False)
    return sorted(found, key=lambda each: each["revision"])


def of_template(store: Store, kind: Kind, owner: Object, *, label: str) -> Object:
    """The ControllerRevision of the present template, found or made; one that comes again is the newest."""
    data = {"spec": {"template": {**copy.deepcopy(owner["spec"]["template"]), "$patch": "replace"}}}
    known = numbered(store, kind, owner)
    number = max((each["revision"] for each in known), default=0)
    same = next((each for each in known if each["data"] == data), None)
    if same is not None:
        if same["revision"] == number:
            return same
        return store.update(kinds.REVISIONS, {**same, "revision": number + 1})
    metadata, digest = owner["metadata"], template_hash(data)
    made = {
        "metadata": {
            "name": f"{metadata['name']}-{digest}",
            "namespace": metadata["namespace"],
            "labels": {**(owner["spec"]["selector"].get("matchLabels") or {}), label: digest},
            "ownerReferences": [ownership.reference(kind, owner)],
        },
        "data": data,
        "revision": number + 1,
    }
    return store.create(kinds.REVISIONS, made)
