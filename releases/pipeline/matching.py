"""Which environments an event concerns, and which of their services. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from portal.integrations.hooks.events import CiEvent

Json = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Concern:
    """An environment that asks for an event.

    Attributes:
        services: names of its services that come from the event's repository.
        starts: whether the rollout begins by itself; a protected one is submitted only.
    """

    environment: str
    services: Sequence[str]
    starts: bool


def concerns(
    event: CiEvent,
    *,
    environments: Iterable[tuple[str, bool, Json]],
    services: Iterable[tuple[str, Json, Iterable[str]]],
) -> list[Concern]:
    """Return where an event leads.

    Args:
        environments: name, whether protected, spec with its `triggers`.
        services: name, spec with its `source`, and the environments that it runs in.
    """
    built = {each.service for each in event.builds}
    found: dict[str, list[str]] = {}
    for name, spec, places in services:
        if (spec.get("source") or {}).get("repository") == event.repository and (not built or name in built):
            for place in places:
                found.setdefault(place, []).append(name)
    result = []
    for name, protected, spec in environments:
        fitting = [each for each in spec.get("triggers") or [] if _fits(each, event)]
        if fitting and name in found:
            starts = not protected and not any(each.get("approval") for each in fitting)
            result.append(Concern(environment=name, services=sorted(found[name]), starts=starts))
    return result


def _fits(trigger: Json, event: CiEvent) -> bool:
    return trigger["event"] == event.kind and fnmatchcase(event.ref, trigger["pattern"])


def tag_of(template: str, event: CiEvent) -> str:
    """The image tag that a template such as "main-{short}" means for an event.

    A slash of a branch, which no tag can hold, becomes a dash.
    """
    words = {"ref": event.ref.replace("/", "-"), "commit": event.commit, "short": event.commit[:8]}
    for name, value in words.items():
        template = template.replace(f"{{{name}}}", value)
    return template
