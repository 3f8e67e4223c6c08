"""A line between the portal and a cluster that breaks where a test says, and counts what got through.

What stands in the way of one request is a `Fault`; without one everything is handed on. What the cluster
changed is counted as protocols.md, B says: a write that was answered well, was no dry run, and left a version
of the object that was not seen before.
"""

import json
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal

import urllib3
import yaml

from tests.cluster.api import from_kubeconfig

Json = dict[str, Any]
Where = Literal["before", "after", "half", "hang"]
Watching = Literal["", "silent", "doubled", "disordered", "expired", "cut", "bookmarks"]
READS = ("GET",)
WRITES = ("PATCH", "POST", "PUT", "DELETE")
# Nobody may write these; they ask what one may.
QUESTIONS = "selfsubjectaccessreviews"


@dataclass
class Fault:
    """What happens to the next `count` requests.

    Attributes:
        what: "before": the line is cut before the cluster hears of it. "after": it is done, the answer is
            lost. "half": half of the answer comes. "hang": neither side hears anything for `seconds`. A
            number: the cluster does not hear of it and this is answered.
        dry: whether dry runs meet it as well.
    """

    what: Where | int
    methods: tuple[str, ...] = WRITES
    count: int = 1
    seconds: float = 30.0
    headers: dict[str, str] = field(default_factory=dict)
    dry: bool = False
    met: int = 0

    def meets(self, method: str, path: str) -> bool:
        """Whether this request meets it."""
        if method not in self.methods or QUESTIONS in path or self.met >= self.count:
            return False
        return self.dry or "dryRun" not in path


@dataclass
class Proxy:
    """Hands requests on, as a cluster without a certificate.

    Attributes:
        faults: what is in the way; the first that meets a request counts.
        watching: what becomes of watches from now on.
        changes: by path, what the cluster really changed.
        asked: by path, how many writes came (dry runs left out), whatever became of them.
    """

    upstream: str
    pool: urllib3.PoolManager
    faults: list[Fault] = field(default_factory=list)
    watching: Watching = ""
    changes: dict[str, set[str]] = field(default_factory=dict)
    asked: dict[str, int] = field(default_factory=dict)
    ending: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def fault(self, what: Where | int, **more: Any) -> Fault:
        """Put something in the way."""
        made = Fault(what, **more)
        self.faults.append(made)
        return made

    def meet(self, method: str, path: str) -> Fault | None:
        """Count a request, and return what is in its way."""
        with self._lock:
            if method in WRITES and QUESTIONS not in path and "dryRun" not in path:
                plain = path.partition("?")[0]
                self.asked[plain] = self.asked.get(plain, 0) + 1
            found = next((each for each in self.faults if each.meets(method, path)), None)
            if found is not None:
                found.met += 1
            return found

    def note(self, method: str, path: str, status: int, data: bytes) -> None:
        """Count what the cluster changed."""
        if method not in WRITES or status >= 300 or "dryRun" in path or QUESTIONS in path:
            return
        metadata = json.loads(data).get("metadata", {})
        with self._lock:
            versions = self.changes.setdefault(path.partition("?")[0], set())
            versions.add(str(metadata.get("resourceVersion")))

    @property
    def effective(self) -> dict[str, int]:
        """How often each object was changed."""
        with self._lock:
            return {path: len(versions) for path, versions in self.changes.items()}


@contextmanager
def proxy_to(kubeconfig: Path, folder: Path) -> Iterator[tuple[Proxy, Path]]:
    """Put a line in front of a cluster; gives it with a kubeconfig that leads over it."""
    api = from_kubeconfig(kubeconfig)
    assert api is not None
    trust = ssl.create_default_context(cadata=api._authority)
    proxy = Proxy(api.server, urllib3.PoolManager(retries=False, ssl_context=trust, maxsize=32))
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(proxy))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield proxy, _led_over(kubeconfig, folder, server.server_port)
    finally:
        proxy.ending.set()
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)
        proxy.pool.clear()
        api.close()


