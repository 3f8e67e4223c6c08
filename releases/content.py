"""What an approval covers: the canonical content of a release and its digest (rules.md, "Content").

Title, wording of the announcement and comments are left out on purpose: they may change under an approval.
"""

import hashlib
from typing import Any

import rfc8785

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


def digest_of(value: object) -> str:
    """Return "sha256:…" of the RFC 8785 form of a JSON value."""
    return f"sha256:{hashlib.sha256(rfc8785.dumps(value)).hexdigest()}"  # type: ignore[arg-type]


def content_of(release: Release) -> dict[str, Any]:
    """Build the sealed content from the rows as they are now, the plan and the target among them."""
    environment = release.environment
    return {
        "environment": {
            "name": environment.name,
            "cluster": environment.cluster.name,
            "namespace": environment.namespace,
        },
        "items": [_item(item) for item in _items(release)],
        "changes": [_change(change) for change in release.changes.all()],
        "database_changes": release.database_changes,
        "facts": {fact: bool(release.facts.get(fact)) for fact in FACTS},
        "grade": release.grade,
        "plan": _plan(release),
        "checklist": release.checklist,
        "policy": release.policy_version,
    }


def seal(release: Release) -> bool:
    """Set content and digest from the rows, unsaved; returns whether the digest changed."""
    before = release.content_digest
    release.content = content_of(release)
    release.content_digest = digest_of(release.content)
    return release.content_digest != before


def _items(release: Release) -> list[Item]:
    return sorted(release.items.select_related("service"), key=lambda item: item.service.name)


def _item(item: Item) -> dict[str, Any]:
    """An item counts with the objects it is written into: the same image elsewhere is another content."""
    return {
        "service": item.service.name,
        "version": item.version,
        "image": item.image,
        "digest": item.digest,
        "commit": item.commit,
        "configuration": item.configuration,
        "workloads": item.service.spec.get("workloads", []),
    }


def _change(change: Change) -> dict[str, Any]:
    return {"area": change.area, "text": change.text, "link": change.link}


def _plan(release: Release) -> dict[str, str] | None:
    """A plan counts with all its steps: the same name over other steps is another content."""
    plan = release.plan
    if plan is None:
        return None
    return {"name": plan.name, "strategy": plan.strategy, "digest": digest_of(plan.spec)}
