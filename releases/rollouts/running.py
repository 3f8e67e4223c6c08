"""What runs where, for the board: read from a namespace's objects, written only when it changed."""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

from django.db import connection

from portal import clock
from portal.holding import as_json
from portal.integrations.kubernetes.rollout_status import Progress, judge
from portal.integrations.kubernetes.workloads import DAEMON_SET, Workload, container_statuses
from portal.live.publish import touch
from portal.statements import Given, Question
from releases.announcement import LeftOut
from releases.catalog.models import Environment, Running, Service
from releases.items import items_of
from releases.models import Release
from releases.rollouts.findings.differences import OF_IMAGES, read
from releases.rollouts.findings.explaining import untouched
from releases.rollouts.images import accepted_digests, digest_of, recorded_digests
from releases.rollouts.kept import Kept
from releases.rollouts.models import Finding, Rollout, Step
from releases.rollouts.states import STANDING, Direction, StepState
from releases.rollouts.steps.colours import colours_with_traffic, selector_of
from releases.rollouts.tables import GIVES_BACK, RELEASING
from releases.rollouts.verification import wrote_nothing

Json = dict[str, Any]
Objects = Mapping[tuple[str, str], Json]
# While these are the same, so is the version: an update changes at least the last.
NAMED_BY = ("images", "digests", "generation")
# The newest item with such a digest; nodes report the platform's, which is among those accepted for the index
# that was released. An operation takes all that it finds, of several versions where it finds several, and
# names none.
VERSION = """
SELECT item.version FROM releases_item AS item
JOIN releases_release AS release ON release.number = item.release_id
WHERE item.service_id = %s AND release.operation = '{}' AND (item.digest = ANY(%s) OR item.accepted ?| %s)
ORDER BY item.id DESC LIMIT 1
"""
WRITE = """
UPDATE catalog_running
SET seen = %s::jsonb, seen_at = clock_timestamp(), since = CASE WHEN %s THEN clock_timestamp() ELSE since END
WHERE id = %s
"""
STILL_SEEN = "UPDATE catalog_running SET seen_at = clock_timestamp() WHERE environment_id = %s"
EXPECT = """
INSERT INTO catalog_running (service_id, environment_id, release, seen, expected)
SELECT service, %s, %s::bigint, '{}'::jsonb, expected
FROM json_to_recordset(%s) AS (service bigint, expected jsonb) ORDER BY service
ON CONFLICT (service_id, environment_id)
DO UPDATE SET expected = EXCLUDED.expected, release = EXCLUDED.release
"""
# Also a canary that stands at one of its own steps is on its way.
MOVING = frozenset({"observed", "updated", "old_pods", "promotion", "pause"})
HEALTHY, PROGRESSING, DEGRADED, UNKNOWN = "healthy", "progressing", "degraded", "unknown"

_FINDINGS = Question(
    lambda: Finding.objects.filter(
        environment=Given("environment"), service__pk__among=Given("services"), state__in=sorted(STANDING)
    )
)
_PRESENT = Question(
    lambda: Running.objects.filter(environment=Given("environment"), service__pk__among=Given("services"))
)
_SKIPPED = Question(
    lambda: Step.objects.only("key").filter(rollout=Given("rollout"), state=StepState.SKIPPED)
)


class Catalogued(Protocol):
    """A service, as far as a look needs it: a row of the catalog, or what is kept of one."""

    @property
    def id(self) -> int:
        """Its key."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def spec(self) -> Json:
        """What the catalog says of it."""


@dataclass(frozen=True)
class View:
    """A namespace at one moment: workloads by (kind, name), and its pods.

    Autoscalers and Services are None where they were not looked at, or may not be.

    Attributes:
        is_whole: whether all was looked at that may be.
    """

    workloads: Objects
    pods: list[Json]
    autoscalers: list[Json] | None = None
    services: list[Json] | None = None
    is_whole: bool = True

    @cached_property
    def reports(self) -> list[tuple[Json, list[tuple[str, str]]]]:
        """What nodes report of the pods that stay: labels, and digests with the container's name."""
        return [
            (pod["metadata"].get("labels") or {}, reported_by(pod))
            for pod in self.pods
            if not pod["metadata"].get("deletionTimestamp")
        ]


