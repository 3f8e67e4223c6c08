"""Writes a checked composition into a release's rows and seals them."""

import json

from approvals import queries as approval_queries
from portal import clock
from portal.errors import Conflict
from releases import content, proposal
from releases.catalog.models import Checklist
from releases.models import Change, Item, Release
from releases.operations.composition import Composition

WORDING = ("title", "grade_reason", "target_at", "announcement")
PLAIN = (*WORDING, "environment", "plan")
SAVED = (
    *PLAIN,
    "facts",
    "database_changes",
    "incident",
    "grade",
    "proposal",
    "policy_version",
    "checklist",
    "content",
    "content_digest",
    "changed_at",
)


def fill(release: Release, composition: Composition) -> None:
    """Set the fields that are columns, unsaved."""
    for name in PLAIN:
        setattr(release, name, getattr(composition, name))
    release.facts = dict(composition.facts)
    release.database_changes = [dict(change) for change in composition.database_changes]
    release.incident = dict(composition.incident) if composition.incident else None
    release.operation = dict(composition.operation)
    release.grade = composition.grade or ""


def write_lines(release: Release, composition: Composition) -> None:
    """Replace items and changes of a stored release."""
    release.items.all().delete()
    release.changes.all().delete()
    Item.objects.bulk_create(
        Item(
            release=release,
            service=item.service,
            position=position,
            version=item.version,
            image=item.image,
            digest=item.digest,
            accepted=list(item.accepted),
            commit=item.commit,
            built_by=item.built_by or "",
            image_authors=item.image_authors,
            configuration=[dict(entry) for entry in item.configuration],
            facts=dict(item.facts or {}),
            running=proposal.running_of(item.service, composition.environment),
        )
        for position, item in enumerate(composition.items)
    )
    Change.objects.bulk_create(
        Change(release=release, position=position, **change)
        for position, change in enumerate(composition.changes)
    )


def keeps_content(release: Release, composition: Composition) -> bool:
    """Whether the composition changes wording only, so that what was approved stays as it is.

    The image of a version counts as well, and so does a grade that no longer follows the proposal.
    """
    items = {
        (
            item.service_id,
            item.version,
            item.digest,
            item.built_by,
            json.dumps([item.configuration, item.facts], sort_keys=True),
        )
        for item in release.items.all()
    }
    wanted = {
        (
            item.service.pk,
            item.version,
            item.digest,
            item.built_by or "",
            json.dumps([[*item.configuration], item.facts or {}], sort_keys=True),
        )
        for item in composition.items
    }
    changes = [{"area": c.area, "text": c.text, "link": c.link} for c in release.changes.all()]
    grade = composition.grade or release.proposal.get("grade")
    return (
        items == wanted
        and changes == [dict(change) for change in composition.changes]
        and release.environment_id == composition.environment.pk
        and release.plan == composition.plan
        and release.facts == dict(composition.facts)
        and release.database_changes == [dict(change) for change in composition.database_changes]
        and release.grade == grade
    )


def save_wording(release: Release, composition: Composition) -> None:
    """Store what is not sealed; content, proposal and policy stay those of the submission."""
    for name in WORDING:
        setattr(release, name, getattr(composition, name))
    release.incident = dict(composition.incident) if composition.incident else None
    release.changed_at = clock.now()
    release.save(update_fields=[*WORDING, "incident", "changed_at"])


def grade_and_seal(release: Release, *, chosen: str | None) -> bool:
    """Propose the grade, follow it unless one was chosen, seal and save; returns whether content changed."""
    release.proposal = proposal.propose(release)
    release.grade = chosen or release.proposal["grade"]
    release.policy_version = _policy_version()
    release.checklist = {"templates": [_named(template) for template in templates_for(release)]}
    changed = content.seal(release)
    release.changed_at = clock.now()
    release.save(update_fields=SAVED)
    return changed


def templates_for(release: Release) -> list[Checklist]:
    """The templates whose checks a release gets: the policy's for its grade, and those that name it.

    Where nothing is protected, only the latter.
    """
    named = _policy_checklist(release) if release.environment.protected else ""
    services = {item.service.name for item in release.items.select_related("service")}
    return [
        template
        for template in Checklist.objects.order_by("name")
        if template.name == named or _concerns(template, release, services)
    ]


def _concerns(template: Checklist, release: Release, services: set[str]) -> bool:
    """Whether the template's own conditions all hold; one without any is only used by its name.

    What is asked of every release of a place, or of a service, is about versions that go out: of an operation
    only what its grade asks for.
    """
    if release.operation and not template.spec.get("grades"):
        return False
    conditions = {
        "grades": {release.grade},
        "environments": {release.environment.name},
        "services": services,
    }
    asked = {key: template.spec[key] for key in conditions if template.spec.get(key)}
    return bool(asked) and all(not conditions[key].isdisjoint(words) for key, words in asked.items())


def _named(template: Checklist) -> dict[str, object]:
    return {"name": template.name, "version": template.version}


def _policy_checklist(release: Release) -> str:
    try:
        policy = approval_queries.current_policy()
    except Conflict:
        return ""
    return approval_queries.grade_policy(policy, release.grade).checklist


def _policy_version() -> int | None:
    """The policy's number; a draft may be written before there is one, a submission not."""
    try:
        return approval_queries.current_policy().version
    except Conflict:
        return None
