"""How what runs differs from what should run. Pure.

`expected` and `seen` are those of `catalog.models.Running`. What `expected` does not name was never looked at
and differs from nothing: the first sight of anything is no finding.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from portal.audit.canonical import canonical
from releases.rollouts.images import digest_of

Json = dict[str, Any]
# A release puts these back; the others are put back in the cluster itself.
IMAGE, CONTENT = "image", "content"
REPLICAS, BOUNDS, SELECTOR, MISSING, RECREATED = "replicas", "bounds", "selector", "missing", "recreated"
OF_IMAGES = frozenset({IMAGE, CONTENT})


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One thing that is not as it should be.

    Attributes:
        code: image (another reference), content (the same reference, another digest), replicas, bounds (of an
            autoscaler), selector (of a Service), missing or recreated (a workload).
        object: such as "Deployment/web"; empty where only the service as a whole is known.
        manager: who last wrote the field, by the cluster's own account.
        at: when that was.
    """

    code: str
    object: str
    field: str = ""
    expected: str = ""
    found: str = ""
    manager: str = ""
    at: str = ""

    @property
    def what(self) -> tuple[str, ...]:
        """What makes it this difference, whoever made it."""
        return (self.code, self.object, self.field, self.expected, self.found)

    @property
    def as_json(self) -> Json:
        """The form in which a finding keeps it."""
        return asdict(self)


def differences(expected: Json, seen: Json, *, scale: Mapping[str, int] | None = None) -> list[Difference]:
    """Return everything about a service that is not as expected, in a settled order.

    Args:
        scale: {"min", "max"} within which people may scale it, where the catalog says so.
    """
    should = expected.get("workloads") or {}
    present: Json = seen.get("workloads") or {}
    accepted = frozenset(expected.get("digests") or ())
    found: list[Difference] = []
    for name, now in (present or {"": seen}).items():
        was = should.get(name)
        if now is None:
            found += [Difference(code=MISSING, object=name)] if was else []
            continue
        if now == was and accepted.issuperset(now.get("digests") or ()):
            continue  # as most are
        found += _images(
            name, (was or {}).get("images") or {}, now, accepted, pins=bool(expected.get("looked"))
        )
        if name in should:
            found += _whole(name, was, now)
            found += _scaling(name, was or {}, now, scale)
    return [*found, *_selectors(expected.get("selectors") or {}, seen.get("selectors"))]


def mark_of(found: Iterable[Difference]) -> str:
    """Return what tells this set of differences from any other."""
    return hashlib.sha256(canonical({"found": [each.what for each in found]}).encode()).hexdigest()


def read(rows: Sequence[Json]) -> list[Difference]:
    """Return differences as a finding keeps them."""
    return [Difference(**row) for row in rows]


def _images(name: str, was: Json, now: Json, accepted: frozenset[str], *, pins: bool) -> list[Difference]:
    """Compare references, and what nodes report.

    Args:
        pins: what nodes accept under a pinned reference is not known; the reference alone is believed.
    """
    images = now.get("images") or {}
    found = [
        Difference(code=IMAGE, object=name, field=f"image[{container}]", expected=was[container], found=image)
        for container, image in sorted(images.items())
        if container in was and was[container] != image and digest_of(image) not in accepted
    ]
    foreign = sorted(set(now.get("digests") or ()) - accepted) if accepted else []
    if found or not foreign or (pins and all(digest_of(image) for image in images.values())):
        return found
    return [Difference(code=CONTENT, object=name, expected=_few(accepted), found=_few(foreign))]


def _few(digests: Iterable[str]) -> str:
    return ", ".join(sorted(digests)[:3])


def _whole(name: str, was: Json | None, now: Json) -> list[Difference]:
    if was is None or (was.get("uid") and now.get("uid") and was["uid"] != now["uid"]):
        return [
            Difference(code=RECREATED, object=name, expected=(was or {}).get("uid", ""), found=now["uid"])
        ]
    return []


def _scaling(name: str, was: Json, now: Json, scale: Mapping[str, int] | None) -> list[Difference]:
    """Compare replica counts where nothing scales by itself, and the bounds where something does."""
    before, after = _bounds(was), _bounds(now)
    if "autoscaler" in was and before != after:
        return [Difference(code=BOUNDS, object=name, expected=before, found=after)]
    if after or "replicas" not in was or was["replicas"] == now["replicas"]:
        return []
    if scale and scale["min"] <= now["replicas"] <= scale["max"]:
        return []
    values = {"expected": str(was["replicas"]), "found": str(now["replicas"])}
    return [Difference(code=REPLICAS, object=name, field="replicas", **values)]


def _bounds(workload: Json) -> str:
    autoscaler = workload.get("autoscaler")
    return f"{autoscaler['min']}–{autoscaler['max']}" if autoscaler else ""


def _selectors(should: Json, present: Json | None) -> list[Difference]:
    if present is None or present == should:
        return []
    return [
        Difference(
            code=SELECTOR,
            object=f"Service/{name}",
            field="selector",
            expected=_labels(labels),
            found=_labels(present.get(name) or {}),
        )
        for name, labels in sorted(should.items())
        if labels != present.get(name)
    ]


def _labels(labels: Mapping[str, str]) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
