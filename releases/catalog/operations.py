"""Writes the catalog: whole loads only, in one transaction with one entry in the record."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from django.db import connection, transaction
from django.db.models import ProtectedError
from django.utils.translation import gettext_lazy as _

from portal import access
from portal.actors import Actor
from portal.audit.record import record
from portal.errors import Conflict, NotAllowed
from portal.people.models import Role, Team
from releases.catalog import rights
from releases.catalog.checks import problems_between
from releases.catalog.connections import unusable_connections
from releases.catalog.difference import Change, Difference, Key, Stored, difference
from releases.catalog.documents import Document, Problem, all_problems, duplicates, invalid, read
from releases.catalog.models import (
    Checklist,
    Connection,
    Environment,
    Plan,
    Service,
    Stage,
    StoredDocument,
)
from releases.catalog.policies import operations as policies
from releases.catalog.schema import KINDS, problems_of

ROOT_LENGTH = 120
Confirm = Callable[[Difference], bool]
# One load at a time: a number of our own among PostgreSQL's advisory locks.
LOAD_LOCK = 0x6361_7461


def problems_in(documents: list[Document]) -> list[Problem]:
    """Everything wrong with the documents by themselves: their form and their names."""
    misshapen = [problem for each in documents for problem in problems_of(each)]
    return all_problems(misshapen, duplicates(documents))


def check_documents(documents: list[Document], stored: Mapping[Key, Stored]) -> list[Problem]:
    """Everything wrong with the documents; what lies between them only where each has its form."""
    found = problems_in(documents)
    return found or all_problems(problems_between(documents, _specs(stored)), unusable_connections(documents))


def _specs(stored: Mapping[Key, Stored]) -> dict[Key, dict[str, Any]]:
    return {key: each.source["spec"] for key, each in stored.items()}


def load_folder(
    path: Path,
    *,
    actor: Actor,
    confirm: Confirm | None = None,
    prune: bool = False,
    keep_policy: bool = False,
) -> Difference:
    """Bring the catalog to what the files say; all of it, or nothing.

    A policy that differs from the one in force is proposed: it comes into force once it is signed.

    Args:
        confirm: is shown the difference and says whether to go on; without it the load goes on.
        prune: remove what an earlier load from a folder of this name brought and the files no longer hold.
        keep_policy: leave a policy that is in force alone, whatever the files say.

    Returns:
        What was changed; when `confirm` says no, what would have been.

    Raises:
        Invalid: names every problem with file, line and what was expected.
        Conflict: the catalog changed while the difference was read, or something to be removed is in use.
        NotAllowed: the person is no administrator.
    """
    _require_administrator(actor)
    documents, unreadable = read(path)
    if problems := all_problems(unreadable, problems_in(documents)):
        raise invalid(problems)
    root = path.resolve().name[:ROOT_LENGTH]
    shown = _checked(documents, root=root, prune=prune, keep_policy=keep_policy)
    if confirm is not None and not confirm(shown):
        return shown
    with transaction.atomic():
        _lock()
        found = _checked(documents, root=root, prune=prune, keep_policy=keep_policy)
        if confirm is not None and found != shown:
            raise Conflict(_("The catalog changed meanwhile. Look at the difference again."))
        if not found.is_empty:
            _write(documents, found, actor=actor)
    return found


def _require_administrator(actor: Actor) -> None:
    if actor.user is not None and not access.has_role(actor.user, Role.ADMINISTRATOR):
        raise NotAllowed


def _lock() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOAD_LOCK])


def stored_documents() -> dict[Key, Stored]:
    """All documents the portal holds."""
    rows = StoredDocument.objects.values_list("kind", "name", "root", "file", "position", "text", "source")
    return {(row[0], row[1]): Stored(*row) for row in rows}


def _checked(documents: list[Document], *, root: str, prune: bool, keep_policy: bool) -> Difference:
    stored = stored_documents()
    found = difference(documents, stored, root=root, prune=prune)
    remaining = {key: each for key, each in stored.items() if Change(*key) not in found.removed}
    between = problems_between(documents, _specs(remaining))
    orphans = _orphans(found, documents, remaining)
    if problems := all_problems(between, orphans, unusable_connections(documents)):
        raise invalid(problems)
    _hold_policy_back(found, documents, keep=keep_policy)
    return found


def _hold_policy_back(found: Difference, documents: Iterable[Document], *, keep: bool) -> None:
    """Take a policy that differs from the one in force out of what is written: it needs signatures."""
    held = [each for each in documents if each.kind == "Policy" and policies.differs_from_force(each)]
    names = {each.name for each in held}
    for place in (found.added, found.changed, found.reformatted):
        for change in [each for each in place if each.kind == "Policy" and each.name in names]:
            place.remove(change)
            (found.waiting if keep or policies.is_awaited() else found.proposed).append(change)


def _orphans(found: Difference, documents: list[Document], remaining: Mapping[Key, Stored]) -> list[Problem]:
    """Documents that stay, from other folders, and name one that would be removed."""
    if not found.removed:
        return []
    loaded = {(each.kind, each.name) for each in documents}
    others = [
        Document(f"{each.root}/{each.file}", each.position, 1, value=each.source)
        for key, each in remaining.items()
        if key not in loaded
    ]
    return problems_between([*others, *documents], {})


def _write(documents: Iterable[Document], found: Difference, *, actor: Actor) -> None:
    wanted = {(each.kind, each.name): each for each in documents}
    touched = {(each.kind, each.name) for each in (*found.added, *found.changed)}
    for key in sorted(touched, key=lambda key: KINDS.index(key[0])):
        if key[0] == "Policy":
            policies.load(wanted[key], actor=actor)
        elif key[0] != "Service":
            WRITERS[key[0]](wanted[key])
    # A dependency may be on a service of the same load: links between rows need all rows first.
    for key in sorted(key for key in touched if key[0] == "Service"):
        _write_service(wanted[key])
    for each in sorted(found.removed, key=lambda each: -KINDS.index(each.kind)):
        _remove(each)
    kept = [wanted[each.kind, each.name] for each in (*found.added, *found.changed, *found.reformatted)]
    _keep(kept, root=found.root)
    rights.grant()
    for each in found.proposed:
        policies.propose_document(wanted[each.kind, each.name], root=found.root, actor=actor)
    before, after = _entry(found)
    record("catalog.loaded", actor=actor, subject=("catalog", found.root), before=before, after=after)


def _entry(found: Difference) -> tuple[dict[str, Any], dict[str, Any]]:
    before: dict[str, Any] = {}
    after: dict[str, Any] = {"added": _names(found.added), "removed": _names(found.removed)}
    for each in found.changed:
        name = f"{each.kind} {each.name}"
        before[name] = {change.path: change.before for change in each.fields}
        after[name] = {change.path: change.after for change in each.fields}
    if found.proposed:
        after["proposed"] = _names(found.proposed)
    if found.reformatted:
        after["reformatted"] = _names(found.reformatted)
    return before, {key: value for key, value in after.items() if value}


def _names(changes: Iterable[Change]) -> list[str]:
    return [f"{each.kind} {each.name}" for each in changes]


def _keep(documents: Iterable[Document], *, root: str) -> None:
    rows = [
        StoredDocument(
            kind=each.kind,
            name=each.name,
            root=root,
            file=each.file,
            position=each.position,
            text=each.text,
            source=each.value,
        )
        for each in documents
    ]
    StoredDocument.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["kind", "name"],
        update_fields=["root", "file", "position", "text", "source"],
    )


def _named(document: Document) -> dict[str, Any]:
    return {"title": document.value["metadata"].get("title", ""), "source": document.value}


def _write_team(document: Document) -> None:
    values = _named(document)
    values["title"] = values["title"] or document.name
    Team.objects.update_or_create(key=document.name, defaults=values)


def _write_connection(document: Document) -> None:
    values = {**_named(document), "kind": document.spec["kind"], "spec": document.spec}
    Connection.objects.update_or_create(name=document.name, defaults=values)


def _write_environment(document: Document) -> None:
    spec = document.spec
    values = {
        **_named(document),
        "system": spec["system"],
        "stage": spec["stage"],
        "cluster": Connection.objects.get(name=spec["cluster"]),
        "cluster_group": spec.get("clusterGroup", "default"),
        "namespace": spec["namespace"],
        "protected": spec.get("protected", spec["stage"] == Stage.PRODUCTION),
        "spec": spec,
    }
    Environment.objects.update_or_create(name=document.name, defaults=values)


def _write_service(document: Document) -> None:
    spec = document.spec
    values = {
        **_named(document),
        "team": Team.objects.get(key=spec["team"]),
        "system": spec["system"],
        "core": spec.get("core", False),
        "image": spec["image"],
        "spec": spec,
    }
    service, _made = Service.objects.update_or_create(name=document.name, defaults=values)
    service.environments.set(Environment.objects.filter(name__in=spec["environments"]))


def _write_plan(document: Document) -> None:
    spec = document.spec
    values = {**_named(document), "strategy": spec.get("strategy", "rolling"), "spec": spec}
    plan, _made = Plan.objects.update_or_create(name=document.name, defaults=values)
    plan.environments.set(Environment.objects.filter(name__in=spec["environments"]))


def _write_checklist(document: Document) -> None:
    values = {**_named(document), "spec": document.spec}
    checklist, made = Checklist.objects.get_or_create(name=document.name, defaults=values)
    if made:
        return
    if checklist.spec != document.spec:
        values["version"] = checklist.version + 1
    Checklist.objects.filter(pk=checklist.pk).update(**values)


WRITERS: dict[str, Callable[[Document], None]] = {
    "Team": _write_team,
    "Connection": _write_connection,
    "Environment": _write_environment,
    "Checklist": _write_checklist,
    "Plan": _write_plan,
}
ROWS: dict[
    str, type[Team] | type[Connection] | type[Environment] | type[Service] | type[Checklist] | type[Plan]
] = {
    "Team": Team,
    "Connection": Connection,
    "Environment": Environment,
    "Service": Service,
    "Checklist": Checklist,
    "Plan": Plan,
}


def _remove(change: Change) -> None:
    lookup = {"key": change.name} if change.kind == "Team" else {"name": change.name}
    try:
        ROWS[change.kind].objects.filter(**lookup).delete()
    except ProtectedError:
        text = _("{kind} {name} is in use and cannot be removed.")
        raise Conflict(text.format(kind=change.kind, name=change.name)) from None
    StoredDocument.objects.filter(kind=change.kind, name=change.name).delete()
