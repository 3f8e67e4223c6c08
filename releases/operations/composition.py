"""Turns what a person sent into a checked composition: services, images, changes, facts, grade, plan.

All doors send the same shape (interface.md, POST /releases); unknown fields are refused everywhere.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from django.utils.translation import gettext_lazy as _

from portal import access
from portal.actors import Actor
from portal.errors import Invalid, NotFound, PermanentError
from portal.people.models import User
from releases.catalog import versions
from releases.catalog.models import Environment, Plan, Service
from releases.content import FACTS
from releases.models import Release
from releases.operating import is_restore
from releases.operations.fields import Faults
from releases.operations.locking import require_compose

KEYS = (
    "title",
    "environment",
    "items",
    "changes",
    "facts",
    "database_changes",
    "grade",
    "grade_reason",
    "incident",
    "target_at",
    "plan",
    "announcement",
)
# What follows from an operation, and is not said.
OF_AN_OPERATION = ("environment", "items", "plan")
ITEM_KEYS = ("service", "version", "configuration", "facts", "built_by")
MOST_ITEMS = 200
MOST_CHANGES = 200


@dataclass(frozen=True, kw_only=True)
class ComposedItem:
    """A service with the exact image that its version means at this moment.

    Attributes:
        built_by: None where nobody said; what was said of the same version before stays then.
        facts: None where nothing was said; what was stated of the service before stays then.
    """

    service: Service
    version: str
    image: str
    digest: str
    accepted: tuple[str, ...]
    commit: str = ""
    built_by: str | None = None
    image_authors: str = ""
    configuration: tuple[Mapping[str, str], ...] = ()
    facts: Mapping[str, bool] | None = None


@dataclass(frozen=True, kw_only=True)
class Composition:
    """Everything a person can say about a release; `grade` is None where the proposal is followed."""

    title: str
    environment: Environment
    items: tuple[ComposedItem, ...]
    changes: tuple[Mapping[str, Any], ...]
    facts: Mapping[str, bool]
    database_changes: tuple[Mapping[str, str], ...]
    grade: str | None
    grade_reason: str
    incident: Mapping[str, str] | None
    target_at: datetime | None
    plan: Plan | None
    announcement: str
    operation: Mapping[str, Any] = field(default_factory=dict)


def compose(data: object, *, actor: Actor, base: Release | None = None) -> Composition:
    """Read and check the input; with `base`, what is not named stays as it is.

    Asks the registry for versions that are new here, so it is called outside transactions.

    Raises:
        Invalid: names every wrong field.
        NotAllowed: the person may not compose one of the services.
        TemporaryError: the registry does not answer.
    """
    if not isinstance(data, Mapping):
        raise Invalid(_("An object is expected."))
    faults = Faults()
    faults.unknown("", data, KEYS)
    operation = base.operation if base is not None else {}
    for key in data.keys() & OF_AN_OPERATION if operation else ():
        faults.add(key, _("This follows from the operation. Ask for another one on the service's page."))
    if base is not None and is_restore(base) and data.get("grade") not in {None, "", "D"}:
        faults.add("grade", _("A restore is grade D: it is approved before it begins."))
    known = as_data(base) if base is not None else {}
    merged = {**known, **{key: data[key] for key in KEYS if key in data}}
    if base is not None and "environment" in data and "plan" not in data:
        merged["plan"] = None
    user = actor.user
    assert user is not None
    environment = _environment(merged.get("environment"), user, faults)
    drafts = _items(merged.get("items"), environment, user, faults)
    composition = _rest(merged, environment, drafts, faults) if environment else None
    items = _resolve(drafts, base, faults)
    if faults.found or composition is None:
        raise Invalid(missing=faults.found)
    require_compose(actor, [item.service for item in items])
    if operation:
        return replace(composition, items=items, operation=operation, plan=None)
    return replace(composition, items=items)


def as_data(release: Release) -> dict[str, Any]:
    """A release in the shape of the input, as when it is edited or duplicated."""
    chosen = release.grade if release.grade != release.proposal.get("grade") else None
    return {
        "title": release.title,
        "environment": release.environment.name,
        "items": [
            {
                "service": item.service.name,
                "version": item.version,
                "configuration": item.configuration,
                "facts": item.facts,
                "built_by": item.built_by,
            }
            for item in release.items.select_related("service")
        ],
        "changes": [
            {"area": change.area, "text": change.text, "link": change.link}
            for change in release.changes.all()
        ],
        "facts": release.facts,
        "database_changes": release.database_changes,
        "grade": chosen,
        "grade_reason": release.grade_reason,
        "incident": release.incident,
        "target_at": release.target_at,
        "plan": release.plan.name if release.plan else None,
        "announcement": release.announcement,
    }


def _rest(
    data: Mapping[str, Any], environment: Environment, drafts: list[ComposedItem], faults: Faults
) -> Composition:
    return Composition(
        title=faults.text("title", data.get("title"), most=200) or _title_of(drafts),
        environment=environment,
        items=(),
        changes=tuple(_changes(data.get("changes"), faults)),
        facts=faults.flags("facts", data.get("facts"), FACTS),
        database_changes=tuple(_database_changes(data.get("database_changes"), drafts, faults)),
        grade=read_grade(data.get("grade"), faults),
        grade_reason=faults.text("grade_reason", data.get("grade_reason"), most=2000, lines=True),
        incident=read_incident(data.get("incident"), faults),
        target_at=faults.moment("target_at", data.get("target_at")),
        plan=_plan(data.get("plan"), environment, faults),
        announcement=faults.text("announcement", data.get("announcement"), most=10_000, lines=True),
    )


def _title_of(drafts: list[ComposedItem]) -> str:
    if not drafts:
        return ""
    first = f"{drafts[0].service} {drafts[0].version}"
    if len(drafts) == 1:
        return first[:200]
    return str(_("{first} and {count} more").format(first=first, count=len(drafts) - 1))[:200]


def _environment(value: object, user: User, faults: Faults) -> Environment | None:
    name = faults.text("environment", value, most=120, required=True)
    found = access.visible(user, Environment).filter(name=name).first()
    if name and found is None:
        faults.add("environment", _("There is no such environment."))
    return found


def _items(value: object, environment: Environment | None, user: User, faults: Faults) -> list[ComposedItem]:
    rows = faults.rows("items", value, most=MOST_ITEMS)
    if not rows and not any(fault["field"].startswith("items") for fault in faults.found):
        faults.add("items", _("At least one service is needed."))
    found: dict[str, ComposedItem] = {}
    for prefix, row in rows:
        faults.unknown(f"{prefix}.", row, ITEM_KEYS)
        name = faults.text(f"{prefix}.service", row.get("service"), most=120, required=True)
        version = faults.text(f"{prefix}.version", row.get("version"), most=128, required=True)
        configuration = tuple(_configuration(prefix, row.get("configuration"), faults))
        service = _service(f"{prefix}.service", name, environment, user=user, faults=faults)
        if name in found:
            faults.add(f"{prefix}.service", _("This service is in the release already."))
        elif service is not None:
            found[name] = ComposedItem(
                service=service,
                version=version,
                image="",
                digest="",
                accepted=(),
                built_by=_builder(f"{prefix}.built_by", row.get("built_by"), faults),
                configuration=configuration,
                facts=_item_facts(f"{prefix}.facts", row.get("facts"), faults),
            )
    return list(found.values())


def _service(
    field: str, name: str, environment: Environment | None, *, user: User, faults: Faults
) -> Service | None:
    if not name:
        return None
    found = access.visible(user, Service).filter(name=name).first()
    if found is None:
        faults.add(field, _("There is no such service."))
        return None
    if environment is not None and not found.environments.filter(pk=environment.pk).exists():
        faults.add(field, _("This service does not run in {name}.").format(name=environment.name))
        return None
    return found


def _item_facts(field: str, value: object, faults: Faults) -> dict[str, bool] | None:
    """The facts stated of one service, those that are true; None where none were named."""
    if value is None:
        return None
    return {fact: True for fact, is_true in faults.flags(field, value, FACTS).items() if is_true}


def _builder(field: str, value: object, faults: Faults) -> str | None:
    """A username, or the address of whoever committed it, which may belong to nobody here."""
    if value is None:
        return None
    said = faults.text(field, value, most=254)
    if said and "@" not in said and not User.objects.filter(username=said).exists():
        faults.add(field, _("There is no such person. Name somebody by username, or by e-mail address."))
    return said


def _configuration(prefix: str, value: object, faults: Faults) -> list[dict[str, str]]:
    rows = []
    for name, row in faults.rows(f"{prefix}.configuration", value, most=200):
        faults.unknown(f"{name}.", row, ("key", "before", "after"))
        key = faults.text(f"{name}.key", row.get("key"), most=200, required=True)
        before = faults.text(f"{name}.before", row.get("before"), most=2000, lines=True)
        after = faults.text(f"{name}.after", row.get("after"), most=2000, lines=True)
        rows.append({"key": key, "before": before, "after": after})
    return rows


def _changes(value: object, faults: Faults) -> list[dict[str, Any]]:
    rows = []
    for name, row in faults.rows("changes", value, most=MOST_CHANGES):
        faults.unknown(f"{name}.", row, ("area", "text", "link"))
        area = faults.text(f"{name}.area", row.get("area"), most=60, required=True)
        text = faults.text(f"{name}.text", row.get("text"), most=500, required=True)
        rows.append({"area": area, "text": text, "link": faults.link(f"{name}.link", row.get("link"))})
    return rows


def _database_changes(value: object, drafts: list[ComposedItem], faults: Faults) -> list[dict[str, str]]:
    rows = []
    names = {draft.service.name for draft in drafts}
    for name, row in faults.rows("database_changes", value, most=MOST_CHANGES):
        faults.unknown(f"{name}.", row, ("service", "text"))
        service = faults.text(f"{name}.service", row.get("service"), most=120)
        if service and service not in names:
            faults.add(f"{name}.service", _("This service is not in the release."))
        text = faults.text(f"{name}.text", row.get("text"), most=2000, required=True, lines=True)
        rows.append({"service": service, "text": text})
    return rows


def read_grade(value: object, faults: Faults) -> str | None:
    """The grade that the author chose; None to follow the proposal."""
    if value is None or value == "":
        return None
    if isinstance(value, str) and value in [*"ABCDE"]:
        return value
    faults.add("grade", _("One of A, B, C, D and E is expected, or nothing to follow the proposal."))
    return None


def read_incident(value: object, faults: Faults) -> dict[str, str] | None:
    """The incident of an emergency: its link, and why."""
    if value is None or value == "":
        return None
    if isinstance(value, str):
        value = {"link": value}
    if not isinstance(value, Mapping):
        faults.add("incident", _("A link to the incident is expected."))
        return None
    faults.unknown("incident.", value, ("link", "reason"))
    link = faults.link("incident.link", value.get("link"), required=True)
    reason = faults.text("incident.reason", value.get("reason"), most=2000, lines=True)
    return {"link": link or "", "reason": reason}


def _plan(value: object, environment: Environment, faults: Faults) -> Plan | None:
    """The named plan, or the environment's first one."""
    plans = environment.plans.order_by("name")
    name = faults.text("plan", value, most=120)
    if not name:
        return plans.first()
    found = plans.filter(name=name).first()
    if found is None:
        faults.add("plan", _("There is no such plan in this environment."))
    return found


