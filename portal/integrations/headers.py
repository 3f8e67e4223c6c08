"""Connections on which the headers of an answer come, all together, in the time that one read has.

The libraries bound each read of a socket alone: a server that sends a byte now and then would hold its caller
for as long as it likes before the first byte of the body.
"""

import http.client
import socket
import time
from io import BufferedReader
from typing import Any, cast

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection


class _InTime:
    """Lines of a stream until a moment of the monotonic clock."""

    def __init__(self, stream: BufferedReader, line: socket.socket, *, until: float) -> None:
        self._stream = stream
        self._line = line
        self._until = until
        self._there = b""

    def readline(self, limit: int) -> bytes:
        """Read one line, or as much of it as the limit (bytes) lets.

        Raises:
            TimeoutError: it had not come by then.
        """
        line, ended = bytearray(), False
        while not ended and len(line) < limit:
            there = self._there or self._wait()
            end = there.find(b"\n", 0, limit - len(line)) + 1
            taken = end or min(len(there), limit - len(line))
            line += self._stream.read(taken)
            self._there = there[taken:]
            ended = bool(end) or not there
        return bytes(line)

    def _wait(self) -> bytes:
        """Wait until there is something, and look at it: a full read would wait for more."""
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._line.settimeout(left)
        return self._stream.peek(1)

    def close(self) -> None:
        """Give up the stream."""
        self._stream.close()


class _Response(http.client.HTTPResponse):
    """An answer whose status and headers are read in time."""

    def __init__(self, sock: socket.socket, *args: Any, **more: Any) -> None:
        super().__init__(sock, *args, **more)
        self._line = sock

    def begin(self) -> None:
        """Read the status and the headers."""
        stream, seconds = self.fp, self._line.gettimeout()
        if seconds is not None:
            until = time.monotonic() + seconds
            self.fp = cast(BufferedReader, _InTime(stream, self._line, until=until))
        try:
            super().begin()
        finally:
            self.fp = stream
            self._line.settimeout(seconds)


class _Connection(HTTPConnection):
    response_class = _Response


class _SafeConnection(HTTPSConnection):
    response_class = _Response


class Pool(urllib3.HTTPConnectionPool):
    """Connections by http."""

    ConnectionCls = _Connection


class SafePool(urllib3.HTTPSConnectionPool):
    """Connections by https."""

    ConnectionCls = _SafeConnection


def bound(manager: urllib3.PoolManager) -> None:
    """Let a library's connections be such ones, from the first on."""
    manager.pool_classes_by_scheme = {"http": Pool, "https": SafePool}
