"""Merge patches, strategic merge patches and JSON patches."""

import copy
import json
from typing import Any

import jsonpatch
from jsonpointer import JsonPointerException

from portal.embedded.cluster.errors import ApiError, bad_request, unprocessable_patch
from portal.embedded.cluster.kinds import Kind
from portal.embedded.cluster.schema import Shape, fields_of, model_below

Object = dict[str, Any]

ORDER = "$setElementOrder/"
FROM_LIST = "$deleteFromPrimitiveList/"


def merge(target: Any, patch: Any) -> Any:
    """RFC 7386: null deletes, objects merge, everything else replaces."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merge(result.get(name), value)
    return result


def json_patch(target: Object, operations: Any, *, kind: Kind, name: str) -> Object:
    """RFC 6902; a failing test or a missing path is a 422."""
    if not isinstance(operations, list):
        raise bad_request("json: cannot unmarshal object into Go value of type jsonpatch.Patch")
    try:
        result: Object = jsonpatch.JsonPatch(operations).apply(copy.deepcopy(target))
    except (jsonpatch.JsonPatchTestFailed, jsonpatch.JsonPatchConflict, JsonPointerException) as error:
        raise unprocessable_patch(kind, name) from error
    except (jsonpatch.InvalidJsonPatch, TypeError, KeyError, AttributeError) as error:
        raise bad_request(f"error decoding patch: {error}") from error
    return result


def strategic(target: Object, patch: Object, *, model: str | None) -> Object:
    """Merge as Kubernetes does for its own kinds: lists by their merge keys, with `$` directives."""
    directive = patch.get("$patch")
    if directive == "replace":
        return {name: value for name, value in patch.items() if name != "$patch"}
    if directive == "delete":
        return {}
    fields = fields_of(model)
    result = dict(target)
    _retain_keys(result, patch)
    for name, value in patch.items():
        if name.startswith("$"):
            continue
        _set_field(result, name, value, shape=fields.get(name, {}))
    for name, value in patch.items():
        if name.startswith(FROM_LIST):
            _drop_values(result, name.removeprefix(FROM_LIST), value)
        if name.startswith(ORDER):
            _order_field(result, name.removeprefix(ORDER), value, target=target, fields=fields)
    return result


def _retain_keys(result: Object, patch: Object) -> None:
    kept = patch.get("$retainKeys")
    if kept is None:
        return
    for name in [name for name in result if name not in kept]:
        del result[name]


def _set_field(result: Object, name: str, value: Any, *, shape: Shape) -> None:
    before = result.get(name)
    if value is None:
        result.pop(name, None)
    elif isinstance(value, dict):
        result[name] = strategic(
            before if isinstance(before, dict) else {},
            value,
            model=None if "map" in shape else model_below(shape),
        )
    elif isinstance(value, list) and "merge" in shape:
        old = before if isinstance(before, list) else []
        result[name] = _merge_list(old, value, key=shape["merge"], model=model_below(shape))
        given = [item.get(shape["merge"]) for item in value if "$patch" not in item]
        # Without an order of its own a patch puts its items first, as far as the live order allows.
        before_ids = [_identity(item, shape["merge"]) for item in old]
        result[name] = _ordered(result[name], given, before=before_ids, key=shape["merge"])
    elif isinstance(value, list) and shape.get("set"):
        old = before if isinstance(before, list) else []
        result[name] = [*old, *(item for item in value if item not in old)]
    else:
        result[name] = value


def _merge_list(old: list[Any], patch: list[Any], *, key: str, model: str | None) -> list[Any]:
    if any(isinstance(item, dict) and item.get("$patch") == "replace" for item in patch):
        return [item for item in patch if item.get("$patch") != "replace"]
    result = list(old)
    for item in patch:
        if not isinstance(item, dict) or key not in item:
            message = f"map: {item} does not contain declared merge key: {key}"
            raise ApiError(500, reason="InternalError", message=f"Internal error occurred: {message}")
        _merge_item(result, item, key=key, model=model)
    # A patch is an order too: what is new in it comes before what only the live list has.
    return _ordered(result, [item[key] for item in patch], before=[item.get(key) for item in old], key=key)


def _merge_item(result: list[Any], item: Object, *, key: str, model: str | None) -> None:
    places = [index for index, old in enumerate(result) if old.get(key) == item[key]]
    if item.get("$patch") == "delete":
        for index in reversed(places):
            del result[index]
    elif places:
        result[places[0]] = strategic(result[places[0]], item, model=model)
    else:
        result.append(strategic({}, item, model=model))


def _drop_values(result: Object, name: str, values: list[Any]) -> None:
    if isinstance(result.get(name), list):
        result[name] = [item for item in result[name] if item not in values]


def _order_field(
    result: Object, name: str, order: list[Any], *, target: Object, fields: dict[str, Shape]
) -> None:
    merged = result.get(name)
    if not isinstance(merged, list):
        return
    key = fields.get(name, {}).get("merge")
    before = [_identity(item, key) for item in target.get(name) or []]
    result[name] = _ordered(merged, [_identity(item, key) for item in order], before=before, key=key)


def _identity(item: Any, key: str | None) -> Any:
    return item.get(key) if key and isinstance(item, dict) else item


def _ordered(merged: list[Any], order: list[Any], *, before: list[Any], key: str | None) -> list[Any]:
    """Named items in the asked order; others keep their place relative to the live list."""
    named = sorted(
        (x for x in merged if _identity(x, key) in order), key=lambda x: order.index(_identity(x, key))
    )
    others = [item for item in merged if _identity(item, key) not in order]
    result: list[Any] = []
    while named and others:
        place, other = _identity(named[0], key), _identity(others[0], key)
        first_named = place not in before or other not in before or before.index(place) < before.index(other)
        result.append(named.pop(0) if first_named else others.pop(0))
    return [*result, *named, *others]


def quoted(item: Object) -> str:
    """An object as it stands inside an error text."""
    return json.dumps(item, separators=(",", ":"))
