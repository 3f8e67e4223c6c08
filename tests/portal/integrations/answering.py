"""A small HTTP server on loopback that answers as a test says and remembers what it was asked."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Asked:
    """One request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]


@dataclass
class Given:
    """One answer to give."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


Answerer = Callable[[Asked], Given]


@dataclass
class Server:
    """Where it listens and what it was asked."""

    port: int
    asked: list[Asked] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def answering(answerer: Answerer) -> Iterator[Server]:
    """Serve until the end of the block."""
    server: Server

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            asked = Asked(self.command, self.path, dict(self.headers))
            server.asked.append(asked)
            given = answerer(asked)
            self.send_response(given.status)
            for name, value in {"Content-Length": str(len(given.body)), **given.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(given.body)

        do_GET = do_HEAD = _answer  # noqa: N815  the names the standard library calls

        def log_message(self, *_args: object) -> None:
            """Keep the test's output clean."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        server = Server(listening.server_address[1])
        thread = threading.Thread(target=listening.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            listening.shutdown()
            thread.join(timeout=5)


Answer = Callable[[socket.socket, threading.Event], None]


@contextmanager
def _answering_once(answer: Answer) -> Iterator[int]:
    """A port at which one call is answered; the answer may look whether the test has ended."""
    ended = threading.Event()

    def take() -> None:
        with contextlib.suppress(OSError):
            line, _address = listening.accept()
            with line:
                line.recv(65_536)
                answer(line, ended)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=take, daemon=True)
        thread.start()
        yield int(listening.getsockname()[1])
        ended.set()
    thread.join(timeout=5)


def never_ending(pause: float) -> AbstractContextManager[int]:
    """Answer one call without end, as fast as it is taken or a byte after each pause (seconds); its port."""

    def answer(line: socket.socket, ended: threading.Event) -> None:
        line.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
        while not ended.wait(pause):
            line.sendall(b" " * (1 if pause else 65_536))

    return _answering_once(answer)


@contextmanager
def trickling_headers(pause: float, *, count: int = 400) -> Iterator[tuple[int, threading.Event]]:
    """Answer one call, so many bytes of its headers each after a pause (seconds).

    Yields:
        Its port, and what is set once they have all been sent.
    """
    whole = threading.Event()

    def answer(line: socket.socket, ended: threading.Event) -> None:
        line.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\nSlow: ")
        for _byte in range(count):
            if ended.wait(pause):
                return
            line.sendall(b"x")
        whole.set()
        line.sendall(b"\r\n\r\n{}")

    with _answering_once(answer) as port:
        yield port, whole
