"""The applications behind the Services: real listeners on loopback that answer health questions."""

import asyncio
import contextlib
import html
import itertools
import json
import logging
from dataclasses import dataclass, field

from portal.embedded.cluster import kinds
from portal.embedded.cluster.controllers import podwork
from portal.embedded.cluster.images import HOST as REGISTRY_HOST
from portal.embedded.cluster.images import Images, read_reference
from portal.embedded.cluster.store import Change, Key, Object, Store

LOGGER = logging.getLogger(__name__)
LOOPBACK = "127.0.0.1"
# Where a Service is really heard when its own address and port cannot be bound: `80=127.0.0.1:40123`.
LISTENS = "practice/listens"
# An object in JSON whose fields a health answer has as well.
DETAILS = "practice/health-json"
REQUEST_SECONDS = 5.0
REASONS = {200: "OK", 404: "Not Found", 405: "Method Not Allowed", 503: "Service Unavailable"}
JSON = "application/json"
HTML = "text/html; charset=utf-8"


@dataclass
class Door:
    """The listeners of one Service, by its ports."""

    address: str
    servers: dict[int, asyncio.Server] = field(default_factory=dict)
    turns: itertools.count = field(default_factory=itertools.count)  # type: ignore[type-arg]


class Applications:
    def __init__(self, store: Store, images: Images) -> None:
        self._store = store
        self._images = images
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
            port["port"]
            for port in service["spec"].get("ports") or []
            if port.get("protocol", "TCP") == "TCP"
        }
        for port in set(door.servers) - wanted:
            door.servers.pop(port).close()
        moved = {}
        for port in sorted(wanted - set(door.servers)):
            door.servers[port], place = await self._open(key, address, port)
            if place != (address, port):
                moved[port] = place
        if moved:
            self._note(key, moved)

    async def _open(self, key: Key, address: str, port: int) -> tuple[asyncio.Server, tuple[str, int]]:
        """A listener on the Service's own address, else on a free port of 127.0.0.1."""

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self._answer(key, port, reader, writer)

        try:
            return await asyncio.start_server(answer, address, port), (address, port)
        except OSError:
            server = await asyncio.start_server(answer, LOOPBACK, 0)
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
                code, type_, body = self._page(pod, path)
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
        service = self._store.get(kinds.SERVICES, *key)
        selector = (service["spec"].get("selector") if service else None) or {}
        ready: list[Object] = [
            pod
            for pod in self._store.every(kinds.PODS, key[0])
            if selector
            and all(
                (pod["metadata"].get("labels") or {}).get(name) == value for name, value in selector.items()
            )
            and podwork.is_ready(pod)
            and "deletionTimestamp" not in pod["metadata"]
        ]
        if not ready or key not in self._doors:
            return None
        chosen: Object = ready[next(self._doors[key].turns) % len(ready)]
        return chosen

    def _page(self, pod: Object, path: str) -> tuple[int, str, str]:
        container = pod["spec"]["containers"][0]
        health = self._health(pod, container)
        code = 200 if health in ("UP", "UNKNOWN") else 503
        is_api = path.startswith("/api/v1/") and path.endswith("/health")
        if (
            path in ("/actuator/health", "/actuator/health/readiness", "/actuator/health/liveness", "/health")
            or is_api
        ):
            parts = {"db": {"status": health}, "diskSpace": {"status": "UP"}, "ping": {"status": "UP"}}
            said = {"status": health, "components": parts, **self._details(pod, container)}
            return code, JSON, json.dumps(said)
        reference = read_reference(container["image"])
        version = self._version(container["image"])
        if path == "/":
            name = html.escape(reference.repository.rpartition("/")[2])
            page = f"<!doctype html><title>{name}</title><h1>{name}</h1><p>version {html.escape(version)}</p>"
            return 200, HTML, page
        if path in ("/actuator/info", "/version"):
            return 200, JSON, json.dumps({"name": reference.repository, "version": version})
        return 404, JSON, json.dumps({"error": "not found", "path": path})

    def _labels(self, image: str) -> dict[str, str]:
        reference = read_reference(image)
        if reference.host != REGISTRY_HOST:
            return {}
        found = self._images.find(reference.repository, reference.digest or reference.tag)
        return found.labels if found else {}

    def _health(self, pod: Object, container: Object) -> str:
        marks = pod["metadata"].get("annotations") or {}
        return marks.get("practice/health") or self._labels(container["image"]).get("practice/health", "UP")

    def _details(self, pod: Object, container: Object) -> Object:
        """What the pod's annotation adds to a health answer, and its image's label over that."""
        marks = pod["metadata"].get("annotations") or {}
        texts = (marks.get(DETAILS), self._labels(container["image"]).get(DETAILS))
        return {name: value for text in texts if text for name, value in json.loads(text).items()}

    def _version(self, image: str) -> str:
        reference = read_reference(image)
        labelled = self._labels(image).get("org.opencontainers.image.version")
        return labelled or reference.tag or reference.digest


def _response(code: int, type_: str, body: str, *, with_body: bool) -> bytes:
    data = body.encode()
    head = (
        f"HTTP/1.1 {code} {REASONS[code]}\r\nContent-Type: {type_}\r\nContent-Length: {len(data)}\r\n"
        "Cache-Control: no-store\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + (data if with_body else b"")
