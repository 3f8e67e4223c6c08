"""Environments in a row: where the images of a release are, and what the one before must have shown.

A row goes by `after` of the environments' files, such as dev, staging, beta, production (product.md, "A
release's life"). The same images are carried along it: what counts is the digest, never the tag.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from approvals import grades
from portal.people.models import Role
from portal.sentences import Text, sentence
from releases.catalog.models import Environment, Running, Stage
from releases.models import Check, CheckResult, Item, Release
from releases.states import ReleaseState

S = ReleaseState
# A rollout there was verified and not taken back.
PROVEN = frozenset({S.AWAITING_SIGNOFF, S.SWITCHING, S.ANNOUNCED, S.CLOSED})
# States of a rollout that proves nothing; a release can be closed after each of them.
UNPROVEN = frozenset({"failed", "stopped", "rolled_back", "rollback_failed"})
AWAITS_QA = """
SELECT 1 FROM catalog_environment
WHERE spec #>> '{after,environment}' = %s AND spec #> '{after,qa}' = 'true'::jsonb LIMIT 1
"""
ANSWERED = (CheckResult.DONE, CheckResult.NOT_APPLICABLE)


@dataclass(frozen=True, kw_only=True)
class Place:
    """An item of a release in one environment of its row.

    Attributes:
        version: what runs there; "" where nothing was seen.
        same: whether it is the very image of the release.
        since: since when that runs; None where it is unknown.
        release: the number of the release that brought it, if one did.
    """

    service: str
    version: str
    same: bool
    since: datetime | None
    release: int | None


@dataclass(frozen=True, kw_only=True)
class Station:
    """An environment of the row with the release's items in it."""

    environment: Environment
    places: Sequence[Place]
    is_here: bool

    @property
    def arrived(self) -> int:
        """How many items run here as the release has them."""
        return sum(place.same for place in self.places)


def of(release: Release, user_environments: QuerySet[Environment]) -> list[Station]:
    """The row of the release's environment with what runs in each; empty where it stands alone.

    Args:
        user_environments: those that the reader may see; others are left out.
    """
    row = row_of(release.environment, user_environments)
    if len(row) < 2:
        return []
    items = list(release.items.select_related("service"))
    services = [item.service_id for item in items]
    running = {
        (each.environment_id, each.service_id): each
        for each in Running.objects.filter(environment__in=row, service__in=services)
    }
    return [
        Station(
            environment=environment,
            places=[
                _place(item, running[environment.pk, item.service_id])
                for item in items
                if (environment.pk, item.service_id) in running
            ],
            is_here=environment == release.environment,
        )
        for environment in row
    ]


def in_rows(environments: Iterable[Environment]) -> list[Environment]:
    """The environments of a system in the order of its rows: what follows stands behind what it follows.

    Where no order is said, development comes before staging and production.
    """
    left = {each.name: each for each in environments}
    first = [each for each in left.values() if before_of(each) not in left]
    ordered: list[Environment] = []
    for start in sorted(first, key=_by_stage):
        _follow(start, left, ordered)
    return ordered


def _follow(environment: Environment, among: dict[str, Environment], ordered: list[Environment]) -> None:
    ordered.append(environment)
    following = [each for each in among.values() if before_of(each) == environment.name]
    for each in sorted(following, key=_by_stage):
        _follow(each, among, ordered)


def _by_stage(environment: Environment) -> tuple[int, str]:
    """Production last, as in a row."""
    return -Stage.values.index(environment.stage), environment.name


def row_of(environment: Environment, among: Iterable[Environment]) -> list[Environment]:
    """The environments before this one, itself, and those after it, in their order; forks and all."""
    by_name = {each.name: each for each in among if each.system == environment.system}
    before: list[Environment] = []
    name = before_of(environment)
    while name in by_name and by_name[name] not in before:
        before.insert(0, by_name[name])
        name = before_of(by_name[name])
    after: list[Environment] = []
    reached = {environment.name}
    while found := [each for each in by_name.values() if before_of(each) in reached and each not in after]:
        after += sorted(found, key=lambda each: each.name)
        reached = {each.name for each in found}
    return [*before, environment, *after]


def before_of(environment: Environment) -> str:
    """The name of the environment before this one; "" where it is the first."""
    return str((environment.spec.get("after") or {}).get("environment", ""))


def onward(release: Release, user_environments: QuerySet[Environment]) -> list[Environment]:
    """Where its images can be carried next: the environments right after its own in which a service runs.

    An operation has none to carry.
    """
    if release.operation:
        return []
    services = release.items.values("service")
    candidates = user_environments.filter(services__in=services).distinct().order_by("name")
    return [each for each in candidates if before_of(each) == release.environment.name]


