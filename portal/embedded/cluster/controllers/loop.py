"""One queue for all controllers: changes put keys into it, and one task works them off."""

import asyncio
import logging
from collections.abc import Iterable
from typing import Protocol

from portal.embedded.cluster.errors import ApiError
from portal.embedded.cluster.faults import Faults
from portal.embedded.cluster.kinds import KINDS
from portal.embedded.cluster.store import Change, Key, Store

LOGGER = logging.getLogger(__name__)
RETRY_SECONDS = 1.0
STOPPED_SECONDS = 0.2


class Controller(Protocol):
    """Says which of its keys a change concerns, and reconciles one key."""

    def keys(self, change: Change) -> Iterable[Key]: ...

    def sync(self, key: Key) -> float | None:
        """Take the next action for a key; returns after how many seconds to look again, if at all."""


Task = tuple[Controller, Key]


class Loop:
    def __init__(self, store: Store, faults: Faults, controllers: Iterable[Controller]) -> None:
        self._faults = faults
        self._controllers = tuple(controllers)
        self._queue: dict[Task, None] = {}
        self._timers: dict[Task, asyncio.TimerHandle] = {}
        self._news = asyncio.Event()
        self._store = store
        store.listen(self._hear)

    def look_at_everything(self) -> None:
        """Treat every object as if it had just been added: what a former process left undone goes on."""
        for kind in KINDS:
            for item in self._store.every(kind):
                self._hear(Change(0, "ADDED", kind, item, None))

    def _hear(self, change: Change) -> None:
        for controller in self._controllers:
            for key in controller.keys(change):
                self.add(controller, key)

    def add(self, controller: Controller, key: Key) -> None:
        self._queue[controller, key] = None
        self._news.set()

    def _add_later(self, task: Task, seconds: float) -> None:
        timer = self._timers.pop(task, None)
        if timer is not None:
            timer.cancel()
        loop = asyncio.get_running_loop()
        self._timers[task] = loop.call_later(seconds, self._due, task)

    def _due(self, task: Task) -> None:
        self._timers.pop(task, None)
        self.add(*task)

    async def run(self) -> None:
        """Work until cancelled, one key at a time, letting requests in between."""
        while True:
            await self._news.wait()
            while self._faults.controllers_stopped:
                await asyncio.sleep(STOPPED_SECONDS)
            task = next(iter(self._queue), None)
            if task is None:
                self._news.clear()
                continue
            del self._queue[task]
            self._work(task)
            await asyncio.sleep(0)

    def _work(self, task: Task) -> None:
        controller, key = task
        try:
            seconds = controller.sync(key)
        except (ApiError, LookupError, TypeError, ValueError, AttributeError):
            LOGGER.exception("%s could not reconcile %s", type(controller).__name__, "/".join(key))
            seconds = RETRY_SECONDS
        if seconds is not None:
            self._add_later(task, max(seconds, 0.001))
