"""Who owns which field: the `managedFields` of objects, and what server-side apply makes of them."""

import json
from collections.abc import Iterator
from typing import Any

from portal.embedded.cluster import clock
from portal.embedded.cluster.errors import ApiError, cause
from portal.embedded.cluster.kinds import Kind
from portal.embedded.cluster.schema import Shape, fields_of, model_below

Object = dict[str, Any]
Path = tuple[str, ...]
Values = dict[Path, Any]

ITSELF = "."
# Fields that nobody owns: identity and what the server itself keeps.
SERVERS_OWN = frozenset(
    {
        "name",
        "namespace",
        "uid",
        "resourceVersion",
        "generation",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "managedFields",
        "selfLink",
        "generateName",
    }
)
ATOMIC = frozenset({"V1LabelSelector", "V1ObjectReference", "V1SecretKeySelector", "V1ConfigMapKeySelector"})
ATOMIC_FIELDS = frozenset({"nodeSelector"})


def values_of(kind: Kind, item: Object, *, status: bool = False) -> Values:
    """Every owned field of an object with its value; of the status only when `status`."""
    found: Values = {}
    for name, value in item.items():
        if name in ("apiVersion", "kind") or (name == "status") != status:
            continue
        shape = fields_of(kind.model).get(name, {})
        found.update(_field((f"f:{name}",), value, shape=shape))
    return {
        path: value
        for path, value in found.items()
        if not (path[0] == "f:metadata" and path[1:2] and path[1][2:] in SERVERS_OWN)
    }


def _field(path: Path, value: Any, *, shape: Shape) -> Iterator[tuple[Path, Any]]:
    if isinstance(value, list) and "keys" in shape:
        for item in value:
            yield from _list_item(path, item, shape=shape)
    elif isinstance(value, list) and shape.get("set"):
        yield from (((*path, f"v:{json.dumps(item)}"), item) for item in value)
    elif isinstance(value, dict) and value and not _is_atomic(path, shape):
        if "map" in shape:
            yield (*path, ITSELF), True
        fields = fields_of(shape.get("model"))
        for name, item in value.items():
            inner = shape["map"] if "map" in shape else fields.get(name, {})
            yield from _field((*path, f"f:{name}"), item, shape=inner)
    else:
        yield path, value


def _is_atomic(path: Path, shape: Shape) -> bool:
    return shape.get("model") in ATOMIC or path[-1][2:] in ATOMIC_FIELDS


def _list_item(path: Path, item: Object, *, shape: Shape) -> Iterator[tuple[Path, Any]]:
    here = (*path, _key_of(item, shape["keys"]))
    yield (*here, ITSELF), True
    fields = fields_of(model_below(shape))
    for name, value in item.items():
        yield from _field((*here, f"f:{name}"), value, shape=fields.get(name, {}))


def _key_of(item: Object, keys: list[str]) -> str:
    defaults = {"protocol": "TCP"}
    picked = {key: item.get(key, defaults.get(key)) for key in keys}
    picked = {key: value for key, value in picked.items() if value is not None}
    return "k:" + json.dumps(picked, separators=(",", ":"), sort_keys=True)


def _nested(paths: set[Path]) -> Object:
    tree: Object = {}
    for path in sorted(paths):
        here = tree
        for step in path:
            here = here.setdefault(step, {})
    return tree


def _flat(tree: Object, path: Path = ()) -> Iterator[Path]:
    for step, below in tree.items():
        if below:
            yield from _flat(below, (*path, step))
        else:
            yield (*path, step)


def _entry(kind: Kind, manager: str, *, operation: str, subresource: str, paths: set[Path]) -> Object:
    entry = {
        "manager": manager,
        "operation": operation,
        "apiVersion": kind.api_version,
        "time": clock.stamp(),
        "fieldsType": "FieldsV1",
        "fieldsV1": _nested(paths),
    }
    return {**entry, "subresource": subresource} if subresource else entry


def _paths(entry: Object) -> set[Path]:
    return set(_flat(entry.get("fieldsV1") or {}))


def _identity(entry: Object) -> tuple[str, str, str]:
    return entry["manager"], entry["operation"], entry.get("subresource", "")


def record_update(
    kind: Kind, old: Object | None, new: Object, *, manager: str, subresource: str = ""
) -> list[Object]:
    """The managedFields after an ordinary write: what it changed is the writer's now."""
    status = subresource == "status"
    before = values_of(kind, old, status=status) if old else {}
    after = values_of(kind, new, status=status)
    missing = object()
    changed = {path for path, value in after.items() if before.get(path, missing) != value}
    gone = set(before) - set(after)
    return _reassigned(
        kind,
        _stated(old, new, subresource=subresource),
        owner=(manager, "Update", subresource),
        gained=changed,
        gone=gone,
    )


def _stated(old: Object | None, new: Object, *, subresource: str) -> list[Object]:
    """What a client says of the owners, as Helm does where it takes its own fields over; or what stands.

    An empty list takes all away. What cannot be read counts for nothing, nor what comes with a subresource.
    """
    standing = (old or {}).get("metadata", {}).get("managedFields") or []
    given = new["metadata"].get("managedFields")
    if subresource or given is None:
        return list(standing)
    if given in ([], [{}]):
        return []
    readable = all({"manager", "operation", "fieldsV1"} <= each.keys() for each in given)
    return list(given if readable else standing)


