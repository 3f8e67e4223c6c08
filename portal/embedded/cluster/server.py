"""Starts the parts of the practice cluster, and ends them in order."""

import asyncio
import logging
import signal
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
import yaml
from starlette.types import ASGIApp

from portal.embedded.cluster import certificates, kinds, scheduler
from portal.embedded.cluster.access import ADMINS
from portal.embedded.cluster.api import Api
from portal.embedded.cluster.applications import Applications
from portal.embedded.cluster.audited import Audited
from portal.embedded.cluster.cluster import Cluster
from portal.embedded.cluster.controllers.autoscaler import Autoscalers
from portal.embedded.cluster.controllers.counting import Budgets, Quotas
from portal.embedded.cluster.controllers.cronjob import CronJobs
from portal.embedded.cluster.controllers.daemonset import DaemonSets
from portal.embedded.cluster.controllers.deployment import Deployments
from portal.embedded.cluster.controllers.endpoints import EndpointSlices
from portal.embedded.cluster.controllers.garbage import Garbage
from portal.embedded.cluster.controllers.job import Jobs
from portal.embedded.cluster.controllers.loop import Controller, Loop
from portal.embedded.cluster.controllers.namespaces import Namespaces, ensure_usual
from portal.embedded.cluster.controllers.replicaset import ReplicaSets
from portal.embedded.cluster.controllers.rollout import Rollouts
from portal.embedded.cluster.controllers.statefulset import StatefulSets
from portal.embedded.cluster.disk import Disk
from portal.embedded.cluster.events import Events
from portal.embedded.cluster.images import Images
from portal.embedded.cluster.kubelet import Kubelet, Times
from portal.embedded.cluster.manifests import load_manifests
from portal.embedded.cluster.pages import Pages
from portal.embedded.cluster.prometheus import Prometheus
from portal.embedded.cluster.registry import Registry
from portal.embedded.cluster.store import Object

LOGGER = logging.getLogger(__name__)
HOST = "127.0.0.1"
FORGET_EVENTS_SECONDS = 300.0
# How long an idle connection stays open, as with the real API server (its `IdleTimeout`).
KEEP_ALIVE_SECONDS = 90


@dataclass(frozen=True)
class Settings:
    """What the command line says."""

    data: Path
    port: int
    registry_port: int
    prometheus_port: int | None
    kubeconfig: Path
    manifests: tuple[Path, ...]
    images: Path | None
    times: Times
    audit_log: Path | None = None


@dataclass(frozen=True)
class Door:
    """One port, what answers behind it, and its certificate if it has one."""

    port: int
    app: ASGIApp
    secure: dict[str, Any]


