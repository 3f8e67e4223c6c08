"""The socket's door: who comes in, what they hear, and when the tap is closed."""

import asyncio
import json
from collections.abc import AsyncIterator, Collection
from typing import Any
from unittest.mock import Mock

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.contrib.sessions.models import Session
from django.db import connection

from portal import clock, impatient
from portal.live import hub, publish, sockets, topics
from portal.live.batches import Batch
from portal.live.bell import ring
from portal.live.models import Event, Topic
from portal.live.shapes import event_shape
from portal.live.texts import register
from portal.people.models import User
from portal.people.operations import change_person, deactivate_person
from tests.embedded.processes import wait_for
from tests.people import BY_THE_PORTAL, acting, person
from tests.portal.live.browser import CLOSED, awrite, browser, connecting, session_of, write
from tests.soak import long


def test_a_reader_is_sent_what_it_missed_and_then_what_comes(minji: User) -> None:
    key = session_of(minji)
    write("practice.1", 5)

    async def follow() -> list[int]:
        async with browser(key) as socket:
            await socket.subscribe("practice.1", after=2)
            numbers = await socket.events(3)
            await awrite("practice.1", 2, start=6)
            return numbers + await socket.events(2)

    assert async_to_sync(follow)() == [3, 4, 5, 6, 7]


def test_an_event_carries_kind_data_and_text_in_the_readers_language(minji: User) -> None:
    change_person("minji", actor=acting(minji), language="en")
    register({"practice.happened": "Number {n}{missing}"})
    key = session_of(User.objects.get(username="minji"))
    write("practice.1")

    async def follow() -> dict[str, Any]:
        async with browser(key) as socket:
            await socket.subscribe("practice.1")
            return await socket.frame()

    frame = async_to_sync(follow)()
    event = frame["events"][0]
    assert frame["topic"] == "practice.1"
    assert (event["id"], event["kind"], event["data"], event["text"]) == (
        1,
        "practice.happened",
        {"n": 1},
        "Number 1",
    )


def test_everyone_follows_their_own_inbox_and_no_other(minji: User) -> None:
    other = person("other")
    key = session_of(minji)

    async def follow() -> tuple[list[int], dict[str, Any]]:
        async with browser(key) as socket:
            await socket.subscribe("inbox")
            await awrite(f"inbox.{other.pk}")
            await awrite(f"inbox.{minji.pk}")
            frame = await socket.frame()
            assert frame["topic"] == "inbox"
            await socket.subscribe(f"inbox.{other.pk}")
            return [event["id"] for event in frame["events"]], await socket.frame()

    numbers, refusal = async_to_sync(follow)()
    assert numbers == [1]
    assert refusal["closed"] == "no longer allowed"
    assert refusal["text"] == "더는 볼 권한이 없습니다"


@pytest.mark.parametrize(
    "topic", ["practice.secret", "nothing.1", "practice.", "practice.1 2", "rollout.7;", "", "x" * 500]
)
def test_a_topic_that_is_not_there_and_one_not_allowed_look_the_same(minji: User, topic: str) -> None:
    CLOSED.add(("minji", "secret"))
    write("practice.secret")
    key = session_of(minji)

    async def follow() -> dict[str, Any]:
        async with browser(key) as socket:
            await socket.subscribe(topic)
            return await socket.frame()

    refusal = async_to_sync(follow)()
    assert refusal["closed"] == "no longer allowed"
    assert refusal["text"] == "더는 볼 권한이 없습니다"
    assert refusal["topic"] == topic


@pytest.mark.parametrize(
    ("signed_in", "origin"),
    [
        (False, b"http://localhost"),
        (True, b"http://evil.example"),
        (True, b"http://localhost:9999"),
        (True, b"null"),
        (True, b""),
    ],
)
def test_a_stranger_or_a_foreign_page_is_refused_before_it_is_accepted(
    minji: User, signed_in: bool, origin: bytes
) -> None:
    key = session_of(minji) if signed_in else "a" * 32

    async def attempt() -> bool:
        return await connecting(key, origin=origin).connect()

    assert async_to_sync(attempt)() is False


