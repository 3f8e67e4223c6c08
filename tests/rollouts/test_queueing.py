"""Starts that have to wait: they begin by themselves when their turn comes, or are given back and say why."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
from django.db import connections
from django.test import Client
from django.utils import translation

from portal import clock
from portal.audit.models import AuditEntry
from portal.errors import Conflict, NotAllowed
from portal.outbox.models import Message
from portal.people.models import User
from portal.people.operations import revoke_role
from releases import operations as release_operations
from releases.models import Release
from releases.rollouts import jobs, line, queueing
from releases.rollouts.models import Pin, QueuePlace, Rollout
from tests.factories import Shop, make_release
from tests.people import BY_THE_PORTAL, acting
from tests.portal.api import ApiClient
from tests.rollouts.waiting import ask, breaking_off, english, over, place, release_of
from tests.soak import long


@long
def test_it_waits_for_its_services_and_begins_by_itself(planned: Shop) -> None:
    running = ask(planned, release_of(planned))
    second = release_of(planned, version="2.9.0")
    waiting = ask(planned, second)
    assert isinstance(waiting, QueuePlace)
    second.refresh_from_db()
    assert second.state == "approved"
    assert line.stand_of(second).text == f"rollout {running.pk}" or str(running.pk) in str(
        line.stand_of(second).text
    )
    jobs.begin_queued()
    assert place(second).state == "queued"
    over(running)
    jobs.begin_queued()
    rollout = Rollout.objects.get(release=second)
    assert (place(second).state, place(second).rollout) == ("begun", rollout)
    assert rollout.started_by == planned.cast.author
    second.refresh_from_db()
    assert second.state == "rolling_out"


@long
def test_other_services_pass_and_the_same_ones_do_not(planned: Shop) -> None:
    running = ask(planned, release_of(planned))
    second = release_of(planned, "shopping-service", "payment-service", version="2.9.0")
    ask(planned, second)
    assert isinstance(ask(planned, release_of(planned, "auth-service")), Rollout)
    third = release_of(planned, "payment-service")
    assert isinstance(ask(planned, third), QueuePlace), "payment is free, but somebody came before"
    assert line.stand_of(third).after == (second.pk,)
    queued = AuditEntry.objects.filter(action="place.queued").order_by("pk")
    told = [json.loads(each.body)["after"] for each in queued]
    behind = [running.pk] if isinstance(running, Rollout) else []
    assert told == [
        {"place": 1, "rollouts": behind, "releases": []},
        {"place": 2, "rollouts": [], "releases": [second.pk]},
    ]
    over(running)
    jobs.begin_queued()
    assert (place(second).state, place(third).state) == ("begun", "queued")


@long
def test_an_environment_takes_as_many_at_once_as_it_says(planned: Shop) -> None:
    planned.environment.spec = {"concurrentRollouts": 1}
    planned.environment.save(update_fields=["spec"])
    running = ask(planned, release_of(planned))
    second, third = release_of(planned, "auth-service"), release_of(planned, "payment-service")
    assert isinstance(ask(planned, second), QueuePlace)
    assert isinstance(ask(planned, third), QueuePlace)
    assert [each.is_full for each in line.stands_in(planned.environment)] == [True, True]
    over(running)
    jobs.begin_queued()
    assert (place(second).state, place(third).state) == ("begun", "queued")


@long
def test_what_is_missing_is_said_at_once_and_nothing_is_queued(planned: Shop) -> None:
    ask(planned, release_of(planned))
    later = make_release(planned, at="in_review", items=[{"service": "shopping-service", "version": "3"}])
    with pytest.raises(Conflict) as refused:
        ask(planned, later)
    assert refused.value.code == "not_approved"
    assert not QueuePlace.objects.exists()


@long
def test_when_its_turn_comes_every_rule_is_asked_again(planned: Shop) -> None:
    running = ask(planned, release_of(planned))
    second = release_of(planned, version="2.9.0")
    ask(planned, second)
    revoke_role("pl", role="pl", scope="service:shopping-service", actor=BY_THE_PORTAL)
    over(running)
    jobs.begin_queued()
    assert place(second).state == "given_back"
    assert place(second).reason
    assert not Rollout.objects.filter(release=second).exists()
    told = Message.objects.filter(key__contains="given_back").values_list("person__username", flat=True)
    assert list(told) == ["author"]


def test_where_the_portal_itself_fails_at_a_start_the_others_begin(
    planned: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = ask(planned, release_of(planned)), ask(planned, release_of(planned, "auth-service"))
    bad, good = release_of(planned, version="2.9.0"), release_of(planned, "auth-service", version="2.9.0")
    assert isinstance(ask(planned, bad), QueuePlace)
    assert isinstance(ask(planned, good), QueuePlace)
    over(first)
    over(second)
    breaking_off(monkeypatch, bad)
    with translation.override("en"):
        jobs.begin_queued()
    assert (place(bad).state, place(good).state) == ("given_back", "begun")
    assert "fault of its own" in place(bad).reason
    told = Message.objects.filter(key__contains="given_back").values_list("person__username", flat=True)
    assert list(told) == ["author"]


@long
def test_a_pin_stands_until_what_a_person_put_into_the_line_begins(planned: Shop) -> None:
    running = ask(planned, release_of(planned))
    assert isinstance(running, Rollout)
    where = {"service": planned.shopping, "environment": planned.environment}
    pin = Pin.objects.create(**where, rollout=running, set_at=clock.now())
    second = release_of(planned, version="2.9.0")
    ask(planned, second)
    queueing.leave(place(second).pk, actor=acting(planned.cast.author))
    pin.refresh_from_db()
    assert pin.lifted_at is None, "nothing has gone out"
    ask(planned, second)
    over(running)
    jobs.begin_queued()
    pin.refresh_from_db()
    assert place(second).state == "begun"
    assert pin.lifted_at is not None


@long
def test_a_rollback_pins_what_waits_behind_it(planned: Shop) -> None:
    running = ask(planned, release_of(planned))
    assert isinstance(running, Rollout)
    second = release_of(planned, version="2.9.0")
    ask(planned, second)
    over(running, "rolled_back")
    now = clock.now()
    Pin.objects.create(service=planned.shopping, environment=planned.environment, rollout=running, set_at=now)
    jobs.begin_queued()
    assert place(second).state == "given_back"
    assert "shopping-service" in place(second).reason
    assert isinstance(ask(planned, second), Rollout), "a person's start lifts the pin"
    assert not Pin.objects.filter(lifted_at=None).exists()
    assert AuditEntry.objects.filter(action="pin.lifted").exists()


@long
def test_why_it_was_given_back_is_said_to_each_reader_whatever_the_worker_speaks(planned: Shop) -> None:
    author, running = planned.cast.author, ask(planned, release_of(planned))
    second = release_of(planned, version="2.9.0")
    ask(planned, second)
    behind = over(running, "rolled_back")
    Pin.objects.create(
        service=planned.shopping, environment=planned.environment, rollout=behind, set_at=clock.now()
    )
    User.objects.filter(pk=author.pk).update(language="en")
    with translation.override("ko"):
        jobs.begin_queued()
    why = f"shopping-service is pinned since #{behind.release_id} was rolled back."
    assert why in Message.objects.get(key__contains="given_back").body
    page = english(author).get(f"/releases/{second.pk}/").content.decode()
    assert f"It did not start when its turn came: {why}" in page
    record = page.partition('id="record"')[2]
    assert why in record
    assert "고정" in AuditEntry.objects.get(action="place.given_back").body, "the record keeps what was said"
    # A row of an older portal has its words alone.
    QueuePlace.objects.filter(release=second).update(why=None, reason="고정되어 있습니다")
    assert "its turn came: 고정되어" in english(author).get(f"/releases/{second.pk}/").content.decode()


@long
def test_one_that_is_withdrawn_keeps_nobody_waiting(planned: Shop) -> None:
    ask(planned, release_of(planned))
    second = release_of(planned, version="2.9.0")
    ask(planned, second)
    release_operations.withdraw_release(second.pk, actor=acting(planned.cast.author))
    jobs.begin_queued()
    assert place(second).state == "given_back"


@long
def test_one_that_is_given_a_time_waits_for_that_alone(planned: Shop) -> None:
    running = ask(planned, release_of(planned))
    second = release_of(planned, version="2.9.0")
    ask(planned, second)
    client = Client(headers={"accept-language": "en"})
    client.force_login(planned.cast.author)
    assert (
        "It gives up its place in the queue."
        in client.get(f"/releases/{second.pk}/schedule/").content.decode()
    )
    tomorrow = (clock.now() + timedelta(days=1)).isoformat()
    assert (
        ApiClient(planned.cast.author).post(f"/releases/{second.pk}/schedule", {"at": tomorrow}).status_code
        == 200
    )
    assert (place(second).state, bool(place(second).reason)) == ("cancelled", True)
    entry = AuditEntry.objects.get(action="place.cancelled", release=second.pk)
    assert (entry.actor, place(second).reason in json.loads(entry.body)["reason"]) == ("author", True)
    over(running)
    jobs.begin_queued()
    assert not second.rollouts.exists(), "its day has not come"
    Release.objects.filter(pk=second.pk).update(scheduled_at=clock.now())
    jobs.start_due()
    assert second.rollouts.exists()


@long
def test_no_turn_begins_what_was_given_a_time(planned: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A place that an older portal left behind when its release was scheduled."""
    running = ask(planned, release_of(planned))
    second = release_of(planned, version="2.9.0")
    ask(planned, second)
    monkeypatch.setattr("releases.turns._LINES", [])
    tomorrow = clock.now() + timedelta(days=1)
    release_operations.schedule_release(second.pk, actor=acting(planned.cast.author), at=tomorrow)
    over(running)
    jobs.begin_queued()
    second.refresh_from_db()
    assert (second.state, place(second).state, second.rollouts.exists()) == ("scheduled", "given_back", False)


