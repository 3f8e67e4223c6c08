"""What a CI system says has happened: a push to a branch, a tag, or a build of named versions.

Only the signed body is read. Which kind of ref it is about is told by the ref's full name, so that a branch
called like a tag stays a branch (attacks.md, 1d).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
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
        at: when it happened, where the event says so: not when it was sent, or came.
        before: the commit that a push of a branch came on top of.
    """

    kind: str
    repository: str
    ref: str
    commit: str
    by: str = ""
    builds: tuple[Built, ...] = ()
    at: datetime | None = None
    before: str = ""


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
    event = _event(body, repository.get("full_name"), commit, by, None)
    return event and replace(event, at=_moment(repository.get("pushed_at")))


def of_ci(body: Json) -> CiEvent | None:
    """Read the portal's own shape.

    It is {"repository", "ref", "commit", "by"?, "at"?, "builds": [{"service", "version"}]}.

    Raises:
        Invalid: names every wrong field.
    """
    known = {"repository", "ref", "commit", "by", "at", "builds"}
    wrong = [field_error(name, _("There is no such field.")) for name in sorted(set(body) - known)]
    event = _event(body, body.get("repository"), body.get("commit"), body.get("by"), None)
    if event is None:
        wrong.append(field_error("ref", _('Name repository, commit and a ref such as "refs/heads/main".')))
    builds = _builds(body.get("builds"))
    if builds is None:
        wrong.append(field_error("builds", _("A list of {service, version} is expected.")))
    at = _moment(body.get("at"))
    if at is None and body.get("at") is not None:
        wrong.append(field_error("at", _('Write a time with its zone, such as "2026-11-23T09:30:00+09:00".')))
    if wrong:
        raise Invalid(missing=wrong)
    assert event is not None
    return CiEvent(**{**vars(event), "builds": builds, "at": at})


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
    before = _text(body.get("before")) if kind == PUSH else ""
    return CiEvent(
        kind=kind,
        repository=path,
        ref=ref.removeprefix(PREFIXES[kind]),
        commit=sha,
        by=_text(by),
        before="" if before == NOTHING else before,
    )


def _moment(value: object) -> datetime | None:
    """A time in seconds since 1970, or in ISO 8601 with its zone; None for everything else."""
    try:
        if isinstance(value, int) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, UTC)
        found = datetime.fromisoformat(value) if isinstance(value, str) else None
    except (ValueError, OverflowError, OSError):
        return None
    return found if found is not None and found.tzinfo is not None else None


def _text(value: object) -> str:
    """A text that a row can hold, "" for everything else."""
    if not isinstance(value, str) or len(value) > LONGEST or not value.isprintable():
        return ""
    return value
