"""Each look at a namespace: what runs is written down, compared with what should, and differences are found.

The watcher calls `look` with what it read; where it could not read, nothing is called and nothing is found.
"""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q

from portal import clock
from portal.actors import Actor
from portal.audit.record import record
from portal.integrations.kubernetes.workloads import last_change_of
from portal.live.publish import touch
from portal.transitions import move
from releases.catalog.models import Environment, Running, Service
from releases.models import Item
from releases.operating import OperationKind
from releases.rollouts import queries
from releases.rollouts.findings import notices
from releases.rollouts.findings.differences import (
    BOUNDS,
    CONTENT,
    IMAGE,
    MISSING,
    RECREATED,
    REPLICAS,
    SELECTOR,
    Difference,
    differences,
    mark_of,
    read,
)
from releases.rollouts.images import accepted_digests, digest_of
from releases.rollouts.models import Finding, Rollout
from releases.rollouts.running import DEGRADED, HEALTHY, View, foreign_before, write_running
from releases.rollouts.states import ACTIVE, STANDING, FindingState, RolloutState

Json = dict[str, Any]
WATCHER = Actor.portal("watcher")
# Only here is everything in its place that a change brings along.
SETTLED = frozenset({HEALTHY, DEGRADED})
# After these what the rollout approved is noted by itself; after others it may have come half-way.
NOTED = frozenset({RolloutState.SUCCEEDED, RolloutState.ROLLED_BACK})
# By the kind of difference: the field whose last writer is named.
FIELDS = {
    IMAGE: "template.spec.containers",
    CONTENT: "template.spec.containers",
    REPLICAS: "replicas",
    SELECTOR: "selector",
    BOUNDS: "maxReplicas",
}
# What of a workload another size changes.
SIZES = ("replicas", "autoscaler")


def look(environment: Environment, view: View, *, age_seconds: float = 0.0) -> None:
    """Write down what runs in an environment, and open, change or end its findings.

    Args:
        age_seconds: how long ago it was begun to read the view; what a rollout did since is not in it.
    """
    services = list(environment.services.all())
    rows = write_running(environment, services, view)
    standing = Finding.objects.filter(environment=environment, state__in=STANDING)
    open_ones = {each.service_id: each for each in standing.select_related("service")}
    moving = _moving(environment, age_seconds)
    for service in [each for each in services if each.pk not in moving]:
        row = rows[service.pk]
        if service.pk in open_ones or _is_incomplete(row) or _differences(service, row):
            _judge(environment, service, view)
    for finding in open_ones.values():
        if finding.service not in services:
            end(finding)


def _moving(environment: Environment, seconds: float) -> set[int]:
    """The services in a rollout that goes on, or did so many seconds ago: it explains what is seen."""
    lately = Q(ended_at__gte=clock.NOW - timedelta(seconds=seconds))
    going = Rollout.objects.filter(
        lately | Q(state__in=[*ACTIVE, RolloutState.PAUSED]), environment=environment
    )
    return set(Item.objects.filter(release__in=going.values("release")).values_list("service_id", flat=True))


def _differences(service: Service, row: Running) -> list[Difference]:
    return differences(row.expected or {}, row.seen, scale=service.scale)


def _is_incomplete(row: Running) -> bool:
    """Whether something is seen, and settled, that nothing was expected of yet."""
    should = (row.expected or {}).get("workloads")
    now = row.seen.get("workloads") or {}
    return row.seen.get("health") in SETTLED and (should is None or not now.keys() <= should.keys())


def _judge(environment: Environment, service: Service, view: View) -> None:
    """Compare again under lock; a rollout that is not over explains whatever is seen."""
    with transaction.atomic():
        row = Running.objects.select_for_update().get(service=service, environment=environment)
        if queries.moving_at(row) is not None:
            return
        found = _differences(service, row)
        if found and _takes_account(row, service):
            found = _differences(service, row)
        if _is_incomplete(row) and not found:
            expect_seen(row)
        _settle(row, service, [_with_writer(each, view) for each in found])


def expect_seen(row: Running, *, anew: bool = False) -> None:
    """Expect from now on what is seen, where nothing was expected so far.

    Args:
        anew: forget what was expected; somebody has decided that this is right.
    """
    should: Json = {} if anew else dict(row.expected or {})
    digests = {*row.seen["digests"], *map(digest_of, row.seen["images"].values())} - {""}
    if not should.get("digests"):
        should |= {"digests": sorted(digests), "looked": True}
    should["workloads"] = {**row.seen["workloads"], **(should.get("workloads") or {})}
    should["selectors"] = {**row.seen["selectors"], **(should.get("selectors") or {})}
    should["rollout"] = max(should.get("rollout", 0), _newest_rollout(row))
    row.expected = should
    row.save(update_fields=["expected"])


def _newest_rollout(row: Running) -> int:
    last = _last_rollout(row)
    return last.pk if last else 0