async def run(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT."""
    settings.data.mkdir(parents=True, exist_ok=True)
    disk = Disk(settings.data / "cluster.sqlite3")
    cluster = Cluster.on(disk)
    events = Events(cluster.store)
    images = Images.load(settings.images)
    loop = Loop(cluster.store, cluster.faults, controllers(cluster, events))
    kubelet = Kubelet(cluster, events, images, settings.times)
    cluster.pages = Pages(cluster.store, images)
    certificate, key = certificates.ensure(settings.data)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, key)
    applications = Applications(cluster.store, cluster.pages, tls=tls)
    is_new = disk.setting("manifests") is None
    _prepare(cluster, loop)
    if is_new:
        load_manifests(cluster, settings.manifests)
        disk.set("manifests", "loaded")
    kubelet.begin()
    cluster.store.flush()
    write_kubeconfig(settings, cluster.tokens.admin, certificate)
    work = asyncio.ensure_future(loop.run())
    sweep = asyncio.ensure_future(_forget_old_events(events))
    try:
        await applications.begin()
        secure = {"ssl_certfile": certificate, "ssl_keyfile": key}
        api: ASGIApp = Api(cluster)
        if settings.audit_log is not None:
            api = Audited(api, settings.audit_log)
        doors = [
            Door(settings.port, api, secure),
            Door(settings.registry_port, Registry(images), {}),
        ]
        if settings.prometheus_port is not None:
            doors.append(Door(settings.prometheus_port, Prometheus(cluster.store, images), {}))
        await _serve(settings, doors, work)
    finally:
        await applications.stop()
        work.cancel()
        sweep.cancel()
        await kubelet.stop()
        cluster.store.flush()
        disk.close()


def controllers(cluster: Cluster, events: Events) -> tuple[Controller, ...]:
    store, objects = cluster.store, cluster.objects
    return (
        Namespaces(store, objects),
        Deployments(store, objects, events),
        ReplicaSets(store, objects, events),
        StatefulSets(store, objects, events),
        DaemonSets(store, objects, events),
        Jobs(store, objects, events),
        CronJobs(store, objects, events),
        EndpointSlices(store),
        Rollouts(store, objects, events),
        Autoscalers(store, events),
        Quotas(store),
        Budgets(store),
        Garbage(store, objects),
    )


def _prepare(cluster: Cluster, loop: Loop) -> None:
    """What every cluster has, and a look at everything that a former process left."""
    ensure_usual(cluster.store, cluster.objects)
    scheduler.ensure_nodes(cluster.store)
    _ensure_roles(cluster)
    loop.look_at_everything()


def _ensure_roles(cluster: Cluster) -> None:
    read = ["get", "list", "watch"]
    write = [*read, "create", "update", "patch", "delete", "deletecollection"]
    groups = ["", "apps", "batch", "autoscaling", "policy", "networking.k8s.io", "discovery.k8s.io"]
    roles = {
        "cluster-admin": ["*"],
        "admin": write,
        "edit": write,
        "view": read,
    }
    for name, verbs in roles.items():
        if cluster.store.get(kinds.CLUSTERROLES, "", name) is None:
            rule = {
                "apiGroups": ["*"] if name == "cluster-admin" else groups,
                "resources": ["*"],
                "verbs": verbs,
            }
            cluster.store.create(kinds.CLUSTERROLES, {"metadata": {"name": name}, "rules": [rule]})
    if cluster.store.get(kinds.CLUSTERROLEBINDINGS, "", "cluster-admin") is None:
        group = "rbac.authorization.k8s.io"
        binding: Object = {
            "metadata": {"name": "cluster-admin"},
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"apiGroup": group, "kind": "Group", "name": ADMINS}],
        }
        cluster.store.create(kinds.CLUSTERROLEBINDINGS, binding)


def write_kubeconfig(settings: Settings, token: str, certificate: Path) -> None:
    """Write the administrator's kubeconfig, readable by its owner only."""
    name = "practice"
    server = {
        "server": f"https://{HOST}:{settings.port}",
        "certificate-authority-data": certificates.authority_data(certificate),
    }
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "clusters": [{"name": name, "cluster": server}],
        "users": [{"name": name, "user": {"token": token}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
    }
    settings.kubeconfig.parent.mkdir(parents=True, exist_ok=True)
    fresh = settings.kubeconfig.with_name(settings.kubeconfig.name + ".new")
    fresh.touch(mode=0o600)
    fresh.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    fresh.replace(settings.kubeconfig)


async def _forget_old_events(events: Events) -> None:
    while True:
        await asyncio.sleep(FORGET_EVENTS_SECONDS)
        events.expire()


async def _serve(settings: Settings, doors: Sequence[Door], work: asyncio.Task[None]) -> None:
    """Open the doors, say so in one line, and wait for the signal to end or for the controllers to break."""
    end = asyncio.Event()
    running = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        running.add_signal_handler(number, end.set)
    servers = []
    for door in doors:
        config = uvicorn.Config(
            door.app,
            log_config=None,
            access_log=False,
            lifespan="off",
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=1,
            ws="none",
            server_header=False,
            **door.secure,
        )
        servers.append((uvicorn.Server(config), _listen(door.port)))
    # Not `serve`, which would take the signals over from this process.
    tasks = [asyncio.ensure_future(server._serve([bound])) for server, bound in servers]
    print(f"practice cluster ready on https://{HOST}:{settings.port}", flush=True)  # noqa: T201
    stopped = asyncio.ensure_future(end.wait())
    await asyncio.wait([stopped, work, *tasks], return_when=asyncio.FIRST_COMPLETED)
    for server, _ in servers:
        server.should_exit = True
    await asyncio.gather(*tasks)
    stopped.cancel()
    if work.done():
        work.result()


def _listen(port: int) -> socket.socket:
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # Accepted sockets inherit it; asyncio leaves it out for a socket made like this one, and each small
    # answer would wait 40 ms for the client's acknowledgement.
    bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    bound.bind((HOST, port))
    bound.listen(512)
    bound.setblocking(False)  # noqa: FBT003
    return bound
