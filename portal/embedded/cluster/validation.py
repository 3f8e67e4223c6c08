"""The rules that a well-formed object must keep, refused with 422 and one cause per broken rule."""

import re
from collections.abc import Iterator
from typing import Any

from portal.embedded.cluster.errors import Cause, cause, invalid
from portal.embedded.cluster.kinds import Kind
from portal.embedded.cluster.schema import Shape, fields_of, model_below
from portal.embedded.cluster.selectors import selector_matches

Object = dict[str, Any]

LABEL_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
LABEL_VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")
ROLE_KINDS = {"Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"}
SHORT_NAMES = {"Service", "Namespace"}
ANNOTATIONS_LIMIT = 256 * 1024

SUBDOMAIN_WORDS = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must "
    "start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    f"'{SUBDOMAIN.pattern}')"
)
HEAVIEST = 1_000_000
WORKLOADS = {"Deployment", "ReplicaSet", "StatefulSet", "DaemonSet"}
SELECTOR_FIXED = {"Deployment", "ReplicaSet", "DaemonSet", "Job"}
SET_MAY_CHANGE = {
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
}


def check(kind: Kind, new: Object, *, old: Object | None = None) -> None:
    """Refuse an object that breaks a rule of its kind.

    Raises:
        ApiError: 422 Invalid.
    """
    causes = [*_metadata(kind, new), *_required(kind.model, new)]
    if not causes:
        causes = [*_rules(kind, new), *(_fixed(kind, new, old) if old else ())]
    if causes:
        raise invalid(kind, new["metadata"].get("name", ""), causes=causes)


def _wrong(field: str, value: Any, words: str) -> Cause:
    return cause(field, message=f"Invalid value: {_shown(value)}: {words}")


def _missing(field: str, words: str = "") -> Cause:
    message = f"Required value: {words}" if words else "Required value"
    return cause(field, message=message, reason="FieldValueRequired")


def _shown(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value).replace("'", '"')


def _metadata(kind: Kind, item: Object) -> Iterator[Cause]:
    metadata = item["metadata"]
    name = metadata.get("name", "")
    if not name:
        yield _missing("metadata.name", "name or generateName is required")
    elif kind.kind in ROLE_KINDS:
        if "/" in name or "%" in name:
            yield _wrong("metadata.name", name, "may not contain '/' or '%'")
    elif not SUBDOMAIN.fullmatch(name) or len(name) > (63 if kind.kind in SHORT_NAMES else 253):
        yield _wrong("metadata.name", name, SUBDOMAIN_WORDS)
    yield from _labels(metadata.get("labels") or {}, path="metadata.labels")
    annotations = metadata.get("annotations") or {}
    if sum(len(key) + len(value) for key, value in annotations.items()) > ANNOTATIONS_LIMIT:
        words = f"Too long: may not be more than {ANNOTATIONS_LIMIT} bytes"
        yield cause("metadata.annotations", message=words, reason="FieldValueTooLong")


def _labels(labels: Object, *, path: str) -> Iterator[Cause]:
    for key, value in labels.items():
        if not LABEL_VALUE.fullmatch(value) or len(value) > 63:
            words = (
                "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or "
                "'.', and must start and end with an alphanumeric character"
            )
            yield _wrong(path, value, words)
        if not re.fullmatch(r"([a-z0-9.-]+/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?", key):
            yield _wrong(path, key, "name part must consist of alphanumeric characters, '-', '_' or '.'")


def _required(model: str | None, item: Object, *, path: str = "") -> Iterator[Cause]:
    """Fields that the models call required, at any depth; the status is the server's own affair."""
    for name, shape in fields_of(model).items():
        here = f"{path}.{name}" if path else name
        if here == "status":
            continue
        value = item.get(name)
        if value is None:
            if shape.get("required") and here != "metadata":
                yield _missing(here)
            continue
        yield from _required_below(shape, value, path=here)


def _required_below(shape: Shape, value: Any, *, path: str) -> Iterator[Cause]:
    model = model_below(shape)
    if model is None:
        return
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _required(model, item, path=f"{path}[{index}]")
    elif isinstance(value, dict) and "map" not in shape:
        yield from _required(model, value, path=path)


