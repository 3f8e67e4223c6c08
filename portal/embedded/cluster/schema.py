"""What is known about the fields of the served kinds: types, merge keys, unknown names."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from portal.embedded.cluster import custom
from portal.embedded.cluster.errors import bad_request

Shape = dict[str, Any]
Fields = dict[str, Shape]

GO_TYPES = {"str": "string", "int": "int32", "bool": "bool", "float": "float64", "datetime": "Time"}
PYTHON_TYPES: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "bool": (bool,),
    "float": (int, float),
    "datetime": (str,),
}
QUANTITIES = {"requests", "limits", "hard", "used", "capacity", "allocatable", "max", "min", "default"}


@cache
def models() -> dict[str, Fields]:
    text = Path(__file__).with_name("schema.json").read_text(encoding="utf-8")
    found: dict[str, Fields] = json.loads(text)
    return {**found, **custom.MODELS}


def fields_of(model: str | None) -> Fields:
    """The fields of one model; empty for free-form content."""
    return models().get(model or "", {})


def model_below(shape: Shape) -> str | None:
    """The model that a field, its list items or its map values have."""
    while "list" in shape or "map" in shape:
        shape = shape.get("list") or shape["map"]
    found: str | None = shape.get("model")
    return found


class Cleaning:
    """One pass over a request body: drops unknown fields and nulls, refuses wrong types."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.unknown: list[str] = []

    def object(self, model: str, value: dict[str, Any], *, path: str = "") -> dict[str, Any]:
        fields = fields_of(model)
        cleaned: dict[str, Any] = {}
        for name, item in value.items():
            here = f"{path}.{name}" if path else name
            if name not in fields:
                self.unknown.append(here)
            elif item is not None:
                cleaned[name] = self._value(fields[name], item, path=here)
        return cleaned

    def _value(self, shape: Shape, value: Any, *, path: str) -> Any:
        if "list" in shape:
            self._require(isinstance(value, list), value, path=path, wanted="[]")
            return [
                self._value(shape["list"], item, path=f"{path}[{index}]") for index, item in enumerate(value)
            ]
        if "map" in shape:
            self._require(isinstance(value, dict), value, path=path, wanted="map")
            return self._map(shape["map"], value, path=path)
        if "model" in shape:
            return self._model(shape["model"], value, path=path)
        return self._simple(shape["type"], value, path=path)

    def _map(self, shape: Shape, value: dict[str, Any], *, path: str) -> dict[str, Any]:
        if path.rpartition(".")[2] in QUANTITIES:
            value = {key: str(item) if isinstance(item, int | float) else item for key, item in value.items()}
        return {key: self._value(shape, item, path=f"{path}.{key}") for key, item in value.items()}

    def _model(self, model: str, value: Any, *, path: str) -> Any:
        fields = fields_of(model)
        if not fields:
            return value
        self._require(isinstance(value, dict), value, path=path, wanted=model)
        return self.object(model, value, path=path)

    def _simple(self, name: str, value: Any, *, path: str) -> Any:
        allowed = PYTHON_TYPES.get(name)
        if allowed is None:
            return value
        fits = isinstance(value, allowed) and not (isinstance(value, bool) and name in ("int", "float"))
        self._require(fits, value, path=path, wanted=GO_TYPES[name])
        return value

    def _require(self, fits: bool, value: Any, *, path: str, wanted: str) -> None:
        if fits:
            return
        given = {str: "string", bool: "bool", int: "number", float: "number", list: "array", dict: "object"}
        raise bad_request(
            f'{self.kind} in version "v1" cannot be handled as a {self.kind}: json: cannot unmarshal '
            f"{given.get(type(value), 'value')} into Go struct field {self.kind}.{path} of type {wanted}"
        )