def _resolve(drafts: list[ComposedItem], base: Release | None, faults: Faults) -> tuple[ComposedItem, ...]:
    """Ask the registry what each version means; a version that the draft has already is not asked again."""
    before = [] if base is None else list(base.items.all())
    known = {(item.service_id, item.version): item for item in before}
    facts = {item.service_id: item.facts for item in before}
    resolved = []
    for number, said in enumerate(drafts):
        draft = said if said.facts is not None else replace(said, facts=facts.get(said.service.pk, {}))
        kept = known.get((draft.service.pk, draft.version))
        if kept is not None and kept.digest:
            resolved.append(
                replace(
                    draft,
                    image=kept.image,
                    digest=kept.digest,
                    accepted=tuple(kept.accepted),
                    commit=kept.commit,
                    built_by=kept.built_by if draft.built_by is None else draft.built_by,
                    image_authors=kept.image_authors,
                )
            )
        elif draft.version:
            resolved.append(_ask_registry(draft, f"items.{number}.version", faults))
    return tuple(resolved)


def _ask_registry(draft: ComposedItem, field: str, faults: Faults) -> ComposedItem:
    try:
        return pinned(draft)
    except (NotFound, Invalid, PermanentError) as error:
        text = _("{service} has no version {version}.")
        found = text.format(service=draft.service.name, version=draft.version)
        faults.add(field, error.detail or found)
    return draft


def pinned(draft: ComposedItem) -> ComposedItem:
    """The item with the image its version means now.

    Raises:
        NotFound: the registry has no such version.
        TemporaryError: the registry does not answer.
    """
    answer = versions.resolve(draft.service, draft.version)
    return replace(
        draft,
        image=f"{draft.service.image}@{answer.digest}",
        digest=answer.digest,
        accepted=tuple(answer.accepted),
        commit=answer.revision or "",
        image_authors=answer.authors,
    )
