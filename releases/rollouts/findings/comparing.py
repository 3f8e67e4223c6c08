"""Each look at a namespace: what runs is written down, compared with what should, and differences are found.

The watcher calls `look` with what it read; where it could not read, nothing is called and nothing is found.
"""

from collections.abc import Iterable
from typing import Any

from django.db import transaction

from portal import clock
from portal.actors import Actor
from portal.audit.record import record
from portal.integrations.kubernetes.workloads import last_change_of
from portal.live.publish import publish, touch
from portal.statements import Given, Question, save
from portal.transitions import move
from releases.catalog.models import Environment, Running
from releases.operating import OperationKind
from releases.rollouts import queries
from releases.rollouts.findings import notices
from releases.rollouts.findings.differences import (
    BOUNDS,
    CONTENT,
    IMAGE,
    MISSING,
    OF_IMAGES,
    RECREATED,
    REPLICAS,
    SELECTOR,
    Difference,
    differences,
    mark_of,
    read,
)
from releases.rollouts.findings.explaining import (
    digests_of,
    may_change,
    recorded_images,
    rollouts_since,
    unexplained,
    untouched,
)
from releases.rollouts.images import digest_of
from releases.rollouts.kept import Kept, kept_in
from releases.rollouts.models import Finding, Rollout
from releases.rollouts.running import DEGRADED, HEALTHY, View, foreign_before, write_running
from releases.rollouts.states import STANDING, FindingState, RolloutState

Json = dict[str, Any]
WATCHER = Actor.portal("watcher")
# Only here is everything in its place that a change brings along.
SETTLED = frozenset({HEALTHY, DEGRADED})
# After these what the rollout approved is noted by itself; after others it may have come half-way.
NOTED = frozenset({RolloutState.SUCCEEDED, RolloutState.ROLLED_BACK})
# By the kind of difference: the field whose last writer is named.
FIELDS = {
    IMAGE: "template.spec.containers.*.image",
    CONTENT: "template.spec.containers",
    REPLICAS: "replicas",
    SELECTOR: "selector",
    BOUNDS: "maxReplicas",
}
# What of a workload another size changes.
SIZES = ("replicas", "autoscaler")
# After each rollout all this is asked of each of its services.
ROW = Question(
    lambda: (
        Running.objects.select_for_update(of=("self",))
        .select_related("service", "environment")
        .defer("service__source", "environment__source")
        .filter(service=Given("service"), environment=Given("environment"))
    )
)
LAST = Question(
    lambda: Rollout.objects.filter(
        environment=Given("environment"), steps__service=Given("service"), steps__intent__isnull=False
    ).order_by("-pk")[:1]
)
STANDS = Question(
    lambda: Finding.objects.select_for_update().filter(
        service=Given("service"), environment=Given("environment"), state__in=sorted(STANDING)
    )
)


def look(environment: Environment, view: View, *, age_seconds: float = 0.0) -> None:
    """Write down what runs in an environment, and open, change or end its findings.

    Args:
        age_seconds: how long ago it was begun to read the view; what a rollout did since is not in it.
    """
    kept = kept_in(environment, age_seconds=age_seconds)
    here = [each for each in kept if each.is_here]
    write_running(environment, here, view)
    for service in here:
        # A view that is older than the end of a rollout shows neither what it left nor what came after it.
        if not service.ended and (service.finding or _may_differ(service)):
            _judge(environment, service, view)
    for finding in [each.finding for each in kept if each.finding and not each.is_here]:
        _end_of_stranger(finding)


def _may_differ(service: Kept) -> bool:
    """Whether it is worth asking under lock; what a rollout brings is most of what is seen beside it."""
    expected, digests = service.expected, service.expected.get("digests")
    if service.brought is None:
        return _is_incomplete(service) or bool(_differences(service, expected))
    known = {**expected, "digests": [*digests, *service.brought]} if digests else expected
    return bool(_differences(service, known))


def _differences(service: Kept, expected: Json) -> list[Difference]:
    return differences(expected, service.seen, scale=service.scale)


def _is_incomplete(known: Kept | Running) -> bool:
    """Whether something is seen, and settled, that nothing was expected of yet."""
    should = known.expected.get("workloads")
    now = known.seen.get("workloads") or {}
    is_read = should is not None and all(name in should and _is_read(should[name]) for name in now)
    return known.seen.get("health") in SETTLED and not is_read


def _is_read(should: Json | None) -> bool:
    """Whether its images were read since the last rollout; None where the workload was not there."""
    return should is None or "images" in should


def _judge(environment: Environment, service: Kept, view: View) -> None:
    """Compare again under lock; the steps of a rollout are read then, which are noted before they act."""
    with transaction.atomic():
        (row,) = ROW.ask(service=service.id, environment=environment.pk)
        rollout = queries.moving_at(row)
        if rollout is not None:
            _judge_beside(rollout, row, view)
            return
        found = _found(row)
        if found and _takes_account(row):
            found = _found(row)
        if view.is_whole and _is_incomplete(row) and not any(each.code in OF_IMAGES for each in found):
            expect_seen(row)
        _settle(row, [_with_writer(each, view) for each in found])


def _judge_beside(rollout: Rollout, row: Running, view: View) -> None:
    """Compare beside a rollout that is not over: what it explains is neither opened nor ended.

    What was found before it and it has covered may come back when it is rolled back.
    """
    found = [_with_writer(each, view) for each in unexplained(row, rollout)]
    done = _settle(row, _with_covered(found, row, rollout))
    if done is not None:
        publish(rollout.topic, f"rollout.finding_{done}", {"service": row.service.name})