def _led_over(kubeconfig: Path, folder: Path, port: int) -> Path:
    config = yaml.safe_load(kubeconfig.read_text())
    for each in config["clusters"]:
        each["cluster"] = {"server": f"http://127.0.0.1:{port}"}
    path = folder / "kubeconfig-over-proxy"
    path.write_text(yaml.safe_dump(config))
    return path


class Handler(BaseHTTPRequestHandler):
    """Carries one request over the faulty line."""

    protocol_version = "HTTP/1.1"
    proxy: Proxy

    def carry(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length) if length else None
        fault = self.proxy.meet(self.command, self.path)
        what = fault.what if fault else ""
        if fault is not None and what == "hang":
            self.proxy.ending.wait(fault.seconds)
        if what in {"before", "hang"}:
            return self.cut()
        if fault is not None and isinstance(what, int):
            return self.refuse(what, fault.headers)
        answer = self.ask(body)
        if "watch=true" in self.path and answer.status == 200:
            return self.stream(answer)
        data = answer.read()
        answer.release_conn()
        self.proxy.note(self.command, self.path, answer.status, data)
        if what == "after":
            return self.cut()
        return self.give(answer, data, half=what == "half")

    def ask(self, body: bytes | None) -> Any:
        left_out = {"host", "content-length", "connection", "accept-encoding"}
        headers = {key: value for key, value in self.headers.items() if key.lower() not in left_out}
        url = f"{self.proxy.upstream}{self.path}"
        wait = urllib3.Timeout(connect=5, read=300 if "watch=true" in self.path else 30)
        return self.proxy.pool.request(
            self.command, url, body=body, headers=headers, preload_content=False, timeout=wait
        )

    def cut(self) -> None:
        """Reset the line: the other side hears no farewell."""
        self.close_connection = True
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.connection.close()

    def refuse(self, code: int, headers: dict[str, str]) -> None:
        words = f"the proxy answers {code}"
        status = {"kind": "Status", "apiVersion": "v1", "code": code, "reason": "Any", "message": words}
        data = json.dumps(status).encode()
        self.send_response(code)
        for name, value in {**headers, "Content-Type": "application/json"}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def give(self, answer: Any, data: bytes, *, half: bool) -> None:
        self.send_response(answer.status)
        for name in ("Content-Type", "Retry-After"):
            if name in answer.headers:
                self.send_header(name, answer.headers[name])
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[: len(data) // 2] if half else data)
        self.close_connection |= half

    def stream(self, answer: Any) -> None:
        """Hand a watch on, event by event, as `watching` says."""
        self.close_connection = True
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        try:
            self.events(answer)
        except (OSError, urllib3.exceptions.HTTPError):
            return
        finally:
            answer.close()

    def events(self, answer: Any) -> None:
        before = rest = b""
        for chunk in answer.stream(amt=None):
            *whole, rest = (rest + chunk).split(b"\n")
            for event in whole:
                for sent in handed_on(self.proxy.watching, event, before):
                    self.wfile.write(sent + b"\n")
                before = event
            if self.proxy.watching in {"expired", "cut"}:
                return

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = carry  # noqa: N815  the library's names

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002  the library's name
        """Say nothing."""


def _handler(proxy: Proxy) -> type[Handler]:
    """The handler of this proxy: the library makes one of its class for every line."""
    return type("HandlerOf", (Handler,), {"proxy": proxy})


GONE = json.dumps({"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired"}}).encode()


def handed_on(watching: Watching, event: bytes, before: bytes) -> list[bytes]:
    """What becomes of one event of a watch, `before` being the one that came before it."""
    if watching == "bookmarks":
        return [as_bookmark(event)]
    return {
        "": [event],
        "silent": [],
        "doubled": [event, event],
        "disordered": [event, before] if before else [event],
        "expired": [GONE],
        "cut": [],
    }[watching]


def as_bookmark(event: bytes) -> bytes:
    """Of an event of a watch only how far it has got: it seems alive and tells nothing."""
    told = json.loads(event)["object"]
    place = {"resourceVersion": told["metadata"]["resourceVersion"]}
    body = {"kind": told["kind"], "apiVersion": told["apiVersion"], "metadata": place}
    return json.dumps({"type": "BOOKMARK", "object": body}).encode()
