"""A rollout that waits: what it paused for is told while it is paused, and waiting costs little."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from portal import clock
from releases.rollouts import engine, operations
from releases.rollouts.models import Rollout
from releases.rollouts.steps.kind import Outcome, Verdict, Work, failed, wait
from releases.rollouts.steps.notice import Notice
from tests.factories import Shop
from tests.people import acting
from tests.portal.api import ApiClient
from tests.soak import long


@long
def test_a_rollout_that_fails_while_it_is_paused_shows_no_pause(
    notices: Rollout, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[Outcome] = [wait("made_up", seconds=0)]

    def observe(_kind: Notice, _work: Work) -> Outcome:
        return found[-1]

    monkeypatch.setattr(Notice, "observe", observe)
    operations.give_order(notices.pk, "pause", actor=acting(shop.cast.author), reason="lunch")
    engine.advance(notices.pk)
    api = ApiClient(shop.cast.author)
    assert api.send("GET", f"/rollouts/{notices.pk}").json()["pause"]["reason"] == "person"
    found.append(failed("made_up", "words"))
    engine.advance(notices.pk)
    answer = api.send("GET", f"/rollouts/{notices.pk}").json()
    assert (answer["state"], answer["pause"]) == ("failed", None)
    assert api.send("POST", f"/rollouts/{notices.pk}/pause").status_code == 409


@long
def test_what_could_not_be_measured_is_not_told_as_a_failure(
    notices: Rollout, client: Client, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    unclear = Outcome(verdict=Verdict.INCONCLUSIVE, failure={"code": "made_up"})
    monkeypatch.setattr(Notice, "observe", lambda _kind, _work: unclear)
    engine.advance(notices.pk)
    client.force_login(shop.cast.author)
    english = {"accept-language": "en"}
    page = client.get(f"/rollouts/{notices.pk}/", headers=english).content.decode()
    assert "Why it stopped: " in page
    assert "failure-wait" in page
    record = client.get(f"/releases/{notices.release_id}/", headers=english).content.decode()
    assert "A step gave no clear result" in record
    assert ">inconclusive<" not in record


@long
def test_a_round_that_finds_nothing_new_asks_and_writes_little(
    notices: Rollout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Notice, "observe", lambda _kind, _work: wait("made_up", seconds=60))
    engine.advance(notices.pk)
    # Seven of its own; the savepoints of the test's transaction are counted as well.
    with CaptureQueriesContext(connection) as asked:
        engine.advance(notices.pk)
    assert len(asked) <= 11


@long
def test_what_waited_beside_a_step_that_is_retried_after_a_pause_gets_its_time_anew(
    notices: Rollout, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Notice, "observe", lambda _kind, _work: wait("made_up", seconds=60))
    actor = acting(shop.cast.author)
    operations.give_order(notices.pk, "pause", actor=actor, reason="lunch")
    engine.advance(notices.pk)
    long_ago = clock.now() - timedelta(hours=1)
    notices.steps.filter(key="first").update(state="errored", started_at=long_ago)
    notices.steps.filter(key="second").update(state="running", started_at=long_ago, deadline_at=long_ago)
    operations.give_order(notices.pk, "retry", actor=actor, step_id=notices.steps.get(key="first").pk)
    engine.advance(notices.pk)
    notices.refresh_from_db()
    assert notices.state == "running"
    assert notices.steps.get(key="second").state == "running"


@long
def test_a_rollback_asked_anew_of_a_paused_way_back_gives_what_was_held_its_time_anew(
    notices: Rollout, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Notice, "observe", lambda _kind, _work: wait("waits_held", seconds=60))
    operations.give_order(notices.pk, "pause", actor=acting(shop.cast.author))
    engine.advance(notices.pk)
    long_ago = clock.now() - timedelta(hours=1)
    held = {"state": "running", "started_at": long_ago, "deadline_at": long_ago, "direction": "back"}
    notices.steps.filter(key="first").update(**held)
    Rollout.objects.filter(pk=notices.pk).update(lease_until=None)
    operations.give_order(notices.pk, "rollback", actor=acting(shop.cast.author))
    engine.advance(notices.pk)
    notices.refresh_from_db()
    assert (notices.state, notices.steps.get(key="first").state) == ("rolling_back", "running")