def write_running(environment: Environment, services: Iterable[Kept], view: View) -> None:
    """Bring the rows of an environment up to date, and what is known of its services."""
    for service in services:
        seen = seen_of(service, view, before=service.seen)
        # A version that was unknown is looked up again: a release may have named it since.
        is_named = all(seen[name] == service.seen.get(name) for name in NAMED_BY)
        known = service.seen.get("version") if is_named else ""
        seen["version"] = known or version_of(service, seen)
        if service.row is None or seen != service.seen:
            _write(environment, service, seen)
    if any(service.is_old for service in services):
        _still_seen(environment)


def expect_release(rollout: Rollout) -> None:
    """Note that what a verified rollout put there should run; anything else is an unapproved change.

    An operation put nothing there: what a release did before it is still what should run. The same holds for
    a service that was skipped; where one of its workloads was, both may run.
    """
    if rollout.release.operation:
        return
    items = items_of(rollout.release)
    digests = {item.service: set(accepted_digests(item)) for item in items}
    for service, whole in _left_out(rollout).items():
        # A change that broke off half-way may have put some of it there.
        if not whole or digests[service] & _found(rollout, service):
            digests[service] |= _expected_before(rollout, service)
        else:
            digests.pop(service)
            _go_on_expecting(rollout, service)
    _expect(rollout, digests, release=rollout.release_id)


def _go_on_expecting(rollout: Rollout, service: Service) -> None:
    """Expect of a service what was expected before; what else has changed is read by the next look."""
    rows = Running.objects.select_for_update().filter(service=service, environment=rollout.environment_id)
    for row in rows.exclude(expected={}):
        kept = {name: row.expected[name] for name in ("digests", "looked") if name in row.expected}
        row.expected = {**kept, "rollout": rollout.pk, **untouched(row, rollout)}
        row.save(update_fields=["expected"])


def _left_out(rollout: Rollout) -> dict[Service, bool]:
    """Return the services that were skipped, and whether with all of their workloads."""
    if not _SKIPPED.ask(rollout=rollout.pk):
        return {}
    own = rollout.steps.filter(kind__in=RELEASING, direction=Direction.FORWARD)
    steps = list(own.select_related("service"))
    left = [
        each for each in steps if wrote_nothing(each) and not _runs_it_all_the_same(rollout, each.service)
    ]
    partly = {each.service_id for each in steps if each not in left}
    return {each.service: each.service_id not in partly for each in left if each.service}


def left_out_of(release: Release) -> dict[int, LeftOut]:
    """Return what was skipped in the newest rollout of a release, by the keys of the services."""
    rollout = release.rollouts.order_by("-pk").first()
    if rollout is None or release.operation:
        return {}
    return {service.pk: _instead(rollout, service, whole) for service, whole in _left_out(rollout).items()}


def _instead(rollout: Rollout, service: Service, whole: bool) -> LeftOut:
    records = rollout.steps.filter(kind="record_running", service=service)
    images = {image for step in records for image in (step.before.get("images") or {}).values()}
    return LeftOut(whole=whole, images=sorted(images), digests=frozenset(recorded_digests(records)))


def _runs_it_all_the_same(rollout: Rollout, service: Service | None) -> bool:
    """Whether what was skipped for a service was found to run."""
    rows = _rows_of(rollout, service)
    return bool(rows) and all(row["ok"] for row in rows)


def _found(rollout: Rollout, service: Service) -> set[str]:
    """The digests that verification found of a service."""
    found = [digests for row in _rows_of(rollout, service) for digests in row["found"].values()]
    return {digest for digests in found for digest in digests}


def _rows_of(rollout: Rollout, service: Service | None) -> list[Json]:
    rows: list[Json] = (rollout.verdict or {}).get("services", [])
    return [row for row in rows if service is not None and row["service"] == service.name]


def _expected_before(rollout: Rollout, service: Service) -> set[str]:
    """What was expected of a service until now; what was recorded of it at the start where nothing was."""
    row = Running.objects.filter(service=service, environment=rollout.environment_id).first()
    known = set((row.expected or {}).get("digests") or ()) if row else set()
    return known or recorded_digests(rollout.steps.filter(kind="record_running", service=service))


def expect_recorded(rollout: Rollout) -> None:
    """Note after a rollback that what ran before the rollout is what should run again.

    Where giving it back was skipped, what the rollout put there may run on: that was approved as well. An
    image that nobody had approved before the rollout is not approved by coming back with it.
    """
    back = list(rollout.steps.filter(kind__in=GIVES_BACK))
    recorded = rollout.steps.filter(kind="record_running", service__in={each.service_id for each in back})
    found: dict[Service, set[str]] = {}
    for step in recorded.select_related("service"):
        assert step.service is not None
        found.setdefault(step.service, set()).update(recorded_digests([step]))
    found |= _approved_before(rollout, found)
    kept = {each.service_id for each in back if wrote_nothing(each)}
    for item in rollout.release.items.filter(service__in=kept).select_related("service"):
        found.setdefault(item.service, set()).update(accepted_digests(item))
    _expect(rollout, found, release=None)


