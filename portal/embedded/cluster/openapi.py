"""The OpenAPI v3 documents, as far as `kubectl apply`, `create` and `explain` read them."""

from typing import Any

from portal.embedded.cluster.discovery import group_versions
from portal.embedded.cluster.kinds import KINDS, Kind
from portal.embedded.cluster.schema import Shape, fields_of, model_below

Document = dict[str, Any]

BODY = {"requestBody": {"content": {"*/*": {"schema": {"type": "object"}}}}}
ANSWER = {"responses": {"200": {"description": "OK"}}}
SIMPLE: dict[str, dict[str, str]] = {
    "str": {"type": "string"},
    "int": {"type": "integer", "format": "int32"},
    "bool": {"type": "boolean"},
    "float": {"type": "number"},
    "datetime": {"type": "string", "format": "date-time"},
}


def index() -> Document:
    """Where the documents of each group and version are."""
    places = ["api/v1", *(f"apis/{group}/{version}" for group, version in group_versions())]
    return {"paths": {place: {"serverRelativeURL": f"/openapi/v3/{place}?hash=practice"} for place in places}}


def document(group: str, version: str) -> Document:
    """One group and version: its paths, and the fields of its kinds with their merge keys."""
    served = [kind for kind in KINDS if (kind.group, kind.version) == (group, version)]
    paths: Document = {}
    for kind in served:
        paths.update(_paths(kind))
    schemas: Document = {}
    for kind in served:
        _collect(kind.model, schemas, kind=kind)
    return {
        "openapi": "3.0.0",
        "info": {"title": "Practice cluster", "version": "v1"},
        "paths": paths,
        "components": {"schemas": schemas},
    }


def _paths(kind: Kind) -> Document:
    root = f"/apis/{kind.group}/{kind.version}" if kind.group else f"/api/{kind.version}"
    place = f"{root}/namespaces/{{namespace}}/{kind.plural}" if kind.namespaced else f"{root}/{kind.plural}"
    return {
        place: {"get": _operation(kind, "list"), "post": _operation(kind, "post")},
        f"{place}/{{name}}": {
            "get": _operation(kind, "get"),
            "put": _operation(kind, "put"),
            "patch": _operation(kind, "patch"),
            "delete": _operation(kind, "delete"),
        },
    }


def _operation(kind: Kind, action: str) -> Document:
    names = ["pretty"]
    if action in ("post", "put", "patch"):
        names += ["dryRun", "fieldManager", "fieldValidation"]
    if action == "patch":
        names.append("force")
    parameters = [{"name": name, "in": "query", "schema": {"type": "string"}} for name in names]
    return {
        "parameters": parameters,
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": _named(kind),
        **(BODY if action in ("post", "put", "patch") else {}),
        **ANSWER,
    }


def _named(kind: Kind) -> dict[str, str]:
    return {"group": kind.group, "version": kind.version, "kind": kind.kind}


def _collect(model: str, schemas: Document, *, kind: Kind | None = None) -> None:
    if model in schemas:
        return
    properties: Document = {}
    schema: Document = {"type": "object", "properties": properties}
    schemas[model] = schema
    if kind is not None:
        schema["x-kubernetes-group-version-kind"] = [_named(kind)]
    for name, shape in fields_of(model).items():
        properties[name] = _property(shape)
        below = model_below(shape)
        if below and fields_of(below):
            _collect(below, schemas)
    required = [name for name, shape in fields_of(model).items() if shape.get("required")]
    if required:
        schema["required"] = required


def _property(shape: Shape) -> Document:
    if "list" in shape:
        found: Document = {"type": "array", "items": _property(shape["list"])}
        if "merge" in shape:
            found |= {
                "x-kubernetes-patch-merge-key": shape["merge"],
                "x-kubernetes-patch-strategy": "merge",
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": shape["keys"],
            }
        return found
    if "map" in shape:
        return {"type": "object", "additionalProperties": _property(shape["map"])}
    if "model" in shape and fields_of(shape["model"]):
        return {"allOf": [{"$ref": f"#/components/schemas/{shape['model']}"}], "default": {}}
    return dict(SIMPLE.get(shape.get("type", ""), {"type": "object"}))
