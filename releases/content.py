"""What an approval covers: the canonical content of a release and its digest (rules.md, "Content").

Title, wording of the announcement and comments are left out on purpose: they may change under an approval.
"""

from typing import Any

from approvals.digests import digest_of
from releases.catalog import charts, manifests
from releases.catalog.connections import place_of, registries_of
from releases.catalog.models import Environment
from releases.catalog.versions import split_image
from releases.items import changes_of, items_of
from releases.models import Change, Item, Release

FACTS = (
    "database_change",
    "infrastructure",
    "traffic_path",
    "new_api",
    "configuration_only",
    "feature_flag",
    "scale_only",
)


def content_of(release: Release) -> dict[str, Any]:
    """Build the sealed content from the rows as they are now, the plan and the target among them."""
    environment = release.environment
    items = _items(release)
    return {
        "environment": {
            "name": environment.name,
            "cluster": environment.cluster.name,
            "place": place_of(environment.cluster),
            "namespace": environment.namespace,
        },
        "registries": registries_of(split_image(item.image)[0] for item in items),
        "items": [_item(item, environment) for item in items],
        "changes": [_change(change) for change in changes_of(release)],
        "database_changes": release.database_changes,
        "facts": {fact: bool(release.facts.get(fact)) for fact in FACTS},
        "grade": release.grade,
        "plan": _plan(release),
        "checklist": release.checklist,
        "policy": release.policy_version,
        # Left out where there is none: what was sealed before there were operations keeps its digest.
        **({"operation": release.operation} if release.operation else {}),
    }


def seal(release: Release) -> bool:
    """Set content and digest from the rows, unsaved; returns whether the digest changed."""
    before = release.content_digest
    release.content = content_of(release)
    release.content_digest = digest_of(release.content)
    return release.content_digest != before


def moved_places(release: Release) -> list[tuple[str, str, str]]:
    """(connection, sealed place, place now) of each that leads elsewhere than when it was sealed."""
    before, now = places_of(release.content), places_of(content_of(release))
    found = ((name, place, now.get(name, "–")) for name, place in sorted(before.items()))
    return [each for each in found if each[1] != each[2]]


def places_of(content: dict[str, Any]) -> dict[str, str]:
    """Where the connections of a sealed content lead, in one line each, by name."""
    environment = content.get("environment", {})
    named = {environment.get("cluster", ""): environment.get("place", {})}
    named |= {each["name"]: each["place"] for each in content.get("registries", [])}
    return {
        name: ", ".join(f"{key}: {value}" for key, value in sorted(place.items()))
        for name, place in named.items()
    }


def _items(release: Release) -> list[Item]:
    return sorted(items_of(release), key=lambda item: item.service.name)


def _item(item: Item, environment: Environment) -> dict[str, Any]:
    """An item counts with the objects it is written into: the same image elsewhere is another content.

    So it does with the chart and the values that write it, where Helm does.
    """
    helm = charts.approved_of(item.service, environment)
    applied = manifests.approved_of(item.service, environment)
    facts = {fact: True for fact in FACTS if item.facts.get(fact)}
    return {
        "service": item.service.name,
        "version": item.version,
        "image": item.image,
        "digest": item.digest,
        "commit": item.commit,
        "built_by": [said for said in (item.built_by, item.image_authors) if said],
        "configuration": item.configuration,
        "workloads": item.service.spec.get("workloads", []),
        **({"facts": facts} if facts else {}),
        # Left out where there are none: what was sealed before there were Jobs keeps its digest.
        **({"jobs": item.service.spec["jobs"]} if item.service.spec.get("jobs") else {}),
        **({"helm": helm} if helm else {}),
        **({"manifests": applied} if applied else {}),
    }


def _change(change: Change) -> dict[str, Any]:
    return {"area": change.area, "text": change.text, "link": change.link}


def _plan(release: Release) -> dict[str, str] | None:
    """A plan counts with all its steps: the same name over other steps is another content."""
    plan = release.plan
    if plan is None:
        return None
    return {"name": plan.name, "strategy": plan.strategy, "digest": digest_of(plan.spec)}
