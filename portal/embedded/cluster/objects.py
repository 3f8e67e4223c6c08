"""The verbs that change objects: create, replace, patch, apply, delete, with all their rules."""

import secrets
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from portal.embedded.cluster import admission, clock, defaults, kinds, managed, patch, validation
from portal.embedded.cluster.errors import (
    ApiError,
    already_exists,
    bad_request,
    cause,
    conflict,
    invalid,
    not_found,
    success,
)
from portal.embedded.cluster.kinds import Kind
from portal.embedded.cluster.schema import Cleaning
from portal.embedded.cluster.store import Object, Store

NAME_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
# Kinds whose changes are counted in metadata.generation.
COUNTED = {
    "Deployment",
    "ReplicaSet",
    "StatefulSet",
    "DaemonSet",
    "Job",
    "CronJob",
    "Pod",
    "PodDisruptionBudget",
    "Ingress",
    "NetworkPolicy",
    "HTTPRoute",
    "Rollout",
    "Application",
}
KEPT_METADATA = (
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
    "namespace",
    "name",
)


@dataclass(slots=True)
class Options:
    """The query parameters of a write; `warnings` collects what the answer's headers will say."""

    dry_run: bool = False
    manager: str = "unknown"
    validation: str = "Warn"
    force: bool = False
    propagation: str = ""
    grace_seconds: int | None = None
    preconditions: Object = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def random_letters(count: int) -> str:
    return "".join(secrets.choice(NAME_LETTERS) for _ in range(count))