def missing_before(release: Release) -> list[Text]:
    """What the environment before has not shown yet of these images, in sentences; an emergency goes first.

    Services that do not run there are not asked for, and nothing of what runs here already.
    """
    if release.operation or release.grade == grades.EMERGENCY:
        return []
    items = release.items.select_related("service").order_by("position", "pk")
    found = held_back(items, release.environment)
    return list(dict.fromkeys(text for texts in found.values() for text in texts))


def held_back(items: Iterable[Item], target: Environment) -> dict[int, list[Text]]:
    """By item what the environment before the target has not shown yet of its image, in sentences.

    Args:
        items: with their services; those that do not run in that environment are not asked for.
    """
    asked: dict[str, Any] = target.spec.get("after") or {}
    if not (asked.get("ran") or asked.get("qa")):
        return {}
    before = Environment.objects.filter(name=asked["environment"]).first()
    if before is None:
        return {}
    there = set(before.services.values_list("pk", flat=True))
    concerned = [item for item in items if item.service_id in there]
    proofs = _proofs(concerned, before)
    untested = _untested(set(proofs.values()), before) if asked.get("qa") else {}
    return {item.pk: _lacking(item, proofs, untested, before) for item in concerned}


def _lacking(
    item: Item, proofs: dict[tuple[int, str], int], untested: dict[int, Text], before: Environment
) -> list[Text]:
    number = proofs.get((item.service_id, item.digest))
    if number is None:
        return [_unseen(item, before)]
    return [untested[number]] if number in untested else []


def _proofs(items: Iterable[Item], before: Environment) -> dict[tuple[int, str], int]:
    """By service and digest the newest release that brought this very image to that environment.

    One that was closed after it had failed brought nothing, and of a service that was skipped none did.
    """
    wanted = {(item.service_id, item.digest) for item in items if item.digest}
    same = Item.objects.filter(
        service__in={service for service, _digest in wanted},
        digest__in={digest for _service, digest in wanted},
        release__environment=before,
        release__state__in=PROVEN,
    )
    rows = same.order_by("release", "release__rollouts").values_list(
        "service",
        "digest",
        "release",
        "service__name",
        "release__rollouts__state",
        "release__rollouts__verdict",
    )
    return {
        (service, digest): number
        for service, digest, number, name, state, verdict in rows
        if (service, digest) in wanted and state not in UNPROVEN and _was_put(name, verdict)
    }


def _was_put(service: str, verdict: dict[str, Any] | None) -> bool:
    """Whether the rollout found what was approved in all of a service, as far as it looked."""
    found = (verdict or {}).get("services") or []
    return all(each["ok"] for each in found if each["service"] == service)


def _unseen(item: Item, before: Environment) -> Text:
    text = _("{service} {version} did not go out to {environment} yet, or was taken back there.")
    return sentence(text, service=item.service, version=item.version, environment=before)


def _untested(numbers: Collection[int], before: Environment) -> dict[int, Text]:
    """By release what QA has not answered there."""
    checks = Check.objects.filter(release__in=numbers, role=Role.QA, required=True)
    results: dict[int, list[str]] = {number: [] for number in sorted(numbers)}
    for number, result in checks.values_list("release", "result"):
        results[number].append(result)
    sentences = {number: _qa_sentence(number, found, before) for number, found in results.items()}
    return {number: text for number, text in sentences.items() if text is not None}


def _qa_sentence(number: int, results: Collection[str], before: Environment) -> Text | None:
    if not results:
        text = _("QA was not asked about #{number} in {environment}: its checklist has no item for QA.")
        return sentence(text, number=number, environment=before)
    open_now = sum(result not in ANSWERED for result in results)
    if not open_now:
        return None
    text = _("QA has {count} open items at #{number} in {environment}.")
    return sentence(text, count=open_now, number=number, environment=before)


def qa_checks(release: Release) -> list[Check]:
    """The items of a release's checklist that QA must answer."""
    return list(release.checks.filter(role=Role.QA, required=True))


def waits_for_qa(release: Release) -> bool:
    """Whether what follows in the row waits for QA's answers here."""
    return leads_to_qa(release) and any(check.result not in ANSWERED for check in qa_checks(release))


def leads_to_qa(release: Release) -> bool:
    """Whether an environment that follows asks for QA's answers in this one."""
    with connection.cursor() as cursor:
        cursor.execute(AWAITS_QA, [release.environment.name])
        return cursor.fetchone() is not None


def _place(item: Item, row: Running) -> Place:
    same = bool(set(row.seen.get("digests") or []) & {*item.accepted, item.digest})
    return Place(
        service=item.service.name,
        version=str(row.seen.get("version") or ""),
        same=same,
        since=row.since,
        release=row.release,
    )