def _reassigned(
    kind: Kind, entries: list[Object], *, owner: tuple[str, str, str], gained: set[Path], gone: set[Path]
) -> list[Object]:
    if not gained and not gone:
        return entries
    result = []
    own: set[Path] = set()
    for entry in entries:
        paths = _paths(entry) - gone
        if _identity(entry) == owner:
            own = paths
            continue
        left = {path for path in paths if path not in gained or path[-1] == ITSELF}
        if left:
            result.append({**entry, "fieldsV1": _nested(left)})
    if own | gained:
        manager, operation, subresource = owner
        result.append(_entry(kind, manager, operation=operation, subresource=subresource, paths=own | gained))
    return result


def apply(kind: Kind, live: Object | None, config: Object, *, manager: str, force: bool) -> Object:
    """Server-side apply: the live object with `config` in it, ownership included.

    Raises:
        ApiError: 409 with one cause per field that another manager holds with another value.
    """
    wanted = values_of(kind, config)
    entries = ((live or {}).get("metadata", {}).get("managedFields")) or []
    owner = (manager, "Apply", "")
    others = [entry for entry in entries if _identity(entry) != owner]
    present = values_of(kind, live) if live else {}
    causes = _conflicts(others, wanted, present=present)
    if causes and not force:
        raise _conflict(causes)
    before: set[Path] = next((_paths(entry) for entry in entries if _identity(entry) == owner), set())
    merged: Object = merge_config(live or {}, config, model=kind.model)
    held = {path for entry in others for path in _paths(entry)}
    for path in sorted(before - set(wanted) - held, key=len, reverse=True):
        _drop(merged, path)
    taken = {path for path in wanted if path in present and present[path] != wanted[path]}
    result = []
    for entry in others:
        left = {path for path in _paths(entry) if path not in taken}
        if left:
            result.append({**entry, "fieldsV1": _nested(left)})
    result.append(_entry(kind, manager, operation="Apply", subresource="", paths=set(wanted)))
    merged["metadata"] = {**merged["metadata"], "managedFields": result}
    return merged


def _conflicts(others: list[Object], wanted: Values, *, present: Values) -> list[tuple[str, str]]:
    found = []
    for entry in others:
        for path in sorted(_paths(entry) & set(wanted)):
            if present.get(path) != wanted[path]:
                words = f'conflict with "{entry["manager"]}"'
                if entry.get("subresource"):
                    words += f' with subresource "{entry["subresource"]}"'
                if entry["operation"] == "Update":
                    words += f" using {entry['apiVersion']}"
                found.append((words, _readable(path)))
    return found


def _conflict(causes: list[tuple[str, str]]) -> ApiError:
    count = f"{len(causes)} conflict" + ("s" if len(causes) > 1 else "")
    if len(causes) == 1:
        text = f"{causes[0][0]}: {causes[0][1]}"
    else:
        text = "\n".join(f"- {words}: {field}" for words, field in causes)
    separator = " " if len(causes) == 1 else "\n"
    listed = [cause(field, message=words, reason="FieldManagerConflict") for words, field in causes]
    return ApiError(
        409,
        reason="Conflict",
        message=f"Apply failed with {count}:{separator}{text}",
        details={"causes": listed},
    )


def _readable(path: Path) -> str:
    text = ""
    for step in path:
        if step.startswith("f:"):
            text += f".{step[2:]}"
        elif step.startswith("k:"):
            text += "[" + ",".join(f"{k}={json.dumps(v)}" for k, v in json.loads(step[2:]).items()) + "]"
        elif step.startswith("v:"):
            text += f"[={step[2:]}]"
    return text


def merge_config(live: Object, config: Object, *, model: str | None) -> Object:
    """The live object with an applied configuration laid over it, lists by their keys."""
    result = dict(live)
    fields = fields_of(model)
    for name, value in config.items():
        shape = fields.get(name, {})
        result[name] = _merge_value(result.get(name), value, shape=shape, name=name)
    return result


def _merge_value(live: Any, value: Any, *, shape: Shape, name: str) -> Any:
    if isinstance(value, dict) and isinstance(live, dict) and not _is_atomic((f"f:{name}",), shape):
        return merge_config(live, value, model=None if "map" in shape else model_below(shape))
    if not isinstance(value, list) or not isinstance(live, list):
        return value
    if shape.get("set"):
        return [*live, *(item for item in value if item not in live)]
    if "keys" not in shape:
        return value
    keys, model = shape["keys"], model_below(shape)
    by_key = {_key_of(item, keys): item for item in live}
    given = [_key_of(item, keys) for item in value]
    merged = [merge_config(by_key.get(_key_of(item, keys), {}), item, model=model) for item in value]
    return [*merged, *(item for key, item in by_key.items() if key not in given)]


def _drop(item: Any, path: Path) -> None:
    """Remove one field; the objects on the way are copied, because the store's are never changed."""
    step, rest = path[0], path[1:]
    if step.startswith("f:") and isinstance(item, dict) and step[2:] in item:
        _drop_named(item, step[2:], rest)
    elif step.startswith("k:") and isinstance(item, list):
        wanted = json.loads(step[2:])
        for index, entry in enumerate(item):
            if all(entry.get(key, value) == value for key, value in wanted.items()):
                _drop_listed(item, index, rest)
                return
    elif step.startswith("v:") and isinstance(item, list) and json.loads(step[2:]) in item:
        item.remove(json.loads(step[2:]))


def _drop_named(item: Object, name: str, rest: Path) -> None:
    if not rest:
        del item[name]
    elif rest == (ITSELF,):
        if not item[name]:
            del item[name]
    else:
        item[name] = item[name].copy()
        _drop(item[name], rest)


def _drop_listed(items: list[Any], index: int, rest: Path) -> None:
    if rest == (ITSELF,):
        del items[index]
    else:
        items[index] = items[index].copy()
        _drop(items[index], rest)