@long
def test_a_scheduled_start_that_has_to_wait_is_scheduled_no_more(planned: Shop) -> None:
    running = ask(planned, release_of(planned))
    second = release_of(planned, version="2.9.0")
    at = clock.now() + timedelta(hours=1)
    release_operations.schedule_release(second.pk, actor=acting(planned.cast.pl), at=at)
    assert isinstance(ask(planned, second), QueuePlace), "somebody else did not want to wait for the time"
    second.refresh_from_db()
    assert (second.state, second.scheduled_at, place(second).asked_by) == (
        "approved",
        None,
        planned.cast.author,
    )
    over(running)
    jobs.begin_queued()
    assert second.rollouts.get().started_by == planned.cast.author


@long
def test_who_may_deploy_takes_it_out_again(planned: Shop) -> None:
    ask(planned, release_of(planned))
    second = release_of(planned, version="2.9.0")
    ask(planned, second)
    with pytest.raises(Conflict):
        ask(planned, second)
    with pytest.raises(NotAllowed):
        queueing.leave(place(second).pk, actor=acting(planned.cast.outsider))
    queueing.leave(place(second).pk, actor=acting(planned.cast.author))
    assert place(second).state == "cancelled"
    with pytest.raises(Conflict):
        queueing.leave(place(second).pk, actor=acting(planned.cast.author))
    assert isinstance(ask(planned, second), QueuePlace)