def end_session(user: User) -> None:
    Session.objects.all().delete()


def close_account(user: User) -> None:
    deactivate_person(user.username, actor=BY_THE_PORTAL)


def change_password(user: User) -> None:
    user.set_password("another-good-one-9")
    user.save(update_fields=["password"])


@long
@pytest.mark.parametrize("loss", [end_session, close_account, change_password])
def test_the_tap_closes_within_two_seconds_of_the_end_of_the_session(minji: User, loss: Any) -> None:
    key = session_of(minji)

    async def follow() -> tuple[dict[str, Any], dict[str, Any]]:
        async with browser(key) as socket:
            await socket.subscribe("practice.1")
            await awrite("practice.1")
            await socket.events(1)
            await sync_to_async(loss)(minji)
            return await socket.frame(timeout=2), await socket.output(timeout=1)

    last, end = async_to_sync(follow)()
    assert last["topic"] == "practice.1"
    assert "closed" in last
    assert (end["type"], end["code"]) == ("websocket.close", sockets.SIGNED_OUT)


def test_a_lost_right_closes_its_topic_alone(minji: User) -> None:
    key = session_of(minji)

    async def follow() -> tuple[dict[str, Any], list[int]]:
        async with browser(key) as socket:
            for topic in ("practice.open", "practice.lost"):
                await socket.subscribe(topic)
            CLOSED.add(("minji", "lost"))
            closed = await socket.frame(timeout=2)
            await awrite("practice.lost")
            await awrite("practice.open")
            return closed, await socket.events(1)

    closed, numbers = async_to_sync(follow)()
    assert closed["topic"] == "practice.lost"
    assert numbers == [1]


@pytest.mark.parametrize(
    "sent",
    [
        "nonsense",
        "[]",
        '{"subscribe": 7}',
        '{"subscribe": "practice.1", "after": -1}',
        '{"subscribe": "practice.1", "after": true}',
        '{"subscribe": "practice.1", "boss": 1}',
        '{"subscribe": "' + "x" * 5000 + '"}',
        "[" * 4000,
    ],
)
def test_a_frame_that_is_no_request_ends_the_socket(minji: User, sent: str) -> None:
    key = session_of(minji)

    async def attempt() -> dict[str, Any]:
        async with browser(key) as socket:
            await socket.send_text(sent)
            end: dict[str, Any] = await socket.output(timeout=5)
            return end

    assert async_to_sync(attempt)()["type"] == "websocket.close"


@pytest.mark.timeout(30)
def test_a_hub_ends_although_cancellations_were_lost(minji: User, monkeypatch: pytest.MonkeyPatch) -> None:
    lost: list[bool] = []

    async def heard() -> AsyncIterator[str]:
        # One comes from the end of the loop, one from the hub.
        while len(lost) < 2:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                lost.append(True)
        await asyncio.sleep(60)
        yield ""

    monkeypatch.setattr(hub, "heard", heard)
    key = session_of(minji)

    async def visit() -> None:
        async with browser(key) as socket:
            await socket.subscribe("practice.1")

    async_to_sync(visit)()
    assert lost == [True, True]


@long
def test_nobody_follows_more_than_fifty_topics(minji: User) -> None:
    key = session_of(minji)

    async def attempt() -> dict[str, Any]:
        async with browser(key) as socket:
            for number in range(51):
                await socket.subscribe(f"practice.{number}")
            end: dict[str, Any] = await socket.output(timeout=10)
            return end

    assert async_to_sync(attempt)()["code"] == 4429


def test_an_event_nobody_was_told_about_comes_within_two_seconds(
    minji: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publish, "ring", lambda _stream: None)
    key = session_of(minji)

    async def follow() -> list[int]:
        async with browser(key) as socket:
            await socket.subscribe("practice.1")
            await asyncio.sleep(0.2)
            await awrite("practice.1", 3)
            return await socket.events(3, timeout=2)

    assert async_to_sync(follow)() == [1, 2, 3]


