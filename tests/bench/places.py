"""Small systems of a bench's own: each two Deployments in a namespace where nothing is protected."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.bench.portal import ROOT, Portal, cpu_seconds

IMAGE = "registry.practice/storebridge/storebridge"
VERSIONS = ("v2.5.1", "v2.6.0")
# What carries a rollout; the web process takes the starts meanwhile, and the questions of this bench.
CARRIERS = ("worker", "watcher", "sweeper")
ROLES = ("web", *CARRIERS)


def place_of(index: int) -> str:
    return f"bench-{index:03}"


def fill(portal: Portal, count: int, *, notices: int = 0, spread: Sequence[int] = ()) -> None:
    """Put so many namespaces with Deployments into the cluster, and their catalog into the portal.

    Args:
        notices: how many steps that only tell somebody come before the waves.
        spread: after how many seconds the pods of the first service become ready, by place; at once without.
    """
    with tempfile.TemporaryDirectory() as folder:
        objects = Path(folder) / "objects.yaml"
        objects.write_text(
            yaml.safe_dump_all(each for i in range(count) for each in _objects(i, spread[i] if spread else 0))
        )
        command = ["kubectl", "--kubeconfig", portal.kubeconfig, "apply", "--validate=false", "-f"]
        subprocess.run([*command, str(objects)], check=True, stdout=subprocess.DEVNULL, timeout=600)
    load(portal, (each for i in range(count) for each in _documents(i, notices)))


def load(portal: Portal, documents: Iterable[dict[str, Any]]) -> None:
    """Load documents of the catalog over what is there."""
    with tempfile.TemporaryDirectory() as folder:
        catalog = Path(folder) / "bench"
        catalog.mkdir()
        (catalog / "catalog.yaml").write_text(yaml.safe_dump_all(documents, allow_unicode=True))
        environment = {
            **os.environ,
            "DATABASE_URL": portal.report["database_url"],
            "REDIS_URL": portal.report["redis_url"],
            "KUBECONFIG": portal.kubeconfig,
            "SECRET_KEY": "bench",
        }
        command = [sys.executable, "manage.py", "catalog", "load", "--yes", str(catalog)]
        subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL, timeout=600)


def _objects(index: int, ready_after: int) -> Iterator[dict[str, Any]]:
    place = place_of(index)
    slow = {"readinessProbe": {"tcpSocket": {"port": 8080}, "initialDelaySeconds": ready_after}}
    yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": place}}
    for name in ("first", "second"):
        labels = {"app": name}
        probe = slow if ready_after and name == "first" else {}
        spec = {"containers": [{"name": "app", "image": f"{IMAGE}:{VERSIONS[0]}", **probe}]}
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


def _documents(index: int, notices: int) -> Iterator[dict[str, Any]]:
    place = place_of(index)
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
            "before": [
                {"kind": "notice", "id": f"notice-{number}", "to": ["console"]} for number in range(notices)
            ],
            "waves": [{"title": name, "services": [f"{place}-{name}"]} for name in ("first", "second")],
            "each": [{"kind": "set_image"}, {"kind": "wait_rollout", "settleSeconds": 0}],
            "after": [{"kind": "verify_digests"}],
        },
    )


def _document(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "portal/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}


def submitted(portal: Portal, index: int, version: str) -> int:
    """Compose a release of both services of a place and submit it; return its number."""
    place = place_of(index)
    items = [{"service": f"{place}-{name}", "version": version} for name in ("first", "second")]
    body = {"title": place, "environment": place, "items": items, "changes": [], "facts": {}}
    number = int(portal.call("jiho", "POST", "/releases", body)["number"])
    portal.call("jiho", "POST", f"/releases/{number}/submit")
    return number


def processor(portal: Portal) -> dict[str, float]:
    """Seconds of processor time so far, by role; the database and the cluster are counted apart."""
    pids = portal.report["pids"]
    return {role: sum(cpu_seconds(pid) for pid in pids[role]) for role in ROLES}