@long
def test_the_pages_say_where_it_stands_and_for_what_it_waits(planned: Shop) -> None:
    running = ask(planned, release_of(planned))
    second = release_of(planned, version="2.9.0")
    client = Client(headers={"accept-language": "en"})
    client.force_login(planned.cast.author)
    panel = client.get(f"/releases/{second.pk}/start/").content.decode()
    assert "Queue the start" in panel
    assert client.post(f"/releases/{second.pk}/start/")["Location"] == f"/releases/{second.pk}/"
    assert (
        f"at place 1, behind: rollout {running.pk}" in client.get(f"/releases/{second.pk}/").content.decode()
    )
    queue = client.get("/queue/").content.decode()
    assert f"#{second.pk}" in queue
    assert f'<a href="/rollouts/{running.pk}/">Rollout {running.pk} · #{running.release_id}</a>' in queue
    assert f"/releases/{second.pk}/" in client.get(f"/rollouts/{running.pk}/").content.decode()
    client.post(f"/queue/{place(second).pk}/leave/")
    assert "Nothing waits for its turn." in client.get("/queue/").content.decode()


@long
def test_the_api_accepts_a_start_that_waits(planned: Shop) -> None:
    api = ApiClient(planned.cast.author)
    running = ask(planned, release_of(planned))
    second = release_of(planned, version="2.9.0")
    answer = api.post(f"/releases/{second.pk}/start")
    assert (answer.status_code, answer.json()["place"], answer.json()["rollouts"]) == (202, 1, [running.pk])
    (listed,) = api.get("/queue").json()["items"]
    assert (listed["release"], listed["state"]) == (second.pk, "queued")
    assert api.send("DELETE", f"/queue/{listed['id']}").status_code == 204
    assert api.get("/queue").json()["items"] == []


@long
@pytest.mark.django_db(transaction=True)
def test_of_two_starts_at_the_same_moment_one_waits(planned: Shop) -> None:
    others = ("auth-service", "payment-service")
    both = [release_of(planned, "shopping-service", other) for other in others]
    gate = Barrier(2)

    def start(release: Release) -> Any:
        try:
            gate.wait(timeout=20)
            return type(ask(planned, release))
        finally:
            connections.close_all()

    with ThreadPoolExecutor(2) as pool:
        kinds = list(pool.map(start, both))
    assert sorted(kind.__name__ for kind in kinds) == ["QueuePlace", "Rollout"]


@long
@pytest.mark.django_db(transaction=True)
def test_two_sweepers_begin_it_once(planned: Shop) -> None:
    over(ask(planned, release_of(planned)), "running")
    second = release_of(planned, version="2.9.0")
    ask(planned, second)
    Rollout.objects.update(state="succeeded")
    gate = Barrier(2)

    def sweep(_number: int) -> None:
        try:
            gate.wait(timeout=20)
            jobs.begin_queued()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(sweep, range(2)))
    assert Rollout.objects.filter(release=second).count() == 1
    assert place(second).state == "begun"
