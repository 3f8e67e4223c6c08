"""The watcher's one thread: whoever waits for a nudge does not wait for rows that readers see."""

import time
from typing import Any

import pytest

from releases.catalog.models import Connection, Environment
from releases.rollouts import watcher
from releases.rollouts.running import View
from releases.rollouts.urgency import Urgency


def test_what_changes_while_rows_are_written_is_told_before_the_next_rows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[tuple[str, Any]] = []
    own = watcher.Watcher()
    for pk in (1, 2):
        place = watcher.Place(Environment(pk=pk), watches={}, rollouts={pk * 10}, rows_due=1.0)
        own.places[pk] = place

    def look(environment: Environment, _view: View) -> None:
        told.append(("rows", environment.pk))
        if environment.pk == 1:
            own.changes.put((2, Urgency.NOW))

    monkeypatch.setattr(watcher, "look", look)
    monkeypatch.setattr(watcher.Place, "view", lambda _place: View({}, []))
    monkeypatch.setattr("portal.jobs.enqueue", lambda _name, pk: told.append(("nudge", pk)))
    own._write_rows()
    assert told == [("rows", 1), ("nudge", 20), ("rows", 2)]


def test_a_rollout_that_begins_where_another_is_watched_hears_of_what_changed_before_it_was_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[int] = []
    own = watcher.Watcher()
    own.places[1] = watcher.Place(Environment(pk=1, cluster=Connection()), watches={}, rollouts={10})
    monkeypatch.setattr(own, "leads_for", lambda _cluster: True)
    monkeypatch.setattr("portal.jobs.enqueue", lambda _name, pk: told.append(pk))
    for _turn in range(2):
        own._watch(1, {10, 11})
        own._send_due(time.monotonic())
    assert told == [11]
