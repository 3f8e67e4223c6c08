"""People choose the way and the hours of their messages; none is lost on the way, none comes twice."""

import math
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.core import mail
from django.db import connections, transaction
from django.test import Client

from portal import clock
from portal.audit.models import AuditEntry
from portal.notices.jobs import collect_digests
from portal.notices.kinds import KINDS
from portal.notices.models import Preferences
from portal.notices.telling import Notice, tell
from portal.outbox import operations as outbox
from portal.outbox.models import Message
from portal.people.models import User
from portal.people.operations import activate_person, create_person, deactivate_person
from tests.people import BY_THE_PORTAL
from tests.soak import long

ZONE = "Asia/Seoul"


@pytest.fixture
def minji(db: None) -> User:
    return create_person(
        "minji", actor=BY_THE_PORTAL, name="김민지", email="minji@example.com", language="en", time_zone=ZONE
    )


@pytest.fixture
def page(minji: User) -> Client:
    client = Client(headers={"accept-language": "en"})
    client.force_login(minji)
    return client


def hour_now(more: int = 0) -> int:
    return (clock.now().astimezone(ZoneInfo(ZONE)) + timedelta(hours=more)).hour


def choose(page: Client, **changes: object) -> Any:
    """Send the form with everything at once, but for what is changed."""
    data = {**dict.fromkeys(KINDS, "at_once"), "digest_hour": 9, "quiet_from": "", "quiet_until": ""}
    return page.post("/me/notices/", {**data, "trouble_wakes": "on", **changes})


def told(person: User, kind: str = "shared", key: str = "one") -> Message:
    with transaction.atomic():
        text = {"subject": f"about {key}", "body": "text", "link": "/releases/1/"}
        tell([Notice(person=person, kind=kind, key=key, **text)])
    return Message.objects.get(key=key)


def deliver_all() -> list[str]:
    """Let the workers deliver what is due; returns the subjects that left."""
    mail.outbox.clear()
    while outbox.deliver_due(most=10, ends_at=math.inf):
        pass
    return [str(sent.subject) for sent in mail.outbox]


def test_without_a_choice_everything_comes_at_once(minji: User) -> None:
    told(minji)
    told(minji)
    assert deliver_all() == ["about one"]


def test_what_one_wants_on_the_pages_only_is_kept_and_never_mailed(minji: User, page: Client) -> None:
    assert choose(page, shared="page").headers["Location"] == "/me/notices/"
    assert told(minji).state == "kept"
    told(minji, "decision", "two")
    assert deliver_all() == ["about two"]


@long
def test_whatever_the_way_one_finds_it_on_one_s_own_page_and_nobody_else_does(
    minji: User, page: Client
) -> None:
    choose(page, shared="page", settled="digest")
    told(minji, "shared", "kept")
    told(minji, "settled", "put off")
    told(minji, "decision", "sent")
    deliver_all()
    shown = page.get("/me/notices/").content.decode()
    ways = [shown.partition(f"about {key}")[2].partition("</tr>")[0] for key in ("kept", "put off", "sent")]
    for way, words in zip(ways, ("on the page only", "put off until the digest", "by mail"), strict=True):
        assert words in way
    create_person("other", actor=BY_THE_PORTAL, name="Other")
    other = Client(headers={"accept-language": "en"})
    other.force_login(User.objects.get(username="other"))
    assert "about kept" not in other.get("/me/notices/").content.decode()


def test_what_is_put_off_goes_into_one_mail_in_groups_when_its_hour_comes(minji: User, page: Client) -> None:
    choose(page, shared="digest", settled="digest")
    told(minji, key="one")
    told(minji, "settled", "two")
    told(minji, key="three")
    collect_digests()
    assert deliver_all() == []
    Message.objects.update(next_at=clock.now())
    collect_digests()
    collect_digests()
    assert deliver_all() == ["3 messages about releases"]
    text = str(mail.outbox[0].body)
    groups = [line for line in text.splitlines() if line and not line.startswith((" ", "-"))]
    assert groups == [
        "My release was decided on, expired or was replaced",
        "What was submitted and released, for my information",
    ]
    assert text.count("http://127.0.0.1:8000/releases/1/") == 3
    assert set(Message.objects.exclude(key__startswith="digest").values_list("state", flat=True)) == {
        "collected"
    }


