"""Many rollouts at once on two workers: how soon the next step follows the cluster, and what a step costs.

Each rollout changes one service after the other in a namespace of its own, where nothing is protected, so
that nothing but the engine is in the way. The pods of the first service take their time, each another one, so
that all rollouts are under way when the first of them goes on; BENCH_SPREAD=0 lets all go on at once, and
two workers have a queue. Measured from outside: from the moment when a watch of the bench's own tells that
the first Deployment is complete to the first request that the next step sends, as the API server's audit log
has it, and to the moment when the watch tells that the second one has changed.
"""

import json
import os
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import psycopg
from django.core.exceptions import AppRegistryNotReady, ImproperlyConfigured

from portal.errors import PermanentError, TemporaryError
from portal.integrations.kubernetes.client import Cluster, connect
from tests.bench.places import CARRIERS, VERSIONS, fill, place_of, processor, submitted
from tests.bench.portal import Portal, running_portal
from tests.bench.row import Row

ROLLOUTS = int(os.environ.get("BENCH_ROLLOUTS", "200"))
DEPLOYMENTS = "/apis/apps/v1/deployments"
# The first pods are ready so long after their start, and the last ones so much later (seconds).
HOLD, SPREAD = int(os.environ.get("BENCH_HOLD", "45")), int(os.environ.get("BENCH_SPREAD", "60"))
MEDIAN_MS, P99_MS, STEP_MS = 25, 250, 25
LONGEST_SECONDS = 900


@dataclass
class Seen:
    """When each Deployment changed and when it was complete, by namespace and name."""

    changed: dict[tuple[str, str], float] = field(default_factory=dict)
    complete: dict[tuple[str, str], float] = field(default_factory=dict)
    generations: dict[tuple[str, str], int] = field(default_factory=dict)

    def see(self, at: float, body: dict[str, Any]) -> None:
        """Take a Deployment as the cluster sends it."""
        meta, status = body["metadata"], body.get("status") or {}
        key = (meta["namespace"], meta["name"])
        images = [each["image"] for each in body["spec"]["template"]["spec"]["containers"]]
        if not any(VERSIONS[1] in image or "@" in image for image in images):
            return
        self.changed.setdefault(key, at)
        counts = {status.get(name, 0) for name in ("replicas", "updatedReplicas", "availableReplicas")}
        if counts == {body["spec"]["replicas"]} and status.get("observedGeneration") == meta["generation"]:
            self.complete.setdefault(key, at)

    def until(self, next_ones: Mapping[str, float]) -> list[float]:
        """Milliseconds from the first service's end to what came next, of every rollout."""
        return [1000 * (next_ones[each] - self.complete[each, "first"]) for each in _places()]

    def second_changed(self) -> dict[str, float]:
        """When the second service changed, by namespace."""
        return {place: self.changed[place, "second"] for place in _places()}

    def next_called(self, log: Path) -> dict[str, float]:
        """When the step after the wait for the first service asked for something, by namespace."""
        asked: dict[str, list[tuple[float, str, str]]] = {place: [] for place in _places()}
        for line in log.read_text().splitlines():
            event = json.loads(line)
            of = event.get("objectRef") or {}
            # What is asked for a rollout names its trace; the watcher's own reads do not.
            if of.get("namespace") in asked and "trace/" in event["userAgent"]:
                at = datetime.fromisoformat(event["requestReceivedTimestamp"]).timestamp()
                asked[of["namespace"]].append((at, event["verb"], of.get("name", "")))
        return {place: _after_the_wait(sorted(each)) for place, each in asked.items()}


def _after_the_wait(asked: list[tuple[float, str, str]]) -> float:
    """When that was asked which follows the last look of the wait, by name, before the second one's write."""
    names = [(verb, name) for _at, verb, name in asked]
    written = names.index(("patch", "second"))
    last_look = max(at for at, each in enumerate(names[:written]) if each == ("get", "first"))
    return asked[last_look + 1][0]


def _places() -> list[str]:
    return list(map(place_of, range(ROLLOUTS)))


def run() -> list[Row]:
    """Start them all, wait for all, and count."""
    with tempfile.TemporaryDirectory(prefix="portal-bench-") as folder:
        return _run(Path(folder) / "audit.log")