def test_a_slow_reader_loses_nothing_and_gets_nothing_twice(
    minji: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "LARGEST_QUEUE", 3)
    monkeypatch.setattr(hub, "BATCH_EVENTS", 2)
    key = session_of(minji)
    falls: list[int] = []
    before = sockets.Socket.fall_behind

    def fall_behind(self: sockets.Socket) -> None:
        falls.append(1)
        before(self)

    monkeypatch.setattr(sockets.Socket, "fall_behind", fall_behind)

    async def follow() -> list[int]:
        async with browser(key) as socket:
            await socket.subscribe("practice.1")
            await awrite("practice.1")
            numbers = await socket.events(1)
            held = asyncio.Event()
            (served,) = next(iter(hub._hubs.values())).sockets
            send = served.send

            async def slow(message: dict[str, Any]) -> None:
                await held.wait()
                await send(message)

            served.send = slow
            await awrite("practice.1", 30, start=2)
            await asyncio.sleep(0.5)
            held.set()
            await awrite("practice.1", 10, start=32)
            return numbers + await socket.events(40)

    assert async_to_sync(follow)() == list(range(1, 42))
    assert falls


@long
def test_many_readers_in_a_burst_miss_nothing(minji: User) -> None:
    key = session_of(minji)

    async def follow() -> list[list[int]]:
        async with (
            browser(key) as one,
            browser(key) as two,
            browser(key) as three,
        ):
            for socket in (one, two):
                await socket.subscribe("practice.1")
            await awrite("practice.1", 60)
            await three.subscribe("practice.1", after=10)
            await awrite("practice.1", 60, start=61)
            return [await one.events(120), await two.events(120), await three.events(110)]

    one, two, three = async_to_sync(follow)()
    assert one == two == list(range(1, 121))
    assert three == list(range(11, 121))


def cut_connections() -> None:
    """End every connection to the test's database but this one, as a database that restarts does."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def test_a_connection_that_was_cut_is_made_again(minji: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "RETRY_SECONDS", 0.1)
    key = session_of(minji)

    async def follow() -> list[int]:
        async with browser(key) as socket:
            await socket.subscribe("practice.1")
            await awrite("practice.1")
            numbers = await socket.events(1)  # the first is caught up with, the second handed out by the hub
            await awrite("practice.1")
            numbers += await socket.events(1)
            await sync_to_async(cut_connections)()
            await awrite("practice.1", 2)
            return numbers + await socket.events(2)

    assert async_to_sync(follow)() == [1, 2, 3, 4]


def test_a_number_from_the_future_waits_for_what_really_comes(minji: User) -> None:
    key = session_of(minji)
    write("practice.1", 2)

    async def follow() -> list[int]:
        async with browser(key) as socket:
            await socket.subscribe("practice.1", after=1_000_000)
            await asyncio.sleep(0.3)
            await awrite("practice.1", start=3)
            return await socket.events(1)

    assert async_to_sync(follow)() == [3]


def test_pruned_events_do_not_hold_up_what_comes(minji: User) -> None:
    key = session_of(minji)
    write("practice.1", 5)
    Event.objects.filter(topic="practice.1").delete()

    async def follow() -> list[int]:
        async with browser(key) as socket:
            await socket.subscribe("practice.1")
            await asyncio.sleep(0.3)
            await awrite("practice.1", start=6)
            return await socket.events(1)

    assert async_to_sync(follow)() == [6]


def test_the_hub_ends_with_its_last_socket(minji: User) -> None:
    key = session_of(minji)

    async def follow() -> tuple[int, int]:
        async with browser(key) as socket:
            await socket.subscribe("practice.1")
            await asyncio.sleep(0.1)
            during = hub.open_sockets()
        return during, hub.open_sockets()

    assert async_to_sync(follow)() == (1, 0)


def test_who_comes_back_at_once_finds_the_hub_that_was_there(minji: User) -> None:
    key = session_of(minji)

    async def visit() -> hub.Hub:
        async with browser(key) as socket:
            await socket.subscribe("practice.1")
            return next(iter(hub._hubs.values()))

    async def come_and_go() -> list[hub.Hub]:
        return [await visit(), await visit()]

    first, second = async_to_sync(come_and_go)()
    assert first is second
    assert all(task.done() for task in first.tasks)
    assert wait_for(lambda: not other_connections(), seconds=5)


def other_connections() -> int:
    """How many connections to the test's database there are besides this one."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        (count,) = cursor.fetchone()
    return int(count)