def _last_rollout(row: Running) -> Rollout | None:
    """The newest rollout that changed the service here, or may have."""
    acted = {"steps__service": row.service_id, "steps__intent__isnull": False}
    return Rollout.objects.filter(environment=row.environment_id, **acted).order_by("-pk").first()


def _takes_account(row: Running, service: Service) -> bool:
    """Let what a rollout left that ended since be expected; False where there was none.

    One that was stopped or failed half-way put there what was approved as well. An operation explains no more
    than the size that it gave.
    """
    last = _last_rollout(row)
    if last is None or last.pk <= row.expected.get("rollout", 0):
        return False
    if last.release.operation:
        _take_size(row, str(last.release.operation.get("workload", "")), kind=last.release.operation["kind"])
        row.expected |= {"rollout": last.pk}
        row.save(update_fields=["expected"])
        return True
    digests = set(row.expected.get("digests") or ())
    if last.state not in NOTED:
        for item in last.release.items.filter(service=service).select_related("service"):
            digests |= accepted_digests(item)
    row.expected = {"digests": sorted(digests), "rollout": last.pk, **foreign_before(row)}
    row.save(update_fields=["expected"])
    return True


def _take_size(row: Running, workload: str, *, kind: str) -> None:
    """Expect the size and the bounds that are seen of a workload which an operation has scaled."""
    should, seen = row.expected.get("workloads") or {}, row.seen.get("workloads") or {}
    for name in should.keys() & seen.keys() if kind == OperationKind.SCALE else ():
        if name.partition("/")[2] == workload and should[name] and seen[name]:
            should[name] |= {key: seen[name][key] for key in SIZES if key in seen[name]}


def _settle(row: Running, service: Service, found: list[Difference]) -> None:
    standing = Finding.objects.select_for_update().filter(
        service=service, environment=row.environment_id, state__in=STANDING
    )
    finding = standing.first()
    if finding is None:
        if found:
            _open(row, service, found)
    elif not found:
        end(finding)
    elif finding.state == FindingState.EXPLAINED:
        # Part of it may be gone; what nobody has explained is another finding.
        if not {each.what for each in found} <= {each.what for each in read(finding.differences)}:
            end(finding)
            _open(row, service, found)
    elif finding.mark != mark_of(found):
        _change(finding, found)


def _open(row: Running, service: Service, found: list[Difference]) -> None:
    now = clock.now()
    finding = Finding.objects.create(
        service=service,
        environment=row.environment,
        differences=[each.as_json for each in found],
        mark=mark_of(found),
        opened_at=now,
        changed_at=now,
    )
    _note(finding, "finding.opened")
    notices.tell_found(finding)


def _change(finding: Finding, found: list[Difference]) -> None:
    before = finding.differences
    finding.differences = [each.as_json for each in found]
    finding.mark, finding.changed_at = mark_of(found), clock.now()
    finding.save(update_fields=["differences", "mark", "changed_at"])
    _note(finding, "finding.changed", before={"differences": before})
    notices.touch_deciders(finding)


def _note(finding: Finding, action: str, *, before: Json | None = None) -> None:
    record(
        action,
        actor=WATCHER,
        subject=("finding", str(finding.pk)),
        before=before,
        after={"environment": finding.environment.name, "differences": finding.differences},
        service=finding.service.name,
    )
    touch(f"board.{finding.environment.name}", data={"service": finding.service.name})


def end(finding: Finding) -> None:
    """The difference is over, or the service is here no more; what was explained stays so in the record."""
    with transaction.atomic():
        finding.ended_at = clock.now()
        name = finding.service.name
        move(finding, FindingState.ENDED, actor=WATCHER, fields=["ended_at"], service=name)
        touch(f"board.{finding.environment.name}", data={"service": name})
        notices.touch_deciders(finding)


def _with_writer(found: Difference, view: View) -> Difference:
    """Name who last wrote the field that differs, and when, as far as the cluster knows."""
    body = _object(found, view)
    if body is None or found.code == MISSING:
        return found
    if found.code == RECREATED:
        written = ("", body["metadata"].get("creationTimestamp") or "")
    else:
        written = last_change_of(body, FIELDS[found.code])
    return Difference(**{**found.as_json, "manager": written[0], "at": written[1]})


def _object(found: Difference, view: View) -> Json | None:
    """The object that the difference is written in."""
    kind, _slash, name = found.object.partition("/")
    if found.code == SELECTOR:
        return _named(view.services or [], name)
    if found.code == BOUNDS:
        return _scaler_of(view.autoscalers or [], kind, name)
    return view.workloads.get((kind, name))


def _named(bodies: Iterable[Json], name: str) -> Json | None:
    return next((each for each in bodies if each["metadata"]["name"] == name), None)


def _scaler_of(bodies: Iterable[Json], kind: str, name: str) -> Json | None:
    for each in bodies:
        target = each["spec"].get("scaleTargetRef") or {}
        if (target.get("kind"), target.get("name")) == (kind, name):
            return each
    return None
