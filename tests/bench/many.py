"""Many rollouts at once on two workers: how soon the next step follows the cluster, and what a step costs.

Each rollout changes one service after the other in a namespace of its own, where nothing is protected, so
that nothing but the engine is in the way. Measured from outside, by a watch of the bench's own: from the
moment the first Deployment is complete to the moment the second one changes.
"""

import json
import os
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import requests
import yaml

from portal.integrations.kubernetes.connection import read_connection
from tests.bench.portal import ROOT, Portal, cpu_seconds, running_portal
from tests.bench.row import Row

ROLLOUTS = int(os.environ.get("BENCH_ROLLOUTS", "200"))
IMAGE = "registry.practice/storebridge/storebridge"
BEFORE, AFTER = "v2.5.1", "v2.6.0"
MEDIAN_MS, P99_MS, STEP_MS = 25, 250, 25
LONGEST_SECONDS = 900
# What carries a rollout; the web process takes the starts meanwhile, and the questions of this bench.
CARRIERS = ("worker", "watcher", "sweeper")
ROLES = ("web", *CARRIERS)


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
        if not any(AFTER in image or "@" in image for image in images):
            return
        self.changed.setdefault(key, at)
        counts = {status.get(name, 0) for name in ("replicas", "updatedReplicas", "availableReplicas")}
        if counts == {body["spec"]["replicas"]} and status.get("observedGeneration") == meta["generation"]:
            self.complete.setdefault(key, at)

    def reactions(self) -> list[float]:
        """Milliseconds from the first service's end to the second one's change, of every rollout."""
        return [
            1000 * (self.changed[place, "second"] - self.complete[place, "first"])
            for place in map(_place, range(ROLLOUTS))
        ]


def run() -> list[Row]:
    """Start them all, wait for all, and count."""
    with running_portal() as portal:
        _fill(portal)
        numbers = [_submitted(portal, index) for index in range(ROLLOUTS)]
        before = _processor(portal)
        with _watching(portal) as seen:
            begun = time.monotonic()
            rollouts = _start(portal, numbers)
            steps = _wait(portal, rollouts)
            seconds = time.monotonic() - begun
        spent = {name: after - before[name] for name, after in _processor(portal).items()}
    return _rows(seen.reactions(), steps=steps, seconds=seconds, spent=spent)


def _rows(reactions: list[float], *, steps: int, seconds: float, spent: dict[str, float]) -> list[Row]:
    whole = 1000 * sum(spent[name] for name in CARRIERS) / steps
    p99 = quantiles(reactions, n=100)[98]
    parts = [Row(f"{name}, by step", 1000 * value / steps, "ms") for name, value in sorted(spent.items())]
    return [
        Row(f"{ROLLOUTS} rollouts: cluster done to next call, median", median(reactions), "ms", MEDIAN_MS),
        Row(f"{ROLLOUTS} rollouts: cluster done to next call, p99", p99, "ms", P99_MS),
        Row("processor time a step: workers, watcher and sweeper", whole, "ms", STEP_MS),
        *parts,
        Row("steps a second over the whole run", steps / seconds, "1/s"),
    ]


def _place(index: int) -> str:
    return f"bench-{index:03}"


def _fill(portal: Portal) -> None:
    """Put namespaces and Deployments into the cluster, and their catalog into the portal."""
    with tempfile.TemporaryDirectory() as folder:
        objects = Path(folder) / "objects.yaml"
        objects.write_text(yaml.safe_dump_all(each for i in range(ROLLOUTS) for each in _objects(i)))
        command = ["kubectl", "--kubeconfig", portal.kubeconfig, "apply", "--validate=false", "-f"]
        subprocess.run([*command, str(objects)], check=True, stdout=subprocess.DEVNULL, timeout=600)
        catalog = Path(folder) / "bench"
        catalog.mkdir()
        text = yaml.safe_dump_all(each for i in range(ROLLOUTS) for each in _documents(i))
        (catalog / "catalog.yaml").write_text(text)
        environment = {
            **os.environ,
            "DATABASE_URL": portal.report["database_url"],
            "REDIS_URL": portal.report["redis_url"],
            "KUBECONFIG": portal.kubeconfig,
            "SECRET_KEY": "bench",
        }
        load = [sys.executable, "manage.py", "catalog", "load", "--yes", str(catalog)]
        subprocess.run(load, cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL, timeout=600)


