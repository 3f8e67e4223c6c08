"""The watcher's one thread: whoever waits for a nudge does not wait for rows that readers see."""

from typing import Any

import pytest

from releases.catalog.models import Environment
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
