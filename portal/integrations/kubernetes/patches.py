"""The patches that the portal sends: conditional on the version, or the size, that was seen. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from portal.integrations.kubernetes.workloads import HELD_BY, Json, Workload


def image_patch(seen: Workload, images: Mapping[str, str], *, annotations: Mapping[str, str]) -> Json:
    """Return the strategic merge patch that sets images and annotations on what was seen."""
    pod = seen.template.get("spec") or {}
    spec: Json = {}
    for field in ("initContainers", "containers"):
        named = [each["name"] for each in pod.get(field) or [] if each["name"] in images]
        if named:
            spec[field] = [{"name": name, "image": images[name]} for name in named]
    return merge_patch(seen, {"spec": spec}, annotations=annotations)


def merge_patch(seen: Workload, template: Json, *, annotations: Mapping[str, str]) -> Json:
    """Return the patch that merges into the template of what was seen; what the portal holds goes on."""
    marks: Json = dict(annotations)
    body: Json = {"metadata": {"resourceVersion": seen.resource_version, "annotations": marks}}
    if not seen.goes_on_with_template:
        return {**body, "spec": {"template": template}}
    released = letting_go()
    marks.update(released["metadata"]["annotations"])
    return {**body, "spec": {**released["spec"], "template": template}}


def template_patch(seen: Workload, template: Json, *, annotations: Mapping[str, str]) -> list[Json]:
    """Return the JSON patch that puts a template back; a stale version is answered with a clean conflict.

    What the portal held goes on with it: nothing of the template before comes any more.
    """
    put_back: Json = {"op": "replace", "path": "/spec/template", "value": template}
    gone = (
        ("/spec/paused", f"/metadata/annotations/{_escaped(HELD_BY)}") if seen.goes_on_with_template else ()
    )
    removed: list[Json] = [{"op": "remove", "path": path} for path in gone]
    return [*guarded(seen), put_back, *removed, *annotating(seen.annotations, annotations)]


def holding(holder: str) -> Json:
    """Return the merge patch that pauses a workload for a rollout of the portal."""
    return {"metadata": {"annotations": {HELD_BY: holder}}, "spec": {"paused": True}}


def letting_go() -> Json:
    """Return the merge patch that takes the portal's own pause away."""
    return {"metadata": {"annotations": {HELD_BY: None}}, "spec": {"paused": None}}


def size_patch(seen: Json, replicas: int, *, annotations: Mapping[str, str]) -> list[Json]:
    """Return the JSON patch that sets a size where it is still what was seen.

    It names no version: controllers write the status many times while pods come and go.
    """
    metadata = seen["metadata"]
    tests = [{"op": "test", "path": "/metadata/uid", "value": metadata["uid"]}]
    if "replicas" in seen["spec"]:
        tests.append({"op": "test", "path": "/spec/replicas", "value": seen["spec"]["replicas"]})
    size = {"op": "add", "path": "/spec/replicas", "value": replicas}
    return [*tests, size, *annotating(metadata.get("annotations") or {}, annotations)]


def guarded(seen: Workload) -> list[Json]:
    """Return the operation that makes a JSON patch conditional."""
    return [{"op": "replace", "path": "/metadata/resourceVersion", "value": seen.resource_version}]


def annotating(seen: Mapping[str, str], annotations: Mapping[str, str]) -> list[Json]:
    """Return the operations that add annotations to those that were seen."""
    if not seen:
        return [{"op": "add", "path": "/metadata/annotations", "value": dict(annotations)}]
    return [
        {"op": "add", "path": f"/metadata/annotations/{_escaped(key)}", "value": value}
        for key, value in annotations.items()
    ]


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")