def _objects(index: int) -> Iterator[dict[str, Any]]:
    place = _place(index)
    yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": place}}
    for name in ("first", "second"):
        labels = {"app": name}
        spec = {"containers": [{"name": "app", "image": f"{IMAGE}:{BEFORE}"}]}
        yield {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name, "namespace": place, "labels": labels},
            "spec": {
                "replicas": 1,
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": spec},
            },
        }


def _documents(index: int) -> Iterator[dict[str, Any]]:
    place = _place(index)
    yield _document(
        "Environment",
        place,
        {"system": "bench", "stage": "staging", "cluster": "cluster", "namespace": place, "protected": False},
    )
    for name in ("first", "second"):
        workload = {"kind": "Deployment", "name": name, "containers": ["app"]}
        yield _document(
            "Service",
            f"{place}-{name}",
            {
                "team": "platform",
                "system": "bench",
                "image": IMAGE,
                "environments": [place],
                "workloads": [workload],
            },
        )
    yield _document(
        "Plan",
        place,
        {
            "environments": [place],
            "before": [],
            "waves": [{"title": name, "services": [f"{place}-{name}"]} for name in ("first", "second")],
            "each": [{"kind": "set_image"}, {"kind": "wait_rollout"}],
            "after": [{"kind": "verify_digests"}],
        },
    )


def _document(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "portal/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}


def _submitted(portal: Portal, index: int) -> int:
    place = _place(index)
    items = [{"service": f"{place}-{name}", "version": AFTER} for name in ("first", "second")]
    body = {"title": place, "environment": place, "items": items, "changes": [], "facts": {}}
    number = int(portal.call("jiho", "POST", "/releases", body)["number"])
    portal.call("jiho", "POST", f"/releases/{number}/submit")
    return number


def _start(portal: Portal, numbers: list[int]) -> list[int]:
    def start(number: int) -> int:
        begun = portal.call("jiho", "POST", f"/releases/{number}/start")
        rollout = begun["rollouts"][-1] if "rollouts" in begun else begun
        return int(rollout["id"] if isinstance(rollout, dict) else rollout)

    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(start, numbers))


def _wait(portal: Portal, rollouts: list[int]) -> int:
    """Wait for all of them; returns how many steps they had."""
    deadline = time.monotonic() + LONGEST_SECONDS
    steps = 0
    for rollout in rollouts:
        while (found := portal.call("jiho", "GET", f"/rollouts/{rollout}"))["state"] != "succeeded":
            if found["state"] in {"failed", "paused", "stopped"} or time.monotonic() > deadline:
                raise RuntimeError(f"rollout {rollout} is {found['state']}: {portal.events(rollout)[-3:]}")
            time.sleep(1)
        steps += int(found["progress"]["total"])
    return steps


def _processor(portal: Portal) -> dict[str, float]:
    """Seconds of processor time so far, by role; the database and the cluster are counted apart."""
    pids = portal.report["pids"]
    return {role: sum(cpu_seconds(pid) for pid in pids[role]) for role in ROLES}


@contextmanager
def _watching(portal: Portal) -> Iterator[Seen]:
    """Follow every Deployment of the cluster, raw, so that the watch itself costs little."""
    access = read_connection({"kubeconfigRef": f"file:{portal.kubeconfig}"})
    seen = Seen()
    session = requests.Session()
    session.trust_env = False  # an environment of its own would replace the authority
    session.headers["Authorization"] = f"Bearer {access.token}"
    address = f"{access.server}/apis/apps/v1/deployments?watch=true&timeoutSeconds={LONGEST_SECONDS}"
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as authority:
        authority.write(access.authority)
        authority.flush()
        session.verify = authority.name if access.authority else access.verify
        answer = session.get(address, stream=True, timeout=(5, LONGEST_SECONDS))
    threading.Thread(target=_follow, args=(answer, seen), daemon=True).start()
    yield seen
    # The watch ends with the cluster: to close it would wait for its next line.
    time.sleep(1)


def _follow(answer: requests.Response, seen: Seen) -> None:
    try:
        for line in answer.iter_lines(chunk_size=1):
            event = json.loads(line)
            if event["type"] in {"ADDED", "MODIFIED"}:
                seen.see(time.monotonic(), event["object"])
    except (requests.RequestException, ssl.SSLError, AttributeError, ValueError):
        return  # the cluster has ended