def _rules(kind: Kind, item: Object) -> Iterator[Cause]:
    spec = item.get("spec") or {}
    if kind.kind in WORKLOADS:
        yield from _workload(kind.kind, spec)
    if kind.kind == "Job":
        yield from _template(spec["template"], path="spec.template")
        restart = spec["template"]["spec"].get("restartPolicy")
        if restart not in ("Never", "OnFailure"):
            yield cause(
                "spec.template.spec.restartPolicy",
                message=f'Required value: valid values: "OnFailure", "Never"; got "{restart}"',
                reason="FieldValueRequired",
            )
    if kind.kind == "Pod":
        yield from _pod_spec(spec, path="spec")
    if kind.kind == "Service":
        yield from _service(spec)
    if kind.kind == "HTTPRoute":
        yield from _http_route(spec)
    if kind.kind == "HorizontalPodAutoscaler" and spec.get("minReplicas", 1) > spec.get("maxReplicas", 1):
        yield _wrong(
            "spec.maxReplicas", spec["maxReplicas"], "must be greater than or equal to `minReplicas`"
        )


def _workload(kind: str, spec: Object) -> Iterator[Cause]:
    for name in ("replicas", "minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds"):
        if isinstance(spec.get(name), int) and spec[name] < 0:
            yield _wrong(f"spec.{name}", spec[name], "must be greater than or equal to 0")
    selector, labels = spec["selector"], spec["template"]["metadata"].get("labels") or {}
    if not selector.get("matchLabels") and not selector.get("matchExpressions"):
        yield _wrong("spec.selector", "{}", f"empty selector is invalid for {kind.lower()}")
    elif not selector_matches(selector, labels):
        yield _wrong("spec.template.metadata.labels", labels, "`selector` does not match template `labels`")
    yield from _template(spec["template"], path="spec.template")
    if spec["template"]["spec"].get("restartPolicy") != "Always":
        field = "spec.template.spec.restartPolicy"
        words = (
            f'Unsupported value: "{spec["template"]["spec"]["restartPolicy"]}": supported values: "Always"'
        )
        yield cause(field, message=words, reason="FieldValueNotSupported")
    if kind == "Deployment":
        yield from _deployment(spec)


def _deployment(spec: Object) -> Iterator[Cause]:
    minimum, deadline = spec.get("minReadySeconds", 0), spec.get("progressDeadlineSeconds", 600)
    if deadline <= minimum and deadline >= 0:
        yield _wrong("spec.progressDeadlineSeconds", deadline, "must be greater than minReadySeconds")
    strategy = spec.get("strategy") or {}
    if strategy.get("type") == "Recreate" and strategy.get("rollingUpdate") is not None:
        words = "Forbidden: may not be specified when strategy `type` is 'Recreate'"
        yield cause("spec.strategy.rollingUpdate", message=words, reason="FieldValueForbidden")
    rolling = strategy.get("rollingUpdate") or {}
    for name in ("maxSurge", "maxUnavailable"):
        if isinstance(rolling.get(name), str) and not re.fullmatch(r"\d+%", rolling[name]):
            words = "a valid percent string must be a numeric string followed by an ending '%'"
            yield _wrong(f"spec.strategy.rollingUpdate.{name}", rolling[name], words)
    if rolling and _is_zero(rolling.get("maxSurge")) and _is_zero(rolling.get("maxUnavailable")):
        field = "spec.strategy.rollingUpdate.maxUnavailable"
        yield _wrong(field, rolling["maxUnavailable"], "may not be 0 when `maxSurge` is 0")


def _is_zero(value: Any) -> bool:
    return value in (0, "0%")


def _template(template: Object, *, path: str) -> Iterator[Cause]:
    yield from _labels(template["metadata"].get("labels") or {}, path=f"{path}.metadata.labels")
    yield from _pod_spec(template["spec"], path=f"{path}.spec")