def _approved_before(rollout: Rollout, services: Collection[Service]) -> dict[Service, set[str]]:
    """What should have run before a rollout, of services of which another image was found to run then."""
    rows = Running.objects.filter(service__in=services, environment=rollout.environment_id)
    found: dict[Service, set[str]] = {}
    for row in rows.exclude(expected={}).select_related("service"):
        noted = row.expected.get("rollout", 0) >= rollout.pk
        before = row.expected.get("before") if noted else foreign_before(row).get("before")
        if before:
            found[row.service] = set(before)
    return found


def foreign_before(row: Running) -> Json:
    """Return {"before": digests} of what should run, where a finding says that another image does."""
    standing = _FINDINGS.ask(environment=row.environment_id, services=[row.service_id])
    return _before_foreign(row, standing[0] if standing else None)


def _before_foreign(row: Running, finding: Finding | None) -> Json:
    of_images = finding and any(each.code in OF_IMAGES for each in read(finding.differences))
    known = (row.expected or {}).get("digests")
    return {"before": known} if of_images and known else {}


def _expect(rollout: Rollout, digests: Mapping[Service, set[str]], *, release: int | None) -> None:
    """Expect these digests; what else the rollout may have changed is read by the next look."""
    asked = {"environment": rollout.environment_id, "services": [each.pk for each in digests]}
    standing = {each.service_id: each for each in _FINDINGS.ask(**asked)} if release else {}
    known = {
        row.service_id: {**untouched(row, rollout), **_before_foreign(row, standing.get(row.service_id))}
        for row in _PRESENT.ask(**asked)
    }
    rows = [
        (each.pk, {"digests": sorted(own), "rollout": rollout.pk, **known.get(each.pk, {})})
        for each, own in digests.items()
    ]
    given = [rollout.environment_id, release, as_json(("service", "expected"), rows)]
    with connection.cursor() as cursor:
        cursor.execute(EXPECT, given)


def _still_seen(environment: Environment) -> None:
    """Say now and then that what stands there was looked at, or the board would call it old."""
    with connection.cursor() as cursor:
        cursor.execute(STILL_SEEN, [environment.pk])


def seen_of(service: Catalogued, view: View, *, before: Json) -> Json:
    """Return what is seen of a service: images, digests, counts of pods, and a word for its health.

    Args:
        before: what was seen the last time; it stands for what this look leaves out.
    """
    documents = _with_traffic(service, view, known=before.get("selectors") or {})
    found = [(each, view.workloads.get((each["kind"], each["name"]))) for each in documents]
    present = [(each, Workload(body)) for each, body in found if body is not None]
    absent = [each["name"] for each, body in found if body is None]
    known = before.get("workloads") or {}
    facts = {_name(each): _facts(each, workload, view, known) for each, workload in present}
    workloads = [workload for _document, workload in present]
    seen = _seen(workloads, facts, health=UNKNOWN if absent else "", text=", ".join(absent))
    selectors = _selectors(workloads, view, known=before.get("selectors") or {})
    return {**seen, "workloads": {_name(each): facts.get(_name(each)) for each, _ in found}} | selectors


def documents_of(service: Catalogued) -> list[Json]:
    """Return which workloads a service consists of, as the catalog names them."""
    return service.spec.get("workloads") or [{"kind": "Deployment", "name": service.name}]


def _with_traffic(service: Catalogued, view: View, *, known: Json) -> list[Json]:
    """Of colours only the live one, where that can be told: what the other runs gets no traffic."""
    documents, colours = documents_of(service), service.spec.get("colours")
    if not colours:
        return documents
    seen = {each["metadata"]["name"]: selector_of(each) for each in view.services or []} or known
    found = [(each, view.workloads.get((each["kind"], each["name"]))) for each in documents]
    sizes = {str(each.get("colour")): Workload(body).replicas for each, body in found if body is not None}
    live = colours_with_traffic(colours, selectors=seen, sizes=sizes)
    return [each for each in documents if each.get("colour") in live] or documents


def _name(document: Json) -> str:
    return f"{document['kind']}/{document['name']}"