def test_a_server_that_is_cut_short_leaves_no_connection_behind(
    minji: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "REST_SECONDS", 0.05)
    key = session_of(minji)

    async def follow() -> tuple[int, int]:
        socket = connecting(key)
        assert await socket.connect()
        await socket.subscribe("practice.1")
        await awrite("practice.1")
        await socket.events(1)
        during = await sync_to_async(other_connections)()
        while not socket.portal.done():
            socket.portal.cancel()
            await asyncio.sleep(0)
        async with asyncio.timeout(5):
            while await sync_to_async(other_connections)():
                await asyncio.sleep(0.02)
        return during, await sync_to_async(other_connections)()

    during, after = async_to_sync(follow)()
    assert during > 0
    assert after == 0


def test_a_bell_that_cannot_be_reached_does_not_undo_the_event(
    minji: User, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    from portal.live import bell  # noqa: PLC0415

    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    monkeypatch.setattr(bell, "_redis_rests", impatient.Rest())
    write("practice.1")
    ring(["practice.1"])
    assert Event.objects.filter(topic="practice.1").count() == 1


def test_a_batch_is_written_once_for_all_readers_of_a_language(
    minji: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("practice.1", 3)
    shape = Mock(side_effect=event_shape)
    monkeypatch.setattr("portal.live.batches.event_shape", shape)
    batch = Batch(list(Event.objects.filter(topic="practice.1")))
    for _reader in range(3):
        assert [event["id"] for event in json.loads(batch.text("p", language="en", after=0))["events"]] == [
            1,
            2,
            3,
        ]
    frame = batch.frame("p", language="en", after=0)
    assert frame is batch.frame("p", language="en", after=0)
    assert frame.endswith(batch.text("p", language="en", after=0).encode())
    assert shape.call_count == 3
    assert [event["id"] for event in json.loads(batch.text("p", language="ko", after=2))["events"]] == [3]


def test_nothing_overtakes_a_frame_that_a_slow_browser_has_not_taken_yet(minji: User) -> None:
    batches = [Batch([Event(topic_id="p", number=n, at=clock.now(), kind="k")]) for n in (1, 2)]
    sent: list[int] = []

    async def follow() -> None:
        held = asyncio.Event()

        async def send(message: dict[str, Any]) -> None:
            await held.wait()
            sent.extend(event["id"] for event in json.loads(message["text"])["events"])

        write = Mock(side_effect=[False, True])
        socket = sockets.Socket("key", minji, "en", send, write)
        watch = socket.watches["p"] = sockets.Watch("p", "p", queued=0, sent=0, behind=False)
        socket.offer(watch, batches[0])
        flushing = asyncio.create_task(socket.flush())
        await asyncio.sleep(0)
        socket.offer(watch, batches[1])
        held.set()
        await flushing
        assert write.call_count == 1
        assert watch.sent == 2

    async_to_sync(follow)()
    assert sent == [1, 2]


def test_what_a_socket_asks_writes_for_nobody(minji: User) -> None:
    """Not even where a check of a topic would, by some fault of ours; others' connections write on."""

    def writing(users: Collection[User], key: str) -> Collection[User]:
        Topic.objects.create(name="forged")
        return users

    topics.register("writing", writing)
    key = session_of(minji)

    async def follow() -> dict[str, Any]:
        async with browser(key) as socket:
            await socket.subscribe("writing.1")
            closed = await socket.output()
        async with browser(key) as socket:
            await awrite("practice.1")
            await socket.subscribe("practice.1")
            assert await socket.events(1) == [1]
        return closed

    try:
        assert async_to_sync(follow)() == {"type": "websocket.close", "code": 1013}
    finally:
        del topics.KINDS["writing"]
    assert not Topic.objects.filter(name="forged").exists()
