"""Rows that wait for the end of their transaction: none is lost, none outlives what it tells of."""

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from portal import holding
from portal.audit.models import AuditEntry
from portal.audit.record import record
from portal.live.models import Event
from portal.live.publish import publish, publish_now, touch_each
from tests.people import BY_THE_PORTAL

pytestmark = pytest.mark.django_db(transaction=True)


def act(number: int) -> None:
    """An act with its entry and its event."""
    record("step.acted", actor=BY_THE_PORTAL, subject=("step", str(number)), after={"number": number})
    publish("rollout.1", "step.acted", {"number": number})


def broken(number: int) -> None:
    act(number)
    raise ZeroDivisionError


def recorded() -> list[str]:
    return list(AuditEntry.objects.order_by("number").values_list("subject", flat=True))


def told() -> list[tuple[int, object]]:
    return [
        (number, data["number"])
        for number, data in Event.objects.order_by("number").values_list("number", "data")
    ]


def test_acts_of_one_transaction_are_written_in_their_order_with_one_statement_a_kind() -> None:
    with transaction.atomic(), CaptureQueriesContext(connection) as asked, holding.holding():
        for number in (1, 2, 3):
            act(number)
    assert len(asked) == 2
    assert recorded() == ["1", "2", "3"]
    assert told() == [(1, 1), (2, 2), (3, 3)]


def test_numbers_go_on_where_the_topic_stands() -> None:
    assert publish_now("rollout.1", "step.acted", {"number": 0}) == 1
    with transaction.atomic(), holding.holding():
        publish("rollout.2", "step.acted", {"number": 7})
        for number in (1, 2):
            publish("rollout.1", "step.acted", {"number": number})
    own = Event.objects.filter(topic="rollout.1").order_by("number")
    assert [(each.number, each.data["number"]) for each in own] == [(1, 0), (2, 1), (3, 2)]
    assert [each.number for each in Event.objects.filter(topic="rollout.2")] == [1]


def test_streams_are_touched_each_once_with_one_statement_and_no_more() -> None:
    with CaptureQueriesContext(connection) as asked:
        touch_each(["board.west", "board.east", "board.west"])
    assert len(asked) == 1
    assert list(Event.objects.order_by("topic").values_list("topic", "kind")) == [
        ("board.east", "changed"),
        ("board.west", "changed"),
    ]


def test_what_is_undone_leaves_nothing_behind() -> None:
    with pytest.raises(ZeroDivisionError), transaction.atomic(), holding.holding():
        broken(1)
    with transaction.atomic():
        act(2)
    assert recorded() == ["2"]
    assert told() == [(1, 2)]


def test_a_savepoint_takes_its_own_acts_along_and_no_others() -> None:
    with transaction.atomic(), holding.holding():
        act(1)
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            broken(2)
        with transaction.atomic():
            act(3)
        act(4)
    assert sorted(recorded()) == ["1", "3", "4"]
    assert {number for _place, number in told()} == {1, 3, 4}


def test_a_block_within_a_block_writes_with_the_outer_one() -> None:
    with transaction.atomic(), holding.holding():
        act(1)
        with CaptureQueriesContext(connection) as asked, holding.holding():
            act(2)
        assert not asked
    assert recorded() == ["1", "2"]


def test_whoever_reads_the_record_within_the_transaction_reads_its_acts() -> None:
    with transaction.atomic(), holding.holding():
        act(1)
        assert recorded() == ["1"]
        act(2)
    assert recorded() == ["1", "2"]


def test_what_is_held_is_not_written_within_a_savepoint_that_could_take_it_along() -> None:
    with transaction.atomic(), holding.holding():
        act(1)
        with pytest.raises(holding.HeldOutside), transaction.atomic():
            recorded()
    assert recorded() == ["1"]