def _facts(document: Json, workload: Workload, view: View, known: Json) -> Json:
    """What of a workload is compared with what should be."""
    images = workload.images
    names = document.get("containers") or list(images)
    name = _name(document)
    scaled = (known.get(name) or {}).get("autoscaler")
    return {
        "uid": workload.uid,
        # How many nodes there are is nothing that a release decides.
        **({} if workload.kind == DAEMON_SET else {"replicas": workload.replicas}),
        "images": {name: images[name] for name in names if name in images},
        "digests": sorted(_digests(workload.selector, images, names, view)),
        "autoscaler": scaled if view.autoscalers is None else _autoscaler(document, view.autoscalers),
    }


def _autoscaler(document: Json, autoscalers: list[Json]) -> Json | None:
    for each in autoscalers:
        target = each["spec"].get("scaleTargetRef") or {}
        if (target.get("kind"), target.get("name")) == (document["kind"], document["name"]):
            bounds = {"min": each["spec"].get("minReplicas", 1), "max": each["spec"].get("maxReplicas")}
            return {"name": each["metadata"]["name"], **bounds}
    return None


def _selectors(present: list[Workload], view: View, *, known: Json) -> Json:
    """The selectors of Services that lead to the service's pods, or did."""
    if view.services is None:
        return {"selectors": known}
    found = {}
    labels = [(each.template.get("metadata") or {}).get("labels") or {} for each in present]
    for each in view.services:
        selector = (each.get("spec") or {}).get("selector") or {}
        name = each["metadata"]["name"]
        leads_here = bool(selector) and any(selector.items() <= of_pods.items() for of_pods in labels)
        if leads_here or name in known:
            found[name] = selector
    return {"selectors": found}


def version_of(service: Catalogued, seen: Json) -> str:
    """Return the version people know: of the newest item with such a digest, else the image's tag."""
    digests = seen["digests"]
    if digests:
        with connection.cursor() as cursor:
            cursor.execute(VERSION, [service.id, digests, digests])
            if (named := cursor.fetchone()) is not None:
                return str(named[0])
    tags = [_tag(image) for image in seen["images"].values()]
    return next((tag for tag in tags if tag), "")


def _seen(present: list[Workload], facts: Mapping[str, Json], *, health: str, text: str) -> Json:
    judged = [judge(workload) for workload in present]
    return {
        "version": "",
        "images": {name: image for each in facts.values() for name, image in each["images"].items()},
        "digests": sorted({digest for each in facts.values() for digest in each["digests"]}),
        "ready": sum(workload.ready for workload in present),
        "wanted": sum(each.wanted for each in judged),
        "health": health or _health(judged, present),
        "text": text,
        "generation": max((workload.generation for workload in present), default=0),
    }


def _health(judged: list[Progress], present: list[Workload]) -> str:
    if any(each.failure for each in judged):
        return DEGRADED
    if all(each.done for each in judged):
        short = any(workload.ready < workload.replicas for workload in present)
        return DEGRADED if short else HEALTHY
    # What the portal itself holds stands in the middle of its way.
    held = any(workload.held_by for workload in present)
    rolling = held or any(each.waits_for in MOVING for each in judged)
    return PROGRESSING if rolling else DEGRADED


def reported_by(pod: Json) -> list[tuple[str, str]]:
    """Return the digests that a node reports, with the container's name."""
    return [
        (status["name"], digest)
        for status in container_statuses(pod)
        if (digest := digest_of(status.get("imageID") or ""))
    ]


def _digests(
    selector: Mapping[str, str], images: Mapping[str, str], names: Iterable[str], view: View
) -> set[str]:
    wanted, labels = set(names), selector.items()
    found = {
        digest
        for own, reported in view.reports
        if labels <= own.items()
        for name, digest in reported
        if name in wanted
    }
    return found or {digest_of(images.get(name, "")) for name in wanted} - {""}


def _tag(image: str) -> str:
    last = image.split("@", maxsplit=1)[0].rpartition("/")[2]
    return last.partition(":")[2]


def _write(environment: Environment, service: Kept, seen: Json) -> None:
    if service.row is None:
        now = clock.now()
        Running.objects.update_or_create(
            service_id=service.id,
            environment=environment,
            defaults={"seen": seen, "seen_at": now, "since": now},
        )
    else:
        is_other = service.seen.get("digests") != seen["digests"]
        with connection.cursor() as cursor:
            cursor.execute(WRITE, [json.dumps(seen), is_other, service.row])
    service.seen = seen
    touch(f"board.{environment.name}", data={"service": service.name})