class Objects:
    """Writes on the store as the API allows them; controllers that play by the rules use it too."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def find(self, kind: Kind, namespace: str, name: str) -> Object:
        found = self._store.get(kind, namespace, name)
        if found is None:
            raise not_found(kind, name)
        return found

    def create(
        self,
        kind: Kind,
        namespace: str,
        body: Object,
        *,
        options: Options,
        applied: list[Object] | None = None,
    ) -> Object:
        """Create an object from a request body; `applied` are its owners when it was applied."""
        item = self._cleaned(kind, body, options=options)
        metadata = _new_metadata(kind, item.get("metadata") or {}, namespace=namespace)
        item["metadata"] = metadata
        if kind.subresources and "status" in kind.subresources and kind is not kinds.NAMESPACES:
            item.pop("status", None)
        defaults.fill(kind.kind, item)
        if kind.kind in COUNTED:
            metadata["generation"] = 1
        if kind.kind == "Pod":
            item["status"] = {"phase": "Pending", "qosClass": "BestEffort"}
        if "status" in kind.subresources:
            item.setdefault("status", {})
        validation.check(kind, item)
        if self._store.get(kind, metadata.get("namespace", ""), metadata["name"]) is not None:
            raise already_exists(kind, metadata["name"])
        admission.admit(self._store, kind, item)
        metadata["managedFields"] = (
            managed.record_update(kind, None, item, manager=options.manager) if applied is None else applied
        )
        if options.dry_run:
            return item
        return self._store.create(kind, item)

    def _cleaned(self, kind: Kind, body: Object, *, options: Options, quoted: bool = False) -> Object:
        """The body without unknown fields, which are refused, warned of, or dropped in silence."""
        self._check_identity(kind, body)
        cleaning = Cleaning(kind.kind)
        item = cleaning.object(kind.model, body)
        item.pop("apiVersion", None)
        item.pop("kind", None)
        listed = [f'unknown field "{path}"' for path in cleaning.unknown]
        if listed and options.validation == "Strict":
            raise _strict_error(kind, body, ", ".join(listed), quoted=quoted)
        if options.validation == "Warn":
            options.warnings.extend(listed)
        return item

    def _check_identity(self, kind: Kind, body: Object) -> None:
        version, name = body.get("apiVersion", kind.api_version), body.get("kind", kind.kind)
        if (version, name) != (kind.api_version, kind.kind):
            raise bad_request(
                f"the API version in the data ({version}) or the kind ({name}) does not match the expected "
                f"API version ({kind.api_version}) and kind ({kind.kind})"
            )

    def replace(
        self, kind: Kind, namespace: str, name: str, *, body: Object, options: Options, subresource: str = ""
    ) -> Object:
        """PUT: the body is the whole new state."""
        old = self.find(kind, namespace, name)
        new = self._cleaned(kind, body, options=options)
        metadata = new.setdefault("metadata", {})
        if metadata.get("name", name) != name:
            raise bad_request(
                f"the name of the object ({metadata['name']}) does not match the name on the URL ({name})"
            )
        if metadata.get("uid", old["metadata"]["uid"]) != old["metadata"]["uid"]:
            raise conflict(kind, name, because=_uid_words(metadata["uid"], old["metadata"]["uid"]))
        return self._write(kind, old, new, options=options, subresource=subresource)

    def patch(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        *,
        change: Callable[[Object], Object],
        options: Options,
        subresource: str = "",
    ) -> Object:
        """PATCH other than apply: `change` makes the new state from the present one."""
        old = self.find(kind, namespace, name)
        named = {"apiVersion": kind.api_version, "kind": kind.kind, **old}
        changed = change(named)
        if not isinstance(changed, dict) or not isinstance(changed.get("metadata"), dict):
            raise bad_request("the patch leaves no object behind")
        new = self._cleaned(kind, changed, options=options, quoted=True)
        self._check_unchanged(kind, old, new)
        return self._write(kind, old, new, options=options, subresource=subresource)

    def _check_unchanged(self, kind: Kind, old: Object, new: Object) -> None:
        for name in ("name", "namespace", "uid"):
            value, before = new["metadata"].get(name), old["metadata"].get(name)
            if value == before or (name == "uid" and not value):
                continue
            if name != "uid":
                raise bad_request(
                    f"the {name} of the object ({value}) does not match the one on the URL ({before})"
                )
            words = f'Invalid value: "{value}": field is immutable'
            raise invalid(kind, old["metadata"]["name"], causes=[cause("metadata.uid", message=words)])

    def apply(
        self, kind: Kind, namespace: str, name: str, *, config: Object, options: Options
    ) -> tuple[Object, bool]:
        """Server-side apply; says too whether the object is new."""
        if not options.manager:
            words = "Required value: is required for apply patch"
            listed = [cause("fieldManager", message=words, reason="FieldValueRequired")]
            raise invalid(kind, "", causes=listed)
        old = self._store.get(kind, namespace, name)
        wanted = self._apply_config(kind, config, namespace=namespace, name=name)
        if old is None:
            made = managed.apply(kind, None, wanted, manager=options.manager, force=options.force)
            owners = made["metadata"].pop("managedFields")
            return self.create(kind, namespace, made, options=options, applied=owners), True
        version = wanted["metadata"].pop("resourceVersion", None)
        if version and version != old["metadata"]["resourceVersion"]:
            raise conflict(kind, name)
        merged = managed.apply(kind, old, wanted, manager=options.manager, force=options.force)
        owners = merged["metadata"]["managedFields"]
        new = self._cleaned(kind, merged, options=options)
        return self._write(kind, old, new, options=options, applied=owners), False

    def _apply_config(self, kind: Kind, config: Object, *, namespace: str, name: str) -> Object:
        self._check_identity(kind, config)
        cleaning = Cleaning(kind.kind)
        wanted = cleaning.object(kind.model, config)
        if cleaning.unknown:
            place = f"{namespace}/{name}" if namespace else f"/{name}"
            model = f"{kind.api_version}, Kind={kind.kind}"
            raise ApiError(
                500,
                reason="",
                message=f"failed to create typed patch object ({place}; {model}): "
                + ", ".join(f".{path}: field not declared in schema" for path in cleaning.unknown),
            )
        metadata = wanted.setdefault("metadata", {})
        metadata.pop("managedFields", None)
        metadata["name"] = name
        if kind.namespaced:
            metadata["namespace"] = namespace
        return wanted

    def _write(
        self,
        kind: Kind,
        old: Object,
        new: Object,
        *,
        options: Options,
        subresource: str = "",
        applied: list[Object] | None = None,
    ) -> Object:
        name = old["metadata"]["name"]
        version = new["metadata"].get("resourceVersion")
        if version and version != old["metadata"]["resourceVersion"]:
            raise conflict(kind, name)
        _keep_metadata(old, new)
        _keep_other_half(kind, old, new, subresource=subresource)
        defaults.fill(kind.kind, new)
        validation.check(kind, new, old=old)
        _count_generation(kind, old, new, subresource=subresource)
        new["metadata"]["resourceVersion"] = old["metadata"]["resourceVersion"]
        new["metadata"]["managedFields"] = (
            managed.record_update(kind, old, new, manager=options.manager, subresource=subresource)
            if applied is None
            else applied
        )
        if not new["metadata"]["managedFields"]:
            del new["metadata"]["managedFields"]
        if options.dry_run:
            return new
        if applied is not None and _only_times_differ(old, new):
            return old
        restated = new["metadata"].get("managedFields") != old["metadata"].get("managedFields")
        return self.put(kind, new, owners_changed=applied is not None or restated)

    def put(self, kind: Kind, new: Object, *, owners_changed: bool = False) -> Object:
        """Store a new state; the last finalizer of an object that is to go lets it go."""
        metadata = new["metadata"]
        if "deletionTimestamp" in metadata and not metadata.get("finalizers") and _may_vanish(kind, new):
            return self._store.remove(kind, new) or new
        return self._store.update(kind, new, touched=owners_changed)

    def delete(self, kind: Kind, namespace: str, name: str, *, options: Options) -> Object:
        """DELETE: at once, or by marking the object for those who must clean up first."""
        item = self.find(kind, namespace, name)
        _check_preconditions(kind, item, options.preconditions)
        metadata = item["metadata"]
        finalizers = _deletion_finalizers(kind, metadata.get("finalizers") or [], options.propagation)
        grace = _grace_seconds(kind, item, options.grace_seconds)
        waits = bool(finalizers) or grace > 0 or kind is kinds.NAMESPACES
        if options.dry_run:
            return item if waits else success(kind, name=name, uid=metadata["uid"])
        if not waits:
            self._store.remove(kind, item)
            if kind is kinds.PODS:
                return item
            return success(kind, name=name, uid=metadata["uid"])
        marked = _marked(kind, item, finalizers=finalizers, grace=grace)
        return self._store.update(kind, marked)

    def finish(self, kind: Kind, item: Object) -> None:
        """Let an object go for good."""
        self._store.remove(kind, item)


def _new_metadata(kind: Kind, given: Object, *, namespace: str) -> Object:
    metadata = dict(given)
    if metadata.get("resourceVersion"):
        raise bad_request("resourceVersion should not be set on objects to be created")
    for name in (*KEPT_METADATA[:5], "managedFields", "selfLink"):
        metadata.pop(name, None)
    if metadata.get("generateName") and not metadata.get("name"):
        metadata["name"] = metadata["generateName"] + random_letters(5)
    if kind.namespaced:
        if metadata.get("namespace", namespace) != namespace:
            raise bad_request(
                "the namespace of the provided object does not match the namespace sent on the request"
            )
        metadata["namespace"] = namespace
    else:
        metadata.pop("namespace", None)
    return {**metadata, "uid": str(uuid.uuid4()), "creationTimestamp": clock.stamp()}


def _strict_error(kind: Kind, body: Object, listed: str, *, quoted: bool) -> ApiError:
    words = f"strict decoding error: {listed}"
    if not quoted:
        return bad_request(
            f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}: {words}'
        )
    name = body.get("metadata", {}).get("name", "")
    message = f"Invalid value: {patch.quoted(body)}: {words}"
    return invalid(kind, name, causes=[cause("patch", message=message)])


def _uid_words(asked: str, present: str) -> str:
    return f"Precondition failed: UID in precondition: {asked}, UID in object meta: {present}"


def _keep_metadata(old: Object, new: Object) -> None:
    for name in KEPT_METADATA:
        if name in old["metadata"]:
            new["metadata"][name] = old["metadata"][name]
        else:
            new["metadata"].pop(name, None)


def _keep_other_half(kind: Kind, old: Object, new: Object, *, subresource: str) -> None:
    """A write to the status changes nothing else but annotations, and the other way round.

    Of a custom resource not even those.
    """
    if subresource == "status":
        status, metadata = new.get("status", {}), new["metadata"]
        for name in list(new):
            del new[name]
        new.update(old)
        new["status"] = status
        given = old["metadata"] if kind.custom else metadata
        new["metadata"] = {**old["metadata"], "annotations": given.get("annotations") or {}}
        if not new["metadata"]["annotations"]:
            del new["metadata"]["annotations"]
    elif "status" in kind.subresources:
        new["status"] = old.get("status", {})


def _count_generation(kind: Kind, old: Object, new: Object, *, subresource: str) -> None:
    if kind.kind not in COUNTED or subresource == "status":
        return
    changed = new.get("spec") != old.get("spec")
    if kind.custom and "status" not in kind.subresources:
        changed = {**new, "metadata": None} != {**old, "metadata": None}
    if kind is kinds.DEPLOYMENTS:
        changed = changed or annotations(new) != annotations(old)
    if changed:
        new["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1


def annotations(item: Object) -> dict[str, str]:
    return item["metadata"].get("annotations") or {}


def _only_times_differ(old: Object, new: Object) -> bool:
    def told(item: Object) -> Any:
        metadata = {key: value for key, value in item["metadata"].items() if key != "managedFields"}
        owners = [
            {key: value for key, value in entry.items() if key != "time"}
            for entry in item["metadata"].get("managedFields") or []
        ]
        return {**item, "metadata": metadata}, sorted(owners, key=str)

    return bool(told(old) == told(new))


def _may_vanish(kind: Kind, item: Object) -> bool:
    if kind is kinds.PODS:
        return bool(item["metadata"].get("deletionGracePeriodSeconds") == 0)
    return kind is not kinds.NAMESPACES or not item.get("spec", {}).get("finalizers")


def _check_preconditions(kind: Kind, item: Object, wanted: Object) -> None:
    metadata = item["metadata"]
    uid, version = wanted.get("uid"), wanted.get("resourceVersion")
    if uid and uid != metadata["uid"]:
        raise conflict(kind, metadata["name"], because=_uid_words(uid, metadata["uid"]))
    if version and version != metadata["resourceVersion"]:
        words = (
            f"Precondition failed: ResourceVersion in precondition: {version}, "
            f"ResourceVersion in object meta: {metadata['resourceVersion']}"
        )
        raise conflict(kind, metadata["name"], because=words)


def _deletion_finalizers(kind: Kind, present: list[str], propagation: str) -> list[str]:
    kept = [name for name in present if name not in ("orphan", "foregroundDeletion")]
    # Jobs leave their pods behind unless the caller says otherwise, as they always have.
    if propagation == "Orphan" or (
        not propagation and kind is kinds.JOBS and "foregroundDeletion" not in present
    ):
        return [*kept, "orphan"]
    if propagation == "Foreground":
        return [*kept, "foregroundDeletion"]
    return kept if propagation == "Background" else present


def _grace_seconds(kind: Kind, item: Object, asked: int | None) -> int:
    if kind is not kinds.PODS:
        return 0
    if "nodeName" not in item["spec"] or item["status"].get("phase") in ("Succeeded", "Failed"):
        return 0
    present = item["metadata"].get("deletionGracePeriodSeconds")
    wanted = item["spec"].get("terminationGracePeriodSeconds", 30) if asked is None else asked
    return wanted if present is None else min(present, wanted)


def _marked(kind: Kind, item: Object, *, finalizers: list[str], grace: int) -> Object:
    metadata = {**item["metadata"]}
    metadata.setdefault("deletionTimestamp", clock.stamp())
    metadata["deletionGracePeriodSeconds"] = grace
    if finalizers:
        metadata["finalizers"] = finalizers
    if kind.kind in COUNTED and "deletionTimestamp" not in item["metadata"]:
        metadata["generation"] = metadata.get("generation", 0) + 1
    marked = {**item, "metadata": metadata}
    if kind is kinds.NAMESPACES:
        marked["status"] = {**item.get("status", {}), "phase": "Terminating"}
        del metadata["deletionGracePeriodSeconds"]
    return marked