def _run(log: Path) -> list[Row]:
    with running_portal(PRACTICE_AUDIT_LOG=str(log)) as portal:
        fill(portal, ROLLOUTS, spread=_spread())
        _wait_for_pods(portal)
        numbers = [submitted(portal, index, VERSIONS[1]) for index in range(ROLLOUTS)]
        before = processor(portal)
        with _watching(portal) as seen:
            begun = time.monotonic()
            rollouts = _start(portal, numbers)
            _wait(portal, rollouts)
            seconds = time.monotonic() - begun
        spent = {name: after - before[name] for name, after in processor(portal).items()}
        steps = _steps(portal, rollouts)
    calls, changes = seen.until(seen.next_called(log)), seen.until(seen.second_changed())
    return [*_reactions(calls, changes), *_costs(steps=steps, seconds=seconds, spent=spent)]


def _reactions(calls: list[float], changes: list[float]) -> list[Row]:
    call, change = (f"{ROLLOUTS} rollouts: cluster done to {name}" for name in ("next call", "next change"))
    return [
        Row(f"{call}, median", median(calls), "ms", MEDIAN_MS),
        Row(f"{call}, p99", _p99(calls), "ms", P99_MS),
        Row(f"{change}, median", median(changes), "ms"),
        Row(f"{change}, p99", _p99(changes), "ms"),
    ]


def _p99(values: list[float]) -> float:
    return quantiles(values, n=100)[98] if len(values) > 1 else max(values)


def _costs(*, steps: int, seconds: float, spent: dict[str, float]) -> list[Row]:
    whole = 1000 * sum(spent[name] for name in CARRIERS) / steps
    parts = [Row(f"{name}, by step", 1000 * value / steps, "ms") for name, value in sorted(spent.items())]
    return [
        Row("processor time a step: workers, watcher and sweeper", whole, "ms", STEP_MS),
        *parts,
        Row("steps a second over the whole run", steps / seconds, "1/s"),
    ]


def _spread() -> list[int]:
    """When the pods of each place become ready; neighbours, which begin together, at different times."""
    return (
        [HOLD + (index * 37 % ROLLOUTS) * SPREAD // ROLLOUTS for index in range(ROLLOUTS)] if SPREAD else []
    )


def _wait_for_pods(portal: Portal) -> None:
    cluster = connect({"kubeconfigRef": f"file:{portal.kubeconfig}"})
    deadline = time.monotonic() + LONGEST_SECONDS
    places = set(_places())
    while any(
        each["metadata"]["namespace"] in places and not each["status"].get("availableReplicas")
        for each in cluster.get(DEPLOYMENTS)["items"]
    ):
        if time.monotonic() > deadline:
            raise RuntimeError("the pods of the places do not become ready")
        time.sleep(1)


def _start(portal: Portal, numbers: list[int]) -> list[int]:
    def start(number: int) -> int:
        begun = portal.call("jiho", "POST", f"/releases/{number}/start")
        rollout = begun["rollouts"][-1] if "rollouts" in begun else begun
        return int(rollout["id"] if isinstance(rollout, dict) else rollout)

    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(start, numbers))


def _wait(portal: Portal, rollouts: list[int]) -> None:
    deadline = time.monotonic() + LONGEST_SECONDS
    for rollout in rollouts:
        while (found := portal.call("jiho", "GET", f"/rollouts/{rollout}"))["state"] != "succeeded":
            if found["state"] in {"failed", "paused", "stopped"} or time.monotonic() > deadline:
                raise RuntimeError(f"rollout {rollout} is {found['state']}: {portal.events(rollout)[-3:]}")
            time.sleep(1)


def _steps(portal: Portal, rollouts: list[int]) -> int:
    """How many steps were carried out, with those that pages leave out, such as what a service runs now."""
    with psycopg.connect(portal.report["database_url"]) as database:
        row = database.execute(
            "SELECT count(*) FROM rollouts_step WHERE rollout_id = ANY(%s)", [rollouts]
        ).fetchone()
    assert row is not None
    return int(row[0])


@contextmanager
def _watching(portal: Portal) -> Iterator[Seen]:
    """Follow every Deployment of the cluster until it ends, or the watch does."""
    cluster = connect({"kubeconfigRef": f"file:{portal.kubeconfig}"})
    version = cluster.get(DEPLOYMENTS)["metadata"]["resourceVersion"]
    seen = Seen()
    threading.Thread(target=_follow, args=(cluster, version, seen), daemon=True).start()
    yield seen
    time.sleep(1)  # the last lines are on their way


def _follow(cluster: Cluster, version: str, seen: Seen) -> None:
    # What ends it is an error, which Django would word, and here is none.
    with suppress(TemporaryError, PermanentError, ImproperlyConfigured, AppRegistryNotReady):
        for event in cluster.watch(DEPLOYMENTS, version=version, seconds=LONGEST_SECONDS):
            if event["type"] in {"ADDED", "MODIFIED"}:
                seen.see(time.time(), event["object"])
