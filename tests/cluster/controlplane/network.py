"""The network that simulated nodes lack: Services, pods and a registry answer as the practice cluster's do.

A process of its own beside a real control plane. Pods, Services and their addresses are the API server's;
what an application would say for itself, and the bytes of its image, are the practice cluster's. Two ways
lead to a pod, as on nodes: the cluster address of a Service, and the API server's own proxy, which is told
to reach pods through this process (`egress`).
"""

import argparse
import asyncio
import contextlib
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import urllib3
import uvicorn

from portal.embedded.cluster import certificates, kinds
from portal.embedded.cluster.applications import Applications
from portal.embedded.cluster.disk import Disk
from portal.embedded.cluster.images import Images
from portal.embedded.cluster.kinds import Kind
from portal.embedded.cluster.pages import Pages
from portal.embedded.cluster.registry import Registry
from portal.embedded.cluster.store import Store, key_of
from tests.cluster.api import Api, Json, Refused, from_kubeconfig

WATCH_SECONDS = 240
TUNNELLED = b"HTTP/1.1 200 Connected\r\n\r\n"
NO_ROUTE = b"HTTP/1.1 502 No route to host\r\n\r\n"


def egress(socket: Path) -> Json:
    """Return what tells an API server to reach pods through this process."""
    through = {"proxyProtocol": "HTTPConnect", "transport": {"uds": {"udsName": str(socket)}}}
    return {
        "apiVersion": "apiserver.k8s.io/v1beta1",
        "kind": "EgressSelectorConfiguration",
        "egressSelections": [{"name": "cluster", "connection": through}],
    }


class Mirror:
    """The pods and Services of the control plane in a store, where the practice cluster's parts read them."""

    def __init__(self, api: Api, store: Store) -> None:
        self._api = api
        self._store = store
        self._loop = asyncio.get_running_loop()

    async def begin(self) -> None:
        """Know what is there now, and follow what changes for as long as the process lives."""
        for kind in (kinds.PODS, kinds.SERVICES):
            version = await asyncio.to_thread(self._list, kind)
            threading.Thread(target=self._follow, args=(kind, version), daemon=True).start()

    def _list(self, kind: Kind) -> str:
        found = self._api.get(f"api/v1/{kind.plural}")
        self._loop.call_soon_threadsafe(self._replace, kind, found["items"])
        return str(found["metadata"]["resourceVersion"])

    def _follow(self, kind: Kind, version: str) -> None:
        path = f"api/v1/{kind.plural}"
        while True:
            with contextlib.suppress(urllib3.exceptions.HTTPError, Refused):
                for event in self._api.watch(path, seconds=WATCH_SECONDS, resourceVersion=version):
                    self._loop.call_soon_threadsafe(self._apply, event["type"], kind, event["object"])
            version = self._list(kind)

    def _replace(self, kind: Kind, items: list[Json]) -> None:
        there = {key_of(item) for item in items}
        for old in self._store.every(kind):
            if key_of(old) not in there:
                self._store.remove(kind, old)
        for item in items:
            self._apply("ADDED", kind, item)

    def _apply(self, word: str, kind: Kind, item: Json) -> None:
        if word == "DELETED":
            self._store.remove(kind, item)
        elif word in {"ADDED", "MODIFIED"}:
            known = self._store.get(kind, *key_of(item)) is not None
            (self._store.update if known else self._store.create)(kind, item)


class Tunnels:
    """What the API server's proxy reaches: the running pod that has the address, whatever its port."""

    def __init__(self, store: Store, pages: Pages) -> None:
        self._store = store
        self._pages = pages

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One tunnel, one request in it, one answer."""
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            asked = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split()[1]
            pod = self._pod_at(asked.rpartition(":")[0])
            writer.write(NO_ROUTE if pod is None else TUNNELLED)
            if pod is not None:
                path = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split()[1]
                writer.write(_response(*self._pages.page(pod, path.partition("?")[0])))
            await writer.drain()
        writer.close()

    def _pod_at(self, address: str) -> Json | None:
        # One that still waits for its image has an address, and nobody who listens there.
        for pod in self._store.every(kinds.PODS):
            status = pod.get("status") or {}
            if (status.get("podIP"), status.get("phase")) == (address, "Running"):
                return pod
        return None


def _response(code: int, type_: str, body: str) -> bytes:
    data = body.encode()
    head = f"HTTP/1.1 {code} Answered\r\nContent-Type: {type_}\r\nContent-Length: {len(data)}\r\n"
    return f"{head}Connection: close\r\n\r\n".encode() + data


async def run(folder: Path, images: Path, *, registry_port: int, socket: Path) -> None:
    """Answer until the process is ended."""
    api = from_kubeconfig(folder / "kubeconfig")
    assert api is not None
    offered = Images.load(images)
    store = Store(Disk(folder / "network.sqlite3"))
    pages = Pages(store, offered)
    applications = Applications(store, pages, tls=_tls(folder))
    await Mirror(api, store).begin()
    await asyncio.start_unix_server(Tunnels(store, pages).answer, socket)
    await applications.begin()
    config = uvicorn.Config(
        Registry(offered),
        port=registry_port,
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="none",
    )
    await uvicorn.Server(config).serve()


def _tls(folder: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificates.ensure(folder))
    return context


def answers(registry_port: int) -> Callable[[], bool]:
    """Return what tells whether all of it answers: the registry is the last to come."""

    def look() -> bool:
        try:
            found = urllib3.request("GET", f"http://127.0.0.1:{registry_port}/v2/", retries=False, timeout=1)
        except urllib3.exceptions.HTTPError:
            return False
        return found.status == 200

    return look


def main() -> None:
    """Read the command line and answer."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--folder", type=Path, required=True, help="of the control plane, with its kubeconfig"
    )
    parser.add_argument("--images", type=Path, required=True, help="YAML of what the registry offers")
    parser.add_argument("--registry-port", type=int, required=True)
    parser.add_argument(
        "--socket", type=Path, required=True, help="through which the API server reaches pods"
    )
    given: Any = parser.parse_args()
    asyncio.run(run(given.folder, given.images, registry_port=given.registry_port, socket=given.socket))


if __name__ == "__main__":
    main()
