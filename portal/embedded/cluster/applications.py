"""The applications behind the practice cluster's Services: loopback listeners that answer for a ready pod.

A Service's address is one of 127.40.0.0/16, so its port can be bound as it is written. Where a system has
only 127.0.0.1 (macOS), a free port is taken instead and written into the annotation practice/address.
"""

import asyncio
import logging
from functools import partial
from itertools import count
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from portal.embedded.cluster import kinds
from portal.embedded.cluster.controllers.podwork import is_active, is_ready
from portal.embedded.cluster.images import Images
from portal.embedded.cluster.store import Change, Key, Object, Store, key_of

LOGGER = logging.getLogger(__name__)
LOOPBACK = "127.0.0.1"
ADDRESS = "practice/address"
HEALTH = "practice/health"
Place = tuple[str, int]


class Applications:
    """One listener per port of a Service; an HTTP answer says what the pod behind it would say."""

    def __init__(self, store: Store, images: Images) -> None:
        self._store = store
        self._images = images
        self._turn = count()
        self._open: dict[Key, dict[Place, asyncio.Server]] = {}
        self._served: dict[Place, Key] = {}
        self._protocol = self._make_protocol()
        store.listen(self._hear)

    async def start(self) -> None:
        """Open the listeners of the Services that are there already."""
        for service in self._store.list(kinds.SERVICES):
            await self._serve(service)

    async def stop(self) -> None:
        """Close every listener."""
        for key in list(self._open):
            self._close(key)

    def _make_protocol(self) -> Any:
        app = Starlette(
            routes=[
                Route("/actuator/health", self._actuator),
                Route("/actuator/health/{group}", self._actuator),
                Route("/health", self._health),
                Route("/api/v1/{part}/health", self._health),
                Route("/", self._page),
            ]
        )
        config = uvicorn.Config(app, log_level="warning", access_log=False, lifespan="off", ws="none")
        config.load()
        state = uvicorn.Server(config).server_state
        protocol: Any = config.http_protocol_class
        return partial(protocol, config=config, server_state=state, app_state={})

    def _hear(self, change: Change) -> None:
        if change.kind is not kinds.SERVICES:
            return
        if change.word == "DELETED":
            self._close(key_of(change.object))
        elif _places(change.object) != set(self._open.get(key_of(change.object), {})):
            task = asyncio.get_running_loop().create_task(self._serve(change.object))
            task.add_done_callback(_report)

    async def _serve(self, service: Object) -> None:
        key = key_of(service)
        wanted = _places(service)
        held = self._open.setdefault(key, {})
        for place in set(held) - wanted:
            self._end(key, place)
        for place in wanted - set(held):
            server, bound = await self._bind(place)
            held[place] = server
            self._served[bound] = key
            if bound != place:
                self._annotate(key, bound)

    async def _bind(self, place: Place) -> tuple[asyncio.Server, Place]:
        loop = asyncio.get_running_loop()
        try:
            return await loop.create_server(self._protocol, *place), place
        except OSError as error:
            LOGGER.info("%s:%s cannot be bound (%s); another port stands in", *place, error)
        server = await loop.create_server(self._protocol, LOOPBACK, 0)
        return server, server.sockets[0].getsockname()[:2]

    def _annotate(self, key: Key, bound: Place) -> None:
        service = self._store.get(kinds.SERVICES, *key)
        if service is None:
            return
        annotations = {**(service["metadata"].get("annotations") or {}), ADDRESS: f"{bound[0]}:{bound[1]}"}
        self._store.update(
            kinds.SERVICES, {**service, "metadata": {**service["metadata"], "annotations": annotations}}
        )

    def _close(self, key: Key) -> None:
        for place in list(self._open.get(key, {})):
            self._end(key, place)
        self._open.pop(key, None)

    def _end(self, key: Key, place: Place) -> None:
        server = self._open[key].pop(place)
        for bound in [each for each, owner in self._served.items() if owner == key]:
            if bound in [socket.getsockname()[:2] for socket in server.sockets]:
                del self._served[bound]
        server.close()

    def _pod(self, request: Request) -> Object | None:
        """A ready pod of the Service that was called, each in its turn."""
        server = request.scope["server"]
        key = self._served.get((server[0], server[1]))
        service = self._store.get(kinds.SERVICES, *key) if key else None
        selector = (service or {}).get("spec", {}).get("selector") or {}
        if service is None or not selector:
            return None
        ready = [
            pod
            for pod in self._store.list(kinds.PODS, service["metadata"]["namespace"])
            if selector.items() <= (pod["metadata"].get("labels") or {}).items()
            and is_active(pod)
            and is_ready(pod)
        ]
        return ready[next(self._turn) % len(ready)] if ready else None

    def _wish(self, pod: Object) -> str:
        """What the pod's annotation, else its image's label, wants its health to be."""
        annotated = (pod["metadata"].get("annotations") or {}).get(HEALTH)
        if annotated:
            return str(annotated)
        for container in pod["spec"]["containers"]:
            try:
                image = self._images.pull(container["image"])
            except ValueError:
                continue
            if image is not None and HEALTH in image.labels:
                return image.labels[HEALTH]
        return "UP"

    async def _actuator(self, request: Request) -> Response:
        pod = self._pod(request)
        if pod is None:
            return _nobody()
        status = self._wish(pod)
        body = {"status": status, "components": {"ping": {"status": "UP"}, "db": {"status": status}}}
        return JSONResponse(body, status_code=200 if status in {"UP", "UNKNOWN"} else 503)

    async def _health(self, request: Request) -> Response:
        pod = self._pod(request)
        if pod is None:
            return _nobody()
        up = self._wish(pod) == "UP"
        return JSONResponse({"status": "ok" if up else "failing"}, status_code=200 if up else 503)

    async def _page(self, request: Request) -> Response:
        pod = self._pod(request)
        if pod is None:
            return _nobody()
        container = pod["spec"]["containers"][0]
        title = f"{container['name']} {container['image']}"
        return HTMLResponse(f"<!doctype html><title>{title}</title><h1>{title}</h1>")


def _places(service: Object) -> set[Place]:
    spec = service["spec"]
    address = str(spec.get("clusterIP") or "")
    if not address.startswith("127."):
        return set()
    return {
        (address, port["port"]) for port in spec.get("ports") or [] if port.get("protocol", "TCP") == "TCP"
    }


def _nobody() -> Response:
    return JSONResponse({"status": "no ready pod"}, status_code=503)


def _report(task: "asyncio.Task[None]") -> None:
    if not task.cancelled() and task.exception() is not None:
        LOGGER.error("a Service could not be served", exc_info=task.exception())
