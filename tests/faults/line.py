"""The line between the portal and PostgreSQL, cut where a test says."""

import contextlib
import select
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

from django.db import connection

COMMIT = b"COMMIT\x00"
CHUNK = 65_536


@dataclass
class Line:
    """Hands bytes on both ways.

    Attributes:
        commits_left: the answer to the commit after so many more is lost, and the line with it; None: never.
        lost: how many answers were lost.
        away: nobody gets through.
    """

    server: tuple[str, int]
    commits_left: int | None = None
    lost: int = 0
    away: bool = False
    door: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))

    @property
    def port(self) -> int:
        """Where to call instead of the server."""
        return int(self.door.getsockname()[1])

    def listen(self) -> None:
        """Take calls until the socket is closed."""
        while True:
            try:
                caller, _address = self.door.accept()
            except OSError:
                return
            if self.away:
                caller.close()
                continue
            threading.Thread(target=self._carry, args=(caller,), daemon=True).start()

    def _carry(self, caller: socket.socket) -> None:
        with caller, contextlib.suppress(OSError), socket.create_connection(self.server) as server:
            while True:
                ready, _w, _x = select.select([caller, server], [], [])
                if caller in ready and not self._forward(caller, server):
                    return
                if server in ready:
                    answer = server.recv(CHUNK)
                    if not answer or self.away:
                        return
                    caller.sendall(answer)

    def _forward(self, caller: socket.socket, server: socket.socket) -> bool:
        """Hand on what was asked; False where the line ends with it."""
        asked = caller.recv(CHUNK)
        if not asked or self.away:
            return False
        server.sendall(asked)
        if not asked.endswith(COMMIT) or self.commits_left is None:
            return True
        self.commits_left -= 1
        if self.commits_left >= 0:
            return True
        server.recv(CHUNK)  # it has committed
        self.commits_left, self.lost = None, self.lost + 1
        return False


@contextlib.contextmanager
def line_to_database() -> Iterator[Line]:
    """Lead this thread's connection over a line for the time of a block."""
    settings = connection.settings_dict
    before = {key: settings[key] for key in ("HOST", "PORT")}
    line = Line((str(before["HOST"]), int(before["PORT"])))
    thread = threading.Thread(target=line.listen, daemon=True)
    thread.start()
    settings.update(HOST="127.0.0.1", PORT=line.port)
    connection.close()
    try:
        yield line
    finally:
        settings.update(before)
        connection.close()
        line.door.shutdown(socket.SHUT_RDWR)
        line.door.close()
        thread.join(timeout=5)
