"""Whoever waits for a nudge does not wait for rows that readers see, nor for a database that is away."""

import math
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError

from portal import clock
from releases.catalog.models import Environment
from releases.rollouts import watcher
from releases.rollouts.models import Rollout
from releases.rollouts.running import View
from releases.rollouts.urgency import Urgency
from releases.rollouts.watcher import Place, Wake, Watcher
from tests.factories import make_release, make_shop, roll_out


class Scene:
    """A watcher of two places, and what it nudged."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.nudged: list[int] = []
        self.queue_answers = True
        self.told = threading.Event()
        self.own = Watcher()
        for pk in (1, 2):
            self.own.places[pk] = Place(Environment(pk=pk), watches={}, rollouts={pk * 10})
        monkeypatch.setattr(watcher.Place, "view", lambda _place: View({}, []))
        monkeypatch.setattr("portal.jobs.enqueue_now", self._nudge)

    def _nudge(self, _name: str, pk: int) -> bool:
        self.nudged.append(pk)
        self.told.set()
        return self.queue_answers

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


def test_a_place_at_which_the_portal_itself_fails_keeps_no_other_from_being_written(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[Any] = []

    def look(environment: Environment, _view: View) -> None:
        looked.append(environment.pk)
        if environment.pk == 1:
            raise KeyError("a fault of our own")

    monkeypatch.setattr(watcher, "look", look)
    for place in scene.own.places.values():
        place.rows_due = 0.0
    scene.own.write_rows()
    assert looked == [1, 2]


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


def test_rows_of_a_quiet_place_are_written_again_when_its_cluster_has_answered(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[Any] = []
    monkeypatch.setattr(watcher, "look", lambda environment, _view: looked.append(environment.pk))
    place = scene.own.places[1]
    for written_at in (-math.inf, time.monotonic()):
        place.written_at = written_at
        place.answered()
        scene.own.write_rows()
    assert looked == [1]


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


@pytest.mark.django_db
def test_one_that_does_not_lead_asks_for_the_lead_once_for_all_places_of_a_cluster(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(scene.own, "leads_for", asked.append)
    shop = make_shop()
    first = roll_out(make_release(shop, at="approved"), shop)
    beside = Environment.objects.create(
        name="beside", system="shop", stage="staging", cluster=shop.environment.cluster, namespace="beside"
    )
    items = [{"service": "auth-service", "version": "2.8.0"}]
    other = roll_out(make_release(shop, at="approved", items=items), shop)
    Rollout.objects.filter(pk=other.pk).update(environment=beside)
    place = scene.own.places.setdefault(first.environment_id, Place(first.environment, watches={}))
    scene.own.plan()
    assert asked == [shop.environment.cluster.name]
    assert place not in scene.own.places.values()


class Going:
    """One rollout that goes on, as the watcher's own statement would read it."""

    def __init__(self, scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
        self.scene = scene
        self.waiting = False
        monkeypatch.setattr(watcher, "LOST_SECONDS", 0.0)
        monkeypatch.setattr("portal.jobs.are_waiting", lambda: self.waiting)
        scene.own.changes.put((1, Urgency.NOW))
        scene.own.nudge(seconds=0.0)
        scene.nudged.clear()

    def again(self, heard: dict[int, float]) -> list[int]:
        """What is nudged again where each rollout heard a nudge so many seconds ago."""
        self.scene.nudged.clear()
        own = self.scene.own
        own._nudge_again(own.unheard.lost(heard, now=time.monotonic()))
        return list(self.scene.nudged)


@pytest.fixture
def going(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> Going:
    return Going(scene, monkeypatch)


def test_a_nudge_that_nobody_takes_up_is_sent_again_for_a_while(going: Going) -> None:
    before = 100.0
    assert [going.again({10: before}) for _time in range(watcher.MOST_NUDGES + 2)] == [
        *([[10]] * watcher.MOST_NUDGES),
        [],
        [],
    ]


def test_a_nudge_that_was_heard_is_not_sent_again(going: Going) -> None:
    assert going.again({10: 0.0}) == []
    assert going.again({10: 100.0}) == []


def test_a_rollout_that_is_over_is_not_nudged_again(going: Going) -> None:
    assert going.again({}) == []


def test_while_jobs_wait_no_nudge_is_taken_for_lost(going: Going) -> None:
    going.waiting = True
    assert going.again({10: 100.0}) == []
    going.waiting = False
    assert going.again({10: 100.0}) == [10]


def test_where_the_queue_is_away_it_is_tried_until_it_is_back(going: Going) -> None:
    going.scene.queue_answers = False
    for _time in range(watcher.MOST_NUDGES * 3):
        assert going.again({10: 100.0}) == [10]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("wakes_in", "held", "told"),
    [(10, False, True), (-10, False, True), (60, False, False), (10, True, False)],
)
def test_a_rollout_is_looked_at_in_the_moment_for_which_it_asked(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, wakes_in: int, held: bool, told: bool
) -> None:
    monkeypatch.setattr(watcher, "WAKE_SECONDS", 30.0)
    monkeypatch.setattr(scene.own, "leads_for", lambda _cluster: False)
    scene.own.places.clear()
    shop = make_shop()
    rollout = roll_out(make_release(shop, at="approved"), shop)
    moment = clock.now() + timedelta(seconds=wakes_in)
    Rollout.objects.update(wake_at=moment, lease_until=moment if held else None)
    scene.own.plan()
    assert scene.own.changes.empty() != told
    if told:
        scene.own.nudge(seconds=0)
        # What lies ahead waits for its time.
        assert (rollout.pk in scene.own.due, scene.nudged) == (
            (True, []) if wakes_in > 0 else (False, [rollout.pk])
        )


def test_of_two_moments_for_which_a_rollout_asked_the_sooner_counts(scene: Scene) -> None:
    now = time.monotonic()
    for later in (60, 30, 90):
        scene.own.changes.put(Wake(10, now + later))
        scene.own.nudge(seconds=0)
    assert scene.own.due == {10: now + 30}
