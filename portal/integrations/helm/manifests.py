"""What a chart renders, as objects: what differs, what is fresh each time, which images it names. Pure.

Values of Secrets never leave this module: they are compared, and shown as nothing but dots.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import yaml
from django.utils.translation import gettext_lazy as _

from portal.errors import PermanentError
from portal.integrations.kubernetes.workloads import containers
from portal.masking import masked_change

Json = dict[str, Any]
HOOK = "helm.sh/hook"
MOST_CHARACTERS = 4_000_000
MOST_VALUES = 200_000
HIDDEN = "•••"
SECRET_FIELDS = ("data", "stringData")
WORKLOADS = frozenset({"Deployment", "StatefulSet", "DaemonSet"})
LATEST = "latest"


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One field of one object; `before` or `after` is empty where it was or is not there."""

    thing: str
    field: str
    before: str
    after: str


def objects(text: str) -> list[Json]:
    """Read the objects of a manifest, hooks among them.

    Raises:
        PermanentError: with code "helm_does_not_render" when it is no list of Kubernetes objects.
    """
    if len(text) > MOST_CHARACTERS:
        raise _unreadable(_("The chart renders more than can be read."))
    try:
        found = [each for each in yaml.load_all(text, Loader=yaml.CSafeLoader) if each is not None]
        # Aliases within aliases are few characters and endless values.
        _counted(found, 0)
    except (yaml.YAMLError, RecursionError) as error:
        raise _unreadable(_("What the chart renders is not valid YAML.")) from error
    if not all(_is_object(each) for each in found):
        raise _unreadable(_("The chart renders something that is no Kubernetes object."))
    return found


def without_hooks(found: Iterable[Json]) -> list[Json]:
    """Leave out what belongs to the act of releasing and not to the release."""
    return [each for each in found if HOOK not in (each["metadata"].get("annotations") or {})]


def name_of(found: Json) -> str:
    """Return "Kind/name", the words by which people and the catalog know it."""
    metadata = found["metadata"]
    return f"{found['kind']}/{metadata.get('name') or metadata['generateName']}"


def differences(before: Iterable[Json], after: Iterable[Json]) -> list[Difference]:
    """Return every field in which two renderings differ, Secrets by their keys only."""
    old, new = _by_name(before), _by_name(after)
    found: list[Difference] = []
    for key in sorted({*old, *new}):
        if key not in old or key not in new:
            sides = ("", name_of(new[key])) if key in new else (name_of(old[key]), "")
            found.append(Difference(thing=key, field="object", before=sides[0], after=sides[1]))
            continue
        found += _fields(key, old[key], new[key])
    return found


def fresh(first: Iterable[Json], second: Iterable[Json]) -> list[str]:
    """Return the fields that came out otherwise the second time: random, or taken from the clock."""
    return [f"{each.thing} {each.field}" for each in differences(first, second)]


def foreign_namespaces(found: Iterable[Json], namespace: str) -> list[str]:
    """Return the objects that have another namespace written in."""
    named = ((each, each["metadata"].get("namespace")) for each in found)
    return sorted(f"{name_of(each)} ({place})" for each, place in named if place not in {None, "", namespace})


def workloads(found: Iterable[Json]) -> dict[str, dict[str, str]]:
    """Return the images of each workload by "Kind/name" and container."""
    return {name_of(each): dict(_pod_images(each)) for each in found if each["kind"] in WORKLOADS}


def images(found: Iterable[Json]) -> list[tuple[str, str, str]]:
    """Return (object, container, image) of everything that makes pods."""
    return [(name_of(each), name, image) for each in found for name, image in _pod_images(each)]


def unpinned(found: Iterable[tuple[str, str, str]], *, allowed: Iterable[str]) -> list[str]:
    """Return the images without a digest or tagged `latest` that are not allowed by name."""
    let = set(allowed)
    wrong = {image for _object, _container, image in found if not is_pinned(image)}
    return sorted(image for image in wrong - let if _repository(image) not in let)


def is_pinned(image: str) -> bool:
    """Whether an image names its content by a digest, and not the tag that always moves."""
    name, _at, digest = image.partition("@")
    return digest.startswith("sha256:") and name.rpartition("/")[2].partition(":")[2] != LATEST


def masked(found: Iterable[Json]) -> list[Json]:
    """Return the objects with the values of Secrets hidden."""
    return [_masked(each) for each in found]


def dumped(found: Iterable[Json]) -> str:
    """Return objects as a manifest again, Secrets hidden."""
    return str(yaml.safe_dump_all(masked(found), sort_keys=True, allow_unicode=True))


def _masked(found: Json) -> Json:
    if found["kind"] != "Secret":
        return found
    hidden = {key: dict.fromkeys(found.get(key) or {}, HIDDEN) for key in SECRET_FIELDS if key in found}
    return {**found, **hidden}


def _fields(thing: str, before: Json, after: Json) -> Iterator[Difference]:
    old, new = dict(_flat("", before)), dict(_flat("", after))
    secret = before["kind"] == "Secret" or after["kind"] == "Secret"
    for field in sorted({*old, *new}):
        sides = [_text(values.get(field)) for values in (old, new)]
        if sides[0] == sides[1]:
            continue
        if secret and field.startswith(SECRET_FIELDS):
            # Apart from each other, so that the change shows, and telling nothing.
            sides = [HIDDEN if sides[0] else "", HIDDEN * 2 if sides[1] else ""]
        was, becomes = masked_change(field, *sides)
        yield Difference(thing=thing, field=field, before=was, after=becomes)


def _flat(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for key, each in value.items():
            yield from _flat(f"{path}.{key}" if path else str(key), each)
    elif isinstance(value, list) and value:
        for index, each in enumerate(value):
            named = each.get("name") if isinstance(each, dict) else None
            yield from _flat(f"{path}[{named or index}]", each)
    else:
        yield path, value


def _text(value: Any) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _by_name(found: Iterable[Json]) -> dict[str, Json]:
    return {name_of(each): each for each in found}


def _pod_images(found: Json) -> Iterator[tuple[str, str]]:
    for pod in _pods(found):
        for each in containers(pod):
            yield str(each.get("name", "")), str(each.get("image", ""))


def _pods(found: Json) -> list[Json]:
    """Return what an object says of its pods: one itself, a template, or a template within a template."""
    if found["kind"] == "Pod":
        return [found]
    spec = found.get("spec")
    if found["kind"] == "CronJob" and isinstance(spec, dict):
        spec = (spec.get("jobTemplate") or {}).get("spec")
    template = spec.get("template") if isinstance(spec, dict) else None
    is_pod = isinstance(template, dict) and isinstance(template.get("spec"), dict)
    return [template] if is_pod and isinstance(template, dict) else []


def _repository(image: str) -> str:
    name = image.partition("@")[0]
    head, slash, last = name.rpartition("/")
    return f"{head}{slash}{last.partition(':')[0]}"


def _is_object(found: Any) -> bool:
    metadata = found.get("metadata") if isinstance(found, dict) else None
    named = isinstance(metadata, dict) and bool(metadata.get("name") or metadata.get("generateName"))
    return named and isinstance(found.get("kind"), str)


def _counted(value: Any, count: int) -> int:
    count += 1
    if count > MOST_VALUES:
        raise _unreadable(_("The chart renders more than can be read."))
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for each in inner:
        count = _counted(each, count)
    return count


def _unreadable(text: Any) -> PermanentError:
    return PermanentError(text, code="helm_does_not_render")
