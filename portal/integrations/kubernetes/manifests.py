"""Manifests as they lie in the one folder that an administrator allowed, and what of an object is whose.

A folder is read whole and never followed outside; its objects are of an allow-list of kinds, and none says
for itself in which namespace it stands.
"""

import hashlib
import json
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from portal.errors import PermanentError
from portal.integrations.kubernetes.workloads import Json, containers
from portal.sentences import sentence

REFUSED = "manifests_refused"
FOLDER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*(?:/[A-Za-z0-9][A-Za-z0-9_-]*){0,5}")
NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
SUFFIXES = (".yaml", ".yml")
MOST_FILES, MOST_BYTES, MOST_OBJECTS = 100, 1_000_000, 200
# What may be applied: nothing that holds secrets, gives rights, or stands outside a namespace.
PLURALS = {
    ("v1", "ConfigMap"): "configmaps",
    ("v1", "Service"): "services",
    ("apps/v1", "Deployment"): "deployments",
    ("apps/v1", "StatefulSet"): "statefulsets",
    ("apps/v1", "DaemonSet"): "daemonsets",
    ("autoscaling/v2", "HorizontalPodAutoscaler"): "horizontalpodautoscalers",
    ("batch/v1", "CronJob"): "cronjobs",
    ("networking.k8s.io/v1", "Ingress"): "ingresses",
    ("policy/v1", "PodDisruptionBudget"): "poddisruptionbudgets",
}
# Where controllers note what they see; nobody means an object to be for that.
NOTED = {"f:metadata", "f:status"}
# What the server keeps of every object, and what changes with each write.
SERVERS_OWN = ("managedFields", "resourceVersion", "generation", "uid", "creationTimestamp")


@dataclass(frozen=True, kw_only=True)
class Manifests:
    """The objects of a folder in their order, and a digest over all of its files."""

    folder: str
    objects: tuple[Json, ...]
    digest: str


def read_manifests(root: str, folder: str) -> Manifests:
    """Read a folder below the allowed one.

    Args:
        root: the folder that an administrator allowed.

    Raises:
        PermanentError: with code "manifests_refused" and what is wrong with it.
    """
    if not root:
        raise _refused(_("No folder of manifests is allowed: an administrator names it in MANIFESTS."))
    if not FOLDER.fullmatch(folder):
        raise _refused(_("“{name}” is no folder below the allowed one."), name=folder)
    files = dict(_files(_place(root, folder), folder))
    if not files:
        raise _refused(_("The folder {name} holds no manifest (*.yaml)."), name=folder)
    objects = tuple(each for name, text in files.items() for each in _objects(name, text))
    names = [name_of(each) for each in objects]
    twice = next((name for name in names if names.count(name) > 1), "")
    if twice or len(objects) > MOST_OBJECTS:
        raise _refused(_("{name} stands there twice, or there are too many objects."), name=twice or folder)
    return Manifests(folder=folder, objects=objects, digest=_digest(files))


def _place(root: str, folder: str) -> Path:
    place = Path(root).resolve()
    for part in folder.split("/"):
        place /= part
        try:
            is_folder = stat.S_ISDIR(place.lstat().st_mode)
        except OSError as error:
            raise _refused(
                _("{name} cannot be read: {reason}."), name=folder, reason=error.strerror
            ) from error
        if not is_folder:
            raise _refused(_("{name} is no folder, or a link to one."), name=folder)
    return place


def _files(place: Path, folder: str) -> Iterator[tuple[str, bytes]]:
    entries = sorted(os.scandir(place), key=lambda each: each.name)
    if len(entries) > MOST_FILES:
        raise _refused(_("The folder {name} is too large."), name=folder)
    total = 0
    for entry in entries:
        if entry.is_symlink() or not entry.is_file(follow_symlinks=False):
            raise _refused(_("{name} is a link or no file."), name=f"{folder}/{entry.name}")
        if entry.name.endswith(SUFFIXES):
            content = _content(Path(entry.path))
            total += len(content)
            if total > MOST_BYTES:
                raise _refused(_("The folder {name} is too large."), name=folder)
            yield entry.name, content


def _content(path: Path) -> bytes:
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            return file.read(MOST_BYTES + 1)
    except OSError as error:
        raise _refused(
            _("{name} cannot be read: {reason}."), name=path.name, reason=error.strerror
        ) from error


def _digest(files: Mapping[str, bytes]) -> str:
    """Over names and contents, each with its length, so that no two folders read the same."""
    hashed = hashlib.sha256()
    for name, content in files.items():
        hashed.update(f"{len(name.encode())}:{name}:{len(content)}:".encode())
        hashed.update(content)
    return f"sha256:{hashed.hexdigest()}"


