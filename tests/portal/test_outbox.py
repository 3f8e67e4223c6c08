"""Messages leave after commit: once for each key, in order, and later when they cannot leave now."""

import math
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.db import connections, transaction
from pytest_django import DjangoAssertNumQueries

from portal import clock, jobs
from portal.errors import PermanentError, TemporaryError
from portal.outbox import backends, operations
from portal.outbox.models import Message, MessageState
from portal.outbox.post import Letter, post, post_all


def written(key: str, *, recipient: str = "minji@example.com", channel: str = "practice") -> Message:
    with transaction.atomic():
        return post(
            key,
            channel=channel,
            recipient=recipient,
            subject=f"about {key}",
            body="text",
            link="/releases/1/",
        )


class Channel:
    """A channel that notes what came and fails as it is told."""

    def __init__(self) -> None:
        self.came: list[str] = []
        self.failures: list[BaseException] = []

    def __call__(self, message: Message) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.came.append(message.key)


@pytest.fixture
def channel(monkeypatch: pytest.MonkeyPatch) -> Channel:
    channel = Channel()
    monkeypatch.setitem(backends.BACKENDS, "practice", channel)
    return channel


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What was asked of the workers."""
    asked: list[tuple[Any, ...]] = []
    monkeypatch.setattr(jobs, "_send", lambda name, args: asked.append((name, *args)))
    return asked


def work_off(queue: list[tuple[Any, ...]]) -> None:
    while queue:
        name, *args = queue.pop(0)
        jobs.find(name)(*args)


def deliver(*, most: int = 10, ends_at: float = math.inf) -> bool:
    """What a worker does once."""
    return operations.deliver_due(most=most, ends_at=ends_at)


def state(message: Message) -> str:
    return Message.objects.get(pk=message.pk).state


@pytest.mark.django_db(transaction=True)
class TestDelivery:
    def test_a_message_leaves_after_commit_and_only_then(self, channel: Channel, queue: list[Any]) -> None:
        with transaction.atomic():
            written("one")
            assert queue == []
        work_off(queue)
        assert channel.came == ["one"]

    def test_a_rolled_back_message_never_leaves(self, channel: Channel, queue: list[Any]) -> None:
        with transaction.atomic():
            written("one")
            transaction.set_rollback(True)
        assert queue == []
        assert not Message.objects.exists()

    def test_one_key_is_one_message(self, channel: Channel, queue: list[Any]) -> None:
        written("one")
        written("one")
        queue *= 3
        work_off(queue)
        assert channel.came == ["one"]

    def test_several_are_written_at_once_and_a_known_key_changes_nothing(
        self, channel: Channel, queue: list[Any], django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        old = written("one")
        work_off(queue)
        letters = [
            Letter(key=key, channel="practice", recipient=key, subject="again", body="text")
            for key in ("one", "two", "three", "two")
        ]
        with transaction.atomic(), django_assert_num_queries(2):  # the time, one insert
            post_all(letters)
        found = Message.objects.order_by("pk")
        assert [message.key for message in found] == ["one", "two", "three"]
        assert found[0] == old
        work_off(queue)
        assert channel.came == ["one", "two", "three"]

    def test_two_workers_at_once_send_once(self, channel: Channel, queue: list[Any]) -> None:
        written("one")
        together = threading.Barrier(4)

        def work() -> None:
            together.wait()
            try:
                deliver()
            finally:
                connections.close_all()

        with ThreadPoolExecutor(4) as pool:
            for done in [pool.submit(work) for _worker in range(4)]:
                done.result()
        assert channel.came == ["one"]

    def test_each_recipient_reads_in_order_even_when_the_first_fails(
        self, channel: Channel, queue: list[Any]
    ) -> None:
        channel.failures = [TemporaryError("busy")]
        first, second = written("one"), written("two")
        other = written("three", recipient="other@example.com")
        work_off(queue)
        assert channel.came == ["three"]
        Message.objects.filter(pk=first.pk).update(next_at=clock.now())
        jobs.sweep_once()
        work_off(queue)
        assert channel.came == ["three", "one", "two"]
        assert {state(message) for message in (first, second, other)} == {MessageState.SENT}

    def test_a_fault_of_our_own_holds_up_nobody_else(self, channel: Channel, queue: list[Any]) -> None:
        channel.failures = [ValueError("an odd address")]
        odd, other = written("one"), written("two", recipient="other@example.com")
        work_off(queue)
        assert channel.came == ["two"]
        assert (state(odd), state(other)) == (MessageState.WAITING, MessageState.SENT)
        assert "an odd address" in Message.objects.get(pk=odd.pk).last_error

    def test_a_failure_waits_twice_as_long_each_time(self, channel: Channel, queue: list[Any]) -> None:
        message = written("one")
        waits = []
        for _attempt in range(3):
            channel.failures = [TemporaryError("busy")]
            before = clock.now()
            Message.objects.filter(pk=message.pk).update(next_at=before)
            deliver()
            waits.append(round((Message.objects.get(pk=message.pk).next_at - before).total_seconds()))
        assert waits == [5, 10, 20]
        assert Message.objects.get(pk=message.pk).last_error == "busy"

    def test_a_target_that_is_down_for_an_hour_is_waited_for(self) -> None:
        waits = [
            min(operations.LONGEST_WAIT_SECONDS, operations.FIRST_WAIT_SECONDS * 2**attempt)
            for attempt in range(operations.MOST_ATTEMPTS - 1)
        ]
        assert sum(waits) > 3600

    def test_after_the_last_attempt_it_is_parked_and_the_next_goes_on(
        self, channel: Channel, queue: list[Any]
    ) -> None:
        first, second = written("one"), written("two")
        Message.objects.filter(pk=first.pk).update(attempts=operations.MOST_ATTEMPTS - 1)
        channel.failures = [TemporaryError("still down")]
        work_off(queue)
        assert (state(first), state(second)) == (MessageState.PARKED, MessageState.SENT)

    def test_what_can_never_leave_is_parked_at_once(self, channel: Channel, queue: list[Any]) -> None:
        channel.failures = [PermanentError("no such room")]
        first, second = written("one"), written("two", channel="pigeon")
        work_off(queue)
        assert {state(first), state(second)} == {MessageState.PARKED}

    def test_a_worker_that_dies_holds_its_message_for_a_minute_at_most(
        self, channel: Channel, queue: list[Any]
    ) -> None:
        message = written("one")
        channel.failures = [KeyboardInterrupt()]
        with pytest.raises(KeyboardInterrupt):
            deliver()
        deliver()
        assert channel.came == []
        Message.objects.filter(pk=message.pk).update(next_at=clock.now() - timedelta(seconds=1))
        deliver()
        assert channel.came == ["one"]

    def test_who_has_no_time_left_delivers_one_and_leaves_the_rest_as_it_was(
        self, channel: Channel, queue: list[Any]
    ) -> None:
        written("one")
        other = written("two", recipient="other@example.com")
        assert deliver(ends_at=0.0)
        assert channel.came == ["one"]
        assert Message.objects.get(pk=other.pk).attempts == 0
        assert deliver()
        assert channel.came == ["one", "two"]
        assert not deliver()

    def test_what_another_worker_has_claimed_since_is_not_put_back(
        self, channel: Channel, queue: list[Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        written("one")
        other = written("two", recipient="other@example.com")
        later = clock.now() + timedelta(minutes=5)

        def stands_still(_message: Message) -> None:
            Message.objects.filter(pk=other.pk).update(attempts=2, next_at=later)

        monkeypatch.setitem(backends.BACKENDS, "practice", stands_still)
        deliver(ends_at=0.0)
        found = Message.objects.get(pk=other.pk)
        assert (found.attempts, found.next_at) == (2, later)

    def test_messages_to_several_cost_one_claim(
        self, channel: Channel, queue: list[Any], django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        for number in range(5):
            written(str(number), recipient=f"{number}@example.com")
        with clock.counting_on(clock.now()), django_assert_num_queries(1 + 5):
            deliver()
        assert len(channel.came) == 5

    def test_the_sweep_finds_what_nobody_was_told_about(self, channel: Channel, queue: list[Any]) -> None:
        written("one")
        queue.clear()
        jobs.sweep_once()
        assert ("portal.outbox.jobs.send_due",) in queue
        work_off(queue)
        assert channel.came == ["one"]


@pytest.mark.django_db
def test_a_mail_carries_its_link_and_an_identity_made_from_its_key() -> None:
    message = written("release.145.submitted", channel="mail")
    deliver()
    (sent,) = mail.outbox
    assert sent.to == ["minji@example.com"]
    assert "http://127.0.0.1:8000/releases/1/" in sent.body
    again = sent.extra_headers["Message-ID"]
    Message.objects.filter(pk=message.pk).update(state=MessageState.WAITING, next_at=clock.now())
    deliver()
    assert mail.outbox[1].extra_headers["Message-ID"] == again


@pytest.mark.django_db
def test_a_line_break_in_a_subject_adds_no_header() -> None:
    with transaction.atomic():
        post("k", channel="mail", recipient="a@example.com", subject="x\nBcc: evil@example.com", body="b")
    deliver()
    assert "\n" not in mail.outbox[0].subject
    assert mail.outbox[0].bcc == []


@pytest.mark.django_db
def test_a_recipient_that_is_no_address_is_parked() -> None:
    message = written("k", channel="mail", recipient="minji")
    deliver()
    assert state(message) == MessageState.PARKED
