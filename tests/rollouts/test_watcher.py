"""Whoever waits for a nudge does not wait for rows that readers see, nor for a database that is away."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import OperationalError

from releases.catalog.models import Environment
from releases.rollouts import watcher
from releases.rollouts.running import View
from releases.rollouts.urgency import Urgency
from releases.rollouts.watcher import Place, Watcher


class Scene:
    """A watcher of two places, and what it nudged."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.nudged: list[int] = []
        self.told = threading.Event()
        self.own = Watcher()
        for pk in (1, 2):
            self.own.places[pk] = Place(Environment(pk=pk), watches={}, rollouts={pk * 10})
        monkeypatch.setattr(watcher.Place, "view", lambda _place: View({}, []))
        monkeypatch.setattr("portal.jobs.enqueue_now", self._nudge)

    def _nudge(self, _name: str, pk: int) -> None:
        self.nudged.append(pk)
        self.told.set()

    def running(self, meanwhile: Callable[[], None]) -> None:
        """Let the watcher run, do something, and end it."""
        thread = threading.Thread(target=self.own.run)
        thread.start()
        try:
            meanwhile()
        finally:
            self.own.ending.set()
            thread.join(timeout=10)
        assert not thread.is_alive()


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    return Scene(monkeypatch)


def test_a_nudge_waits_for_no_rows(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    writes, goes_on = threading.Event(), threading.Event()

    def look(_environment: Environment, _view: View) -> None:
        writes.set()
        goes_on.wait(timeout=10)

    monkeypatch.setattr(watcher, "look", look)
    monkeypatch.setattr(scene.own, "plan", lambda: None)
    scene.own.places[1].rows_due = 0.0

    def meanwhile() -> None:
        assert writes.wait(timeout=10)
        scene.own.changes.put((2, Urgency.NOW))
        assert scene.told.wait(timeout=10)
        goes_on.set()

    scene.running(meanwhile)
    assert scene.nudged == [20]


def test_a_nudge_waits_for_no_database(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = threading.Event()

    def plan() -> None:
        asked.set()
        raise OperationalError("away")

    monkeypatch.setattr(scene.own, "plan", plan)

    def meanwhile() -> None:
        assert asked.wait(timeout=10)
        scene.own.changes.put((1, Urgency.NOW))
        assert scene.told.wait(timeout=10)

    scene.running(meanwhile)
    assert scene.nudged == [10]


def test_a_fault_in_what_keeps_the_watches_ends_the_process(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    def plan() -> None:
        raise KeyError("a fault of our own")

    monkeypatch.setattr(scene.own, "plan", plan)
    monkeypatch.setattr(threading, "excepthook", lambda _given: None)
    with pytest.raises(RuntimeError):
        scene.own.run()


def test_what_changes_while_rows_are_written_is_due_again(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[Any] = []
    place = scene.own.places[1]

    def look(environment: Environment, _view: View) -> None:
        looked.append(environment.pk)
        place.rows_due = 0.0

    monkeypatch.setattr(watcher, "look", look)
    place.rows_due = 0.0
    scene.own.write_rows()
    scene.own.write_rows()
    assert looked == [1, 1]


def test_many_changes_of_a_moment_are_one_nudge(scene: Scene) -> None:
    for _change in range(20):
        scene.own.changes.put((1, Urgency.NOW))
    for _change in range(20):
        scene.own.nudge(seconds=0.0)
    assert scene.nudged == [10]


def test_what_shows_nothing_new_nudges_nobody(scene: Scene) -> None:
    scene.own.changes.put((1, Urgency.ROWS))
    scene.own.nudge(seconds=0.0)
    assert scene.nudged == []
    assert scene.own.places[1].rows_due is not None