@pytest.mark.django_db(transaction=True)
def test_two_sweepers_at_once_send_one_digest() -> None:
    person = create_person("minji", actor=BY_THE_PORTAL, name="김민지", email="minji@example.com")
    Preferences.objects.create(person=person, ways={"shared": "digest"})
    told(person)
    Message.objects.update(next_at=clock.now())
    together = threading.Barrier(2)

    def sweep() -> None:
        together.wait()
        try:
            collect_digests()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(sweep) for _sweeper in range(2)]:
            done.result()
    assert Message.objects.filter(key__startswith="digest").count() == 1
    assert Message.objects.get(key="one").state == "collected"


def test_no_digest_is_sent_of_nothing_nor_to_a_closed_account(minji: User, page: Client) -> None:
    choose(page, shared="digest")
    collect_digests()
    assert not Message.objects.exists()
    told(minji)
    deactivate_person("minji", actor=BY_THE_PORTAL)
    Message.objects.update(next_at=clock.now())
    collect_digests()
    assert [message.state for message in Message.objects.all()] == ["kept"]


def test_nothing_leaves_once_the_account_is_closed_be_it_held_back_digested_or_late(
    minji: User, page: Client
) -> None:
    choose(page, deadline="digest", quiet_from=hour_now(), quiet_until=hour_now(more=2))
    told(minji, "shared", "quiet")
    told(minji, "deadline", "digest")
    Message.objects.filter(key="digest").update(next_at=clock.now())
    collect_digests()
    told(minji, "trouble", "late")
    assert [
        key.partition(".")[0] for key in Message.objects.filter(state="waiting").values_list("key", flat=True)
    ] == [
        "quiet",
        "digest",
        "late",
    ]
    deactivate_person("minji", actor=BY_THE_PORTAL)
    Message.objects.filter(state="waiting").update(next_at=clock.now())
    assert deliver_all() == []
    assert set(Message.objects.values_list("state", flat=True)) == {"kept", "collected"}
    activate_person("minji", actor=BY_THE_PORTAL)
    assert deliver_all() == []


def test_a_new_digest_hour_holds_for_what_is_put_off_already(minji: User, page: Client) -> None:
    choose(page, shared="digest")
    told(minji)
    hour = hour_now(more=2)
    choose(page, shared="digest", digest_hour=hour)
    due = Message.objects.get().next_at.astimezone(ZoneInfo(ZONE))
    assert (due.hour, due.minute) == (hour, 0)


def test_in_quiet_hours_only_failures_in_one_s_own_rollouts_come_through(minji: User, page: Client) -> None:
    choose(page, quiet_from=hour_now(), quiet_until=hour_now(more=3))
    held = told(minji, "decision", "held")
    assert held.next_at.astimezone(ZoneInfo(ZONE)).hour == hour_now(more=3)
    told(minji, "trouble", "failed")
    assert deliver_all() == ["about failed"]
    Message.objects.filter(pk=held.pk).update(next_at=clock.now())
    assert deliver_all() == ["about held"]


def test_failures_wait_as_well_for_who_wants_that(minji: User, page: Client) -> None:
    choose(page, quiet_from=hour_now(), quiet_until=hour_now(more=3), trouble_wakes="")
    told(minji, "trouble")
    assert deliver_all() == []


def test_a_digest_in_quiet_hours_waits_for_their_end(minji: User, page: Client) -> None:
    choose(page, shared="digest", quiet_from=hour_now(), quiet_until=hour_now(more=3))
    told(minji)
    Message.objects.update(next_at=clock.now())
    collect_digests()
    assert deliver_all() == []
    assert Message.objects.get(key__startswith="digest").next_at > clock.now()


def test_the_page_shows_what_was_chosen_and_the_record_has_it(minji: User, page: Client) -> None:
    choose(page, decision="digest", quiet_from=22, quiet_until=7)
    form = page.get("/me/notices/").context["form"]
    assert (form["decision"].value(), form["quiet_from"].value()) == ("digest", "22")
    entries = AuditEntry.objects.filter(action="person.changed", subject="minji")
    assert entries.count() == 1
    choose(page, decision="digest", quiet_from=22, quiet_until=7)
    assert entries.count() == 1


@pytest.mark.parametrize(
    "wrong",
    [{"quiet_from": 22}, {"quiet_from": 7, "quiet_until": 7}, {"shared": "pigeon"}, {"digest_hour": 24}],
)
def test_what_cannot_be_meant_is_refused_beside_its_field(page: Client, wrong: dict[str, object]) -> None:
    answer = choose(page, **wrong)
    assert answer.status_code == 422
    assert b"errorlist" in answer.content
    assert not Preferences.objects.exists()
