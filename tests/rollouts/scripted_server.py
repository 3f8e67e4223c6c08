"""An API server that answers as a test writes it down, and remembers what it was asked."""

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from portal.integrations.kubernetes.client import Cluster
from portal.integrations.kubernetes.connection import Access


@dataclass
class Asked:
    """One request as it came."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: Any


@dataclass
class Script:
    """Answers in their order, the last one again and again: (code, body, headers) or "cut"."""

    answers: list[tuple[int, Any, dict[str, str]] | str] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)

    def say(self, code: int, body: Any = None, **headers: str) -> None:
        """Answer the next request like this."""
        named = {key.replace("_", "-"): value for key, value in headers.items()}
        self.answers.append((code, {} if body is None else body, named))

    def cut(self) -> None:
        """Break the line in the middle of the next answer."""
        self.answers.append("cut")


@contextmanager
def scripted_cluster(tls: ssl.SSLContext | None = None) -> Iterator[tuple[Cluster, Script]]:
    """A client on such a server; behind TLS where a context is given."""
    script = Script()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(script))
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    scheme = "https" if tls is not None else "http"
    cluster = Cluster(Access(server=f"{scheme}://127.0.0.1:{server.server_port}", token="t0ken"))
    try:
        yield cluster, script
    finally:
        cluster.close()
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)


def _handler(script: Script) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            parts = urlsplit(self.path)
            headers = {key.lower(): value for key, value in self.headers.items()}
            script.asked.append(Asked(self.command, parts.path, parse_qs(parts.query), headers, body))
            found = script.answers.pop(0) if len(script.answers) > 1 else script.answers[0]
            if found == "cut":
                self.wfile.write(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"half":')
                self.close_connection = True
                return
            assert not isinstance(found, str)
            code, content, extra = found
            data = content.encode() if isinstance(content, str) else json.dumps(content).encode()
            self.send_response(code)
            for name, value in extra.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PATCH = answer  # noqa: N815  the library's names

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002  the library's name
            """Say nothing."""

    return Handler