def _pod_spec(spec: Object, *, path: str) -> Iterator[Cause]:
    if not spec.get("containers"):
        yield _missing(f"{path}.containers")
    seen: set[str] = set()
    for group in ("containers", "initContainers"):
        for index, container in enumerate(spec.get(group) or []):
            here = f"{path}.{group}[{index}]"
            name = container["name"]
            if not LABEL_NAME.fullmatch(name):
                yield _wrong(
                    f"{here}.name", name, "a lowercase RFC 1123 label must consist of lower case letters"
                )
            if name in seen:
                yield cause(
                    f"{here}.name", message=f'Duplicate value: "{name}"', reason="FieldValueDuplicate"
                )
            seen.add(name)
            if not container.get("image"):
                yield _missing(f"{here}.image")
            elif container["image"] != container["image"].strip():
                yield _wrong(
                    f"{here}.image", container["image"], "must not have leading or trailing whitespace"
                )


def _service(spec: Object) -> Iterator[Cause]:
    ports = spec.get("ports") or []
    if not ports and spec.get("clusterIP") != "None" and spec.get("type") != "ExternalName":
        yield _missing("spec.ports")
    for index, port in enumerate(ports):
        if not 1 <= port["port"] <= 65535:
            field = f"spec.ports[{index}].port"
            yield _wrong(field, port["port"], "must be between 1 and 65535, inclusive")
        if len(ports) > 1 and not port.get("name"):
            yield _missing(f"spec.ports[{index}].name")


def _http_route(spec: Object) -> Iterator[Cause]:
    for number, rule in enumerate(spec["rules"]):
        for place, backend in enumerate(rule.get("backendRefs") or []):
            here = f"spec.rules[{number}].backendRefs[{place}]"
            weight = backend["weight"]
            if not 0 <= weight <= HEAVIEST:
                bound = "greater than or equal to 0" if weight < 0 else f"less than or equal to {HEAVIEST}"
                yield _wrong(f"{here}.weight", weight, f"{here}.weight in body should be {bound}")
            if (backend["group"], backend["kind"]) == ("", "Service") and "port" not in backend:
                yield _wrong(here, "", "Must have port for Service reference")


def _fixed(kind: Kind, new: Object, old: Object) -> Iterator[Cause]:
    """What may not change in the life of an object."""
    spec, before = new.get("spec") or {}, old.get("spec") or {}
    words = "field is immutable"
    if kind.kind in SELECTOR_FIXED and spec.get("selector") != before.get("selector"):
        yield _wrong("spec.selector", spec.get("selector"), words)
    if kind.kind == "Job" and spec.get("template") != before.get("template"):
        yield _wrong("spec.template", "", words)
    if kind.kind == "StatefulSet" and _without(spec, SET_MAY_CHANGE) != _without(before, SET_MAY_CHANGE):
        listed = (
            "'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', "
            "'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds'"
        )
        message = f"Forbidden: updates to statefulset spec for fields other than {listed} are forbidden"
        yield cause("spec", message=message, reason="FieldValueForbidden")
    if kind.kind == "Service" and before.get("clusterIP") and spec.get("clusterIP") != before["clusterIP"]:
        yield _wrong("spec.clusterIPs[0]", spec.get("clusterIP"), "may not change once set")
    if kind.kind == "Pod" and _pod_fixed(spec) != _pod_fixed(before):
        message = (
            "Forbidden: pod updates may not change fields other than `spec.containers[*].image`,"
            "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions "
            "to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it "
            "was previously negative)"
        )
        yield cause("spec", message=message, reason="FieldValueForbidden")
    if kind.kind in ("RoleBinding", "ClusterRoleBinding") and new.get("roleRef") != old.get("roleRef"):
        yield _wrong("roleRef", new.get("roleRef"), "cannot change roleRef")
    if kind.kind in ("ConfigMap", "Secret") and old.get("immutable") and new.get("data") != old.get("data"):
        message = "Forbidden: field is immutable when `immutable` is set"
        yield cause("data", message=message, reason="FieldValueForbidden")


def _without(spec: Object, names: set[str]) -> Object:
    return {name: value for name, value in spec.items() if name not in names}


def _pod_fixed(spec: Object) -> Object:
    kept = _without(
        spec, {"activeDeadlineSeconds", "tolerations", "terminationGracePeriodSeconds", "nodeName"}
    )
    for group in ("containers", "initContainers"):
        kept[group] = [_without(item, {"image"}) for item in spec.get(group) or []]
    return kept
