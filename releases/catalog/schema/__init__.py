"""The published JSON Schemas of the catalog's documents, and what to say when a document does not fit."""

import json
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, cast

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from jsonschema import Draft202012Validator, validators
from jsonschema.exceptions import ValidationError
from referencing import Registry, Resource

from releases.catalog.documents import Document, Problem

FOLDER = Path(__file__).parent
# No pattern without a maxLength of its own allows more.
LONGEST = 400
API_VERSION = "portal/v1"
# In the order in which later kinds refer to earlier ones.
KINDS = ("Team", "Connection", "Environment", "Service", "Checklist", "Policy", "Plan")


@cache
def published(name: str) -> dict[str, Any]:
    """The schema in a file of this folder, such as "plan.json"."""
    found: dict[str, Any] = json.loads((FOLDER / name).read_text())
    return found


def _pattern(_validator: Any, pattern: str, instance: object, schema: Any) -> Iterator[ValidationError]:
    """Match as ECMA does, where `$` is the very end, and only texts short enough to be matched quickly."""
    if not isinstance(instance, str):
        return
    if len(instance) > schema.get("maxLength", LONGEST):
        # Where there is a maxLength it has its own say.
        fits = "maxLength" in schema
    else:
        fits = bool(re.search(re.sub(r"\$$", r"\\Z", pattern), instance))
    if not fits:
        yield ValidationError("does not match")


def _properties(validator: Any, properties: Any, instance: object, schema: Any) -> Iterator[ValidationError]:
    """Say which field has no meaning: the library forgets its name."""
    barred = {name for name, each in properties.items() if each is False}
    for name in sorted(barred & set(instance)) if isinstance(instance, dict) else ():
        yield ValidationError("no meaning", path=[name], schema=False)
    others = {name: each for name, each in properties.items() if name not in barred}
    yield from Draft202012Validator.VALIDATORS["properties"](validator, others, instance, schema)


Validator = validators.extend(  # type: ignore[no-untyped-call]
    Draft202012Validator, {"pattern": _pattern, "properties": _properties}
)


@cache
def _validator(kind: str) -> Draft202012Validator:
    common = Resource.from_contents(published("common.json"))
    registry: Registry[Any] = Registry().with_resource("common.json", common)
    made: Draft202012Validator = Validator(published(f"{kind.lower()}.json"), registry=registry)
    return made


# What earlier versions took and never used, by its place, and what to say to a document that still has it.
GONE: dict[tuple[object, ...], Promise] = {
    ("Team", "spec", "notify"): gettext_lazy(
        "spec.notify is no field any more, as nothing was ever sent by it: leave it out. Who is told of a "
        "rollout the step notice of a plan says."
    ),
    ("Connection", "spec", "kind", "mail"): gettext_lazy(
        "There is no Connection of kind mail any more, as nothing was ever sent by it: leave the document "
        "out. Mail goes out by the settings EMAIL_HOST and those beside it."
    ),
}


def problems_of(document: Document) -> list[Problem]:
    """Everything in which a document departs from the schema of its kind."""
    if not isinstance(document.value, dict):
        return [document.problem(_("Expected a document with apiVersion, kind, metadata and spec."))]
    if document.value.get("apiVersion") != API_VERSION:
        return [
            document.problem(_("Expected apiVersion: %(version)s.") % {"version": API_VERSION}, "apiVersion")
        ]
    if document.kind not in KINDS:
        known = ", ".join(KINDS)
        return [document.problem(_("Expected kind to be one of: %(kinds)s.") % {"kinds": known}, "kind")]
    found: list[Problem] = []
    for error in _validator(document.kind).iter_errors(document.value):
        found += _explain(document, error)
    return found


def _explain(document: Document, error: ValidationError) -> Iterator[Problem]:
    path = tuple(error.absolute_path)
    rule, value, schema = cast("tuple[str, Any, Any]", (error.validator, error.validator_value, error.schema))
    where = ".".join(str(part) for part in path) or _("the document")
    if rule == "additionalProperties":
        known = ", ".join(sorted(schema["properties"]))
        for name in sorted(set(cast("dict[str, Any]", error.instance)) - set(schema["properties"])):
            text = _("Unknown field %(field)s in %(where)s; known here: %(known)s.")
            values = {"field": name[:80], "where": where, "known": known}
            gone = GONE.get((document.kind, *path, name))
            yield document.problem(str(gone or text % values), *path, name)
    elif rule == "required":
        text = _("The field %(field)s is missing in %(where)s.")
        yield document.problem(text % {"field": _missing_field(error, value), "where": where}, *path)
    else:
        gone = GONE.get((document.kind, *path, str(error.instance))) if rule == "enum" else None
        text = _("%(where)s: expected %(expected)s.")
        values = {"where": where, "expected": expected(rule, value, schema)}
        yield document.problem(str(gone or text % values), *path)


def _missing_field(error: ValidationError, names: list[str]) -> str:
    # The validator raises one error per name and says which only in its own English sentence.
    return next(name for name in names if error.message.startswith(repr(name)))


TYPES = {
    "string": gettext_lazy("text"),
    "integer": gettext_lazy("a whole number"),
    "boolean": gettext_lazy("true or false"),
    "array": gettext_lazy("a list"),
    "object": gettext_lazy("fields with values"),
}
SENTENCES: dict[str, Callable[[Any], str]] = {
    "const": lambda value: str(json.dumps(value)),
    "enum": lambda value: _("one of %(values)s") % {"values": ", ".join(map(str, value))},
    "minItems": lambda value: _("at least %(count)d entries") % {"count": value},
    "maxItems": lambda value: _("at most %(count)d entries") % {"count": value},
    "uniqueItems": lambda _value: _("each entry only once"),
}


def expected(rule: str | None, value: Any, schema: Any) -> str:
    """What should stand there, in words; the wrong value is never repeated, for it might be a secret."""
    if schema is False or rule is None:
        return _("nothing: this field has no meaning here")
    if rule in SENTENCES:
        return SENTENCES[rule](value)
    if "description" in schema:
        return _(schema["description"])
    return str(TYPES.get(str(value), value)) if rule == "type" else f"{rule} {json.dumps(value)}"
