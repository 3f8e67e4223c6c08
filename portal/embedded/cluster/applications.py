"""The applications behind the Services: real listeners on loopback that answer health questions."""

import asyncio
import contextlib
import itertools
import json
import logging
import ssl
from dataclasses import dataclass, field

from portal.embedded.cluster import kinds
from portal.embedded.cluster.controllers import podwork
from portal.embedded.cluster.pages import JSON, Pages
from portal.embedded.cluster.store import Change, Key, Object, Store

LOGGER = logging.getLogger(__name__)
LOOPBACK = "127.0.0.1"
# Where a Service is really heard when its own address and port cannot be bound: `80=127.0.0.1:40123`.
LISTENS = "practice/listens"
# The `appProtocol` of a port behind which the certificate of the cluster itself is shown.
SECURE = "https"
REQUEST_SECONDS = 5.0
REASONS = {200: "OK", 404: "Not Found", 405: "Method Not Allowed", 503: "Service Unavailable"}


@dataclass
class Door:
    """The listeners of one Service, by its ports."""

    address: str
    servers: dict[int, asyncio.Server] = field(default_factory=dict)
    turns: itertools.count = field(default_factory=itertools.count)  # type: ignore[type-arg]


class Applications:
    def __init__(self, store: Store, pages: Pages, *, tls: ssl.SSLContext | None = None) -> None:
        self._store = store
        self._tls = tls
        self._pages = pages
        self._doors: dict[Key, Door] = {}
        self._changed: asyncio.Queue[Key] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None
        store.listen(self._hear)

    def _hear(self, change: Change) -> None:
        if change.kind is kinds.SERVICES:
            self._changed.put_nowait(
                (change.object["metadata"]["namespace"], change.object["metadata"]["name"])
            )

    async def begin(self) -> None:
        """Listen for the Services there are, then for each new one."""
        for service in self._store.every(kinds.SERVICES):
            self._changed.put_nowait((service["metadata"]["namespace"], service["metadata"]["name"]))
        while not self._changed.empty():
            await self._follow(self._changed.get_nowait())
        self._task = asyncio.ensure_future(self._keep_up())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
        for key in list(self._doors):
            self._close(key)

    async def _keep_up(self) -> None:
        while True:
            await self._follow(await self._changed.get())

    async def _follow(self, key: Key) -> None:
        """Open and close listeners so that they fit what the Service says now."""
        service = self._store.get(kinds.SERVICES, *key)
        address = service["spec"].get("clusterIP", "") if service else ""
        if service is None or not address.startswith("127."):
            self._close(key)
            return
        door = self._doors.setdefault(key, Door(address))
        wanted = {
            port["port"]: self._tls if port.get("appProtocol") == SECURE else None
            for port in service["spec"].get("ports") or []
            if port.get("protocol", "TCP") == "TCP"
        }
        for port in set(door.servers) - wanted.keys():
            door.servers.pop(port).close()
        moved = {}
        for port in sorted(wanted.keys() - set(door.servers)):
            door.servers[port], place = await self._open(key, address, port, wanted[port])
            if place != (address, port):
                moved[port] = place
        if moved:
            self._note(key, moved)

    async def _open(
        self, key: Key, address: str, port: int, tls: ssl.SSLContext | None
    ) -> tuple[asyncio.Server, tuple[str, int]]:
        """A listener on the Service's own address, else on a free port of 127.0.0.1."""

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self._answer(key, port, reader, writer)

        try:
            return await asyncio.start_server(answer, address, port, ssl=tls), (address, port)
        except OSError:
            server = await asyncio.start_server(answer, LOOPBACK, 0, ssl=tls)
            return server, (LOOPBACK, server.sockets[0].getsockname()[1])

    def _note(self, key: Key, moved: dict[int, tuple[str, int]]) -> None:
        service = self._store.get(kinds.SERVICES, *key)
        if service is None:
            return
        text = ",".join(f"{port}={host}:{number}" for port, (host, number) in sorted(moved.items()))
        marks = {**(service["metadata"].get("annotations") or {}), LISTENS: text}
        self._store.update(
            kinds.SERVICES, {**service, "metadata": {**service["metadata"], "annotations": marks}}
        )

    def _close(self, key: Key) -> None:
        door = self._doors.pop(key, None)
        for server in door.servers.values() if door else ():
            server.close()

    async def _answer(
        self, key: Key, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """One request, one answer, and the connection ends; without a ready pod it ends unanswered."""
        try:
            pod = self._ready_pod(key)
            async with asyncio.timeout(REQUEST_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
            method, _, rest = head.decode("latin-1").partition(" ")
            path = rest.partition(" ")[0].partition("?")[0]
            if pod is None:
                code, type_, body = 503, JSON, json.dumps({"error": "no ready endpoint"})
            elif method not in ("GET", "HEAD"):
                code, type_, body = 405, JSON, json.dumps({"error": "method not allowed"})
            else:
                code, type_, body = self._pages.page(pod, path)
            writer.write(_response(code, type_, body, with_body=method != "HEAD"))
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError) as error:
            LOGGER.debug("port %s of %s: %s", port, "/".join(key), error)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    def _ready_pod(self, key: Key) -> Object | None:
        """A ready pod of the Service, each in its turn."""
        ready = ready_pods(self._store, key)
        if not ready or key not in self._doors:
            return None
        chosen: Object = ready[next(self._doors[key].turns) % len(ready)]
        return chosen


def ready_pods(store: Store, service: Key) -> list[Object]:
    """The pods behind a Service that take requests."""
    found = store.get(kinds.SERVICES, *service)
    selector = (found["spec"].get("selector") if found else None) or {}
    return [
        pod
        for pod in store.every(kinds.PODS, service[0])
        if selector
        and all((pod["metadata"].get("labels") or {}).get(name) == value for name, value in selector.items())
        and podwork.is_ready(pod)
        and "deletionTimestamp" not in pod["metadata"]
    ]


def _response(code: int, type_: str, body: str, *, with_body: bool) -> bytes:
    data = body.encode()
    head = (
        f"HTTP/1.1 {code} {REASONS[code]}\r\nContent-Type: {type_}\r\nContent-Length: {len(data)}\r\n"
        "Cache-Control: no-store\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + (data if with_body else b"")