def _with_covered(found: list[Difference], row: Running, rollout: Rollout) -> list[Difference]:
    """Add what was found before a rollout that stands, and cannot be seen for what the rollout did."""
    standing = _standing(row)
    older = any(each.opened_at < rollout.queued_at for each in standing)
    covers = may_change(row, rollout) if older else frozenset()
    recorded = recorded_images(row, rollout) if standing else frozenset()
    present = {each.what: each for each in found}
    before = [each for finding in standing for each in read(finding.differences)]
    stays = [
        present.pop(each.what, each)
        for each in before
        if each.what in present or (_ran(each, recorded) if each.code in OF_IMAGES else each.code in covers)
    ]
    return [*stays, *present.values()]


def _ran(found: Difference, recorded: frozenset[str]) -> bool:
    """Whether a foreign image ran before a rollout already, so that a way back brings it back."""
    return not recorded.isdisjoint({*found.found.split(", "), digest_of(found.found)})


def _found(row: Running) -> list[Difference]:
    return differences(row.expected, row.seen, scale=row.service.scale)


def expect_seen(row: Running, *, anew: bool = False) -> None:
    """Expect from now on what is seen, where nothing was expected so far.

    Args:
        anew: forget what was expected; somebody has decided that this is right.
    """
    should: Json = {} if anew else dict(row.expected or {})
    digests = {*row.seen["digests"], *map(digest_of, row.seen["images"].values())} - {""}
    if not should.get("digests"):
        should |= {"digests": sorted(digests), "looked": True}
    known = should.get("workloads") or {}
    seen = {name: _completed(known.get(name, now), now) for name, now in row.seen["workloads"].items()}
    should["workloads"] = {**known, **seen}
    should["selectors"] = {**row.seen["selectors"], **(should.get("selectors") or {})}
    should["rollout"] = max(should.get("rollout", 0), _newest_rollout(row))
    row.expected = should
    save(row, ["expected"])


def _completed(should: Json | None, now: Json | None) -> Json | None:
    return {**now, **should} if should and now else should


def _newest_rollout(row: Running) -> int:
    last = _last_rollout(row)
    return last.pk if last else 0


def _last_rollout(row: Running) -> Rollout | None:
    """The newest rollout that changed the service here, or may have."""
    found = LAST.ask(environment=row.environment_id, service=row.service_id)
    return found[0] if found else None


def _takes_account(row: Running) -> bool:
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
        save(row, ["expected"])
        return True
    digests = set(row.expected.get("digests") or ())
    if last.state not in NOTED:
        # Others before it may have come half-way as well, and were never over.
        digests |= digests_of(row, rollouts_since(row, last))
    known = {**untouched(row, last), **foreign_before(row)}
    row.expected = {"digests": sorted(digests), "rollout": last.pk, **known}
    save(row, ["expected"])
    return True


def _take_size(row: Running, workload: str, *, kind: str) -> None:
    """Expect the size and the bounds that are seen of a workload which an operation has scaled."""
    should, seen = row.expected.get("workloads") or {}, row.seen.get("workloads") or {}
    for name in should.keys() & seen.keys() if kind == OperationKind.SCALE else ():
        if name.partition("/")[2] == workload and should[name] and seen[name]:
            should[name] |= {key: seen[name][key] for key in SIZES if key in seen[name]}


def _settle(row: Running, found: list[Difference]) -> str | None:
    """Open, change or end what stands there; returns which of these, None where it is as it was."""
    standing = _standing(row)
    finding = standing[0] if standing else None
    if finding is None:
        return _open(row, found) if found else None
    if not found:
        return end(finding)
    if finding.state == FindingState.EXPLAINED:
        # Part of it may be gone; what nobody has explained is another finding.
        if {each.what for each in found} <= {each.what for each in read(finding.differences)}:
            return None
        end(finding)
        return _open(row, found)
    return _change(finding, found) if finding.mark != mark_of(found) else None


def _standing(row: Running) -> list[Finding]:
    """The one that stands, under lock, where one does."""
    return STANDS.ask(service=row.service_id, environment=row.environment_id)


def _open(row: Running, found: list[Difference]) -> str:
    now = clock.now()
    finding = Finding.objects.create(
        service=row.service,
        environment=row.environment,
        differences=[each.as_json for each in found],
        mark=mark_of(found),
        opened_at=now,
        changed_at=now,
    )
    _note(finding, "finding.opened")
    notices.tell_found(finding)
    return "opened"


def _change(finding: Finding, found: list[Difference]) -> str:
    before = finding.differences
    finding.differences = [each.as_json for each in found]
    finding.mark, finding.changed_at = mark_of(found), clock.now()
    finding.save(update_fields=["differences", "mark", "changed_at"])
    _note(finding, "finding.changed", before={"differences": before})
    notices.touch_deciders(finding)
    return "changed"


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


def _end_of_stranger(pk: int) -> None:
    """End the finding of a service that has left the environment, unless somebody settled it meanwhile."""
    with transaction.atomic():
        rows = Finding.objects.select_for_update(of=("self",)).select_related("service", "environment")
        finding = rows.filter(pk=pk, state__in=STANDING).first()
        if finding is not None:
            end(finding)


def end(finding: Finding) -> str:
    """The difference is over, or the service is here no more; what was explained stays so in the record."""
    with transaction.atomic():
        finding.ended_at = clock.now()
        name = finding.service.name
        move(finding, FindingState.ENDED, actor=WATCHER, fields=["ended_at"], service=name)
        touch(f"board.{finding.environment.name}", data={"service": name})
        notices.touch_deciders(finding)
    return "ended"


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
