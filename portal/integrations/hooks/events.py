"""What a CI system says has happened: a push to a branch, a tag, or a build of named versions.

Only the signed body is read. Which kind of ref it is about is told by the ref's full name, so that a branch
called like a tag stays a branch (attacks.md, 1d).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext_lazy as _

from portal.errors import Invalid, field_error

PUSH, TAG = "push", "tag"
PREFIXES = {PUSH: "refs/heads/", TAG: "refs/tags/"}
NOTHING = "0" * 40
MOST_BUILDS = 200
LONGEST = 250
Json = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Built:
    """A version of a service that a build has made."""

    service: str
    version: str


@dataclass(frozen=True, kw_only=True)
class CiEvent:
    """Something happened to a ref.

    Attributes:
        kind: push (to a branch) or tag.
        ref: the branch or tag, without its prefix.
        by: who pushed, by the name the other system gives them.
        builds: the versions that were built; empty where the registry is to be asked.
    """

    kind: str
    repository: str
    ref: str
    commit: str
    by: str = ""
    builds: tuple[Built, ...] = ()


def of_gitlab(body: Json) -> CiEvent | None:
    """Read a push or tag push of GitLab; None for everything else, and where a ref was deleted."""
    if body.get("object_kind") not in {"push", "tag_push"}:
        return None
    project = body.get("project")
    repository = project.get("path_with_namespace") if isinstance(project, Mapping) else None
    wanted = TAG if body["object_kind"] == "tag_push" else PUSH
    return _event(body, repository, body.get("checkout_sha"), body.get("user_username"), wanted)


def of_github(body: Json) -> CiEvent | None:
    """Read a push of GitHub, be it of a branch or a tag; None for everything else."""
    repository, head = body.get("repository"), body.get("head_commit")
    if "ref" not in body or body.get("deleted") or not isinstance(repository, Mapping):
        return None
    # Of an annotated tag "after" is the tag itself.
    commit = head.get("id") if isinstance(head, Mapping) else body.get("after")
    sender = body.get("sender")
    by = sender.get("login") if isinstance(sender, Mapping) else ""
    return _event(body, repository.get("full_name"), commit, by, None)


def of_ci(body: Json) -> CiEvent | None:
    """Read the portal's own shape.

    It is {"repository", "ref", "commit", "by"?, "builds": [{"service", "version"}]}.

    Raises:
        Invalid: names every wrong field.
    """
    known = {"repository", "ref", "commit", "by", "builds"}
    wrong = [field_error(name, _("There is no such field.")) for name in sorted(set(body) - known)]
    event = _event(body, body.get("repository"), body.get("commit"), body.get("by"), None)
    if event is None:
        wrong.append(field_error("ref", _('Name repository, commit and a ref such as "refs/heads/main".')))
    builds = _builds(body.get("builds"))
    if builds is None:
        wrong.append(field_error("builds", _("A list of {service, version} is expected.")))
    if wrong:
        raise Invalid(missing=wrong)
    assert event is not None
    return CiEvent(**{**vars(event), "builds": builds})


def _builds(value: object) -> tuple[Built, ...] | None:
    if not isinstance(value, list) or not 0 < len(value) <= MOST_BUILDS:
        return None
    found = []
    for each in value:
        if not isinstance(each, Mapping) or set(each) != {"service", "version"}:
            return None
        service, version = _text(each["service"]), _text(each["version"])
        if not service or not version:
            return None
        found.append(Built(service=service, version=version))
    return tuple(found)


def _event(body: Json, repository: object, commit: object, by: object, wanted: str | None) -> CiEvent | None:
    ref, sha, path = _text(body.get("ref")), _text(commit), _text(repository)
    kind = next((kind for kind, prefix in PREFIXES.items() if ref.startswith(prefix)), None)
    if kind is None or wanted not in {None, kind} or not sha or sha == NOTHING or not path:
        return None
    return CiEvent(kind=kind, repository=path, ref=ref.removeprefix(PREFIXES[kind]), commit=sha, by=_text(by))


def _text(value: object) -> str:
    """A text that a row can hold, "" for everything else."""
    if not isinstance(value, str) or len(value) > LONGEST or not value.isprintable():
        return ""
    return value
