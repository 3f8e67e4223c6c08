"""Watches: the history from one version on, then every change as it happens."""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any

from portal.embedded.cluster.errors import ApiError, expired
from portal.embedded.cluster.kinds import Kind
from portal.embedded.cluster.selectors import Match
from portal.embedded.cluster.store import Change, Object, Store

BOOKMARK_SECONDS = 30.0
INITIAL_EVENTS_END = "k8s.io/initial-events-end"


def line(word: str, item: Any) -> bytes:
    return json.dumps({"type": word, "object": item}, separators=(",", ":")).encode() + b"\n"


class Watch:
    """One client's watch over a kind, in one namespace or all."""

    def __init__(
        self, store: Store, kind: Kind, *, namespace: str, match: Match, show: Callable[[Object], Object]
    ) -> None:
        self._store = store
        self.kind = kind
        self.namespace = namespace
        self._match = match
        self._show = show
        self._after = 0
        self._waiting: deque[Change] = deque()
        self._news = asyncio.Event()
        self._end: ApiError | None = None
        self._cut = False
        self._where = (kind, namespace)
        store.listen(self._hear, self._where)

    def close(self) -> None:
        self._store.unlisten(self._hear, self._where)

    def cut(self) -> None:
        """End the stream in the middle, as a lost connection does."""
        self._cut = True
        self._news.set()

    @property
    def is_cut(self) -> bool:
        return self._cut

    def expire(self) -> None:
        """End the stream with a 410 in it."""
        self.fail(expired(self._store.version - 1, oldest=self._store.version))

    def fail(self, error: ApiError) -> None:
        """End the stream with an error in it, which is where clients look for a 410."""
        self._end = error
        self._news.set()

    def _hear(self, change: Change) -> None:
        if change.version > self._after:
            self._waiting.append(change)
            self._news.set()

    def _is_here(self, item: Object) -> bool:
        return not self.namespace or item["metadata"].get("namespace", "") == self.namespace

    def replay(self, version: int) -> None:
        """Begin after a version of the past.

        Raises:
            ApiError: 410 when the history does not reach back so far.
        """
        if version < self._store.forgotten:
            raise expired(version, oldest=self._store.forgotten)
        self._after = version
        self._waiting.extend(
            change
            for change in self._store.history
            if change.version > version and change.kind is self.kind and self._is_here(change.object)
        )
        if self._waiting:
            self._news.set()

    def present(self) -> bytes:
        """What is there now, as if it were being added."""
        items = self._store.every(self.kind, self.namespace)
        return b"".join(line("ADDED", self._named(item)) for item in items if self._match(item))

    def bookmark(self, *, initial_end: bool = False) -> bytes:
        metadata: Object = {"resourceVersion": str(self._store.version), "creationTimestamp": None}
        if initial_end:
            metadata["annotations"] = {INITIAL_EVENTS_END: "true"}
        return line(
            "BOOKMARK", {"kind": self.kind.kind, "apiVersion": self.kind.api_version, "metadata": metadata}
        )

    async def stream(self, *, seconds: float, bookmarks: bool) -> AsyncIterator[bytes]:
        """Lines until the time is over; the caller closes the watch."""
        loop = asyncio.get_running_loop()
        ends = loop.time() + seconds
        while not self._cut and self._end is None:
            text = self._drain()
            if text:
                yield text
                continue
            pause = min(ends - loop.time(), BOOKMARK_SECONDS)
            if pause <= 0:
                break
            try:
                async with asyncio.timeout(pause):
                    await self._news.wait()
            except TimeoutError:
                if bookmarks:
                    yield self.bookmark()
        if self._end is not None:
            yield line("ERROR", self._end.body)

    def _drain(self) -> bytes:
        self._news.clear()
        lines = []
        while self._waiting:
            text = self._told(self._waiting.popleft())
            if text:
                lines.append(text)
        return b"".join(lines)

    def _told(self, change: Change) -> bytes | None:
        """One change as this watch's selectors see it: objects enter and leave the selection."""
        matches = self._match(change.object)
        matched = change.previous is not None and self._match(change.previous)
        item = self._named(change.object)
        if change.word == "DELETED":
            return line("DELETED", item) if matches or matched else None
        if matches:
            return line("MODIFIED" if matched else "ADDED", item)
        return line("DELETED", item) if matched else None

    def _named(self, item: Object) -> Object:
        return self._show({"kind": self.kind.kind, "apiVersion": self.kind.api_version, **item})