def _objects(name: str, content: bytes) -> list[Json]:
    try:
        text = content.decode()
        # Aliases within aliases are few characters and endless values.
        if any(isinstance(each, yaml.AliasEvent) for each in yaml.parse(text, Loader=yaml.CSafeLoader)):
            raise _refused(_("{name} uses an alias; write it out."), name=name)
        found = [each for each in yaml.load_all(text, Loader=yaml.CSafeLoader) if each is not None]
    except (UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise _refused(_("{name} is not valid YAML."), name=name) from error
    for each in found:
        _require_allowed(name, each)
    return found


def _require_allowed(file: str, found: Any) -> None:
    metadata = found.get("metadata") if isinstance(found, dict) else None
    if not isinstance(metadata, dict) or not NAME.fullmatch(str(metadata.get("name", ""))):
        raise _refused(_("{name} holds something that is no Kubernetes object with a name."), name=file)
    kind = (str(found.get("apiVersion")), str(found.get("kind")))
    if kind not in PLURALS:
        raise _refused(_("{kind} in {name} is no kind that may be applied."), kind=" ".join(kind), name=file)
    if "namespace" in metadata or "status" in found:
        text = _("{object} in {name} names a namespace or a status; the environment names the namespace.")
        raise _refused(text, object=name_of(found), name=file)


def name_of(found: Json) -> str:
    """Return "kind/name", as people know it."""
    return f"{found['kind'].lower()}/{found['metadata']['name']}"


def plural_of(found: Json) -> str:
    """Return the collection of an object of the allowed kinds."""
    return PLURALS[found["apiVersion"], found["kind"]]


def images_of(found: Json) -> dict[str, str]:
    """Return the images that a workload's manifest writes, by container."""
    template = (found.get("spec") or {}).get("template") or {}
    return {each["name"]: each["image"] for each in containers(template) if each.get("image")}


def essence(found: Json) -> Json:
    """Return an object without what the server keeps of it and what its controller says."""
    metadata = {key: value for key, value in found["metadata"].items() if key not in SERVERS_OWN}
    return {**{key: value for key, value in found.items() if key != "status"}, "metadata": metadata}


def applied_by(found: Json, manager: str) -> Json:
    """Return what a manager has applied to an object, as it would apply it again; names alone if nothing.

    Applying it takes everything back that the manager has applied since (server-side apply).
    """
    entries: Iterable[Json] = found["metadata"].get("managedFields") or []
    own: Json = next(
        (each.get("fieldsV1") or {} for each in entries if _is(each, manager)),
        {},
    )
    part = _owned(found, own) if own else {}
    metadata = {**part.get("metadata", {}), "name": found["metadata"]["name"]}
    return {**part, "apiVersion": found["apiVersion"], "kind": found["kind"], "metadata": metadata}


def is_applied_by(found: Json, manager: str) -> bool:
    """Whether a manager has applied anything to an object that is there still."""
    return any(_is(each, manager) for each in found["metadata"].get("managedFields") or [])


def others_of(found: Json, manager: str) -> list[str]:
    """Return who else has written what an object is for; notes of controllers are not that."""
    entries: Iterable[Json] = found["metadata"].get("managedFields") or []
    others = [each for each in entries if each.get("manager") != manager and not each.get("subresource")]
    return sorted({each["manager"] for each in others if (each.get("fieldsV1") or {}).keys() - NOTED})


def _is(entry: Json, manager: str) -> bool:
    is_apply = entry.get("operation") == "Apply" and not entry.get("subresource")
    return entry.get("manager") == manager and is_apply


def _owned(value: Any, fields: Json) -> Any:
    """The part of a value that a set of fields names (the form of `fieldsV1`)."""
    named = {key: below for key, below in fields.items() if key != "."}
    if not named:
        return value if not fields else type(value)()
    if isinstance(value, dict):
        found = {key[2:]: below for key, below in named.items() if key.startswith("f:")}
        return {key: _owned(value[key], below) for key, below in found.items() if key in value}
    return [part for each in value or [] for part in _items(each, named)]


def _items(item: Any, named: Json) -> Iterator[Any]:
    for key, below in named.items():
        if key.startswith("v:") and json.loads(key[2:]) == item:
            yield item
        if key.startswith("k:"):
            identity = json.loads(key[2:])
            if isinstance(item, dict) and all(item.get(name) == part for name, part in identity.items()):
                yield {**identity, **_owned(item, below)}


def _refused(text: str | Promise, **values: object) -> PermanentError:
    return PermanentError(sentence(text, **values), code=REFUSED)
