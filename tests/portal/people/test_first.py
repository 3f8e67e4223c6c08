"""`manage.py administrator`: the first one is made at the command line, and no second one."""

import json

import pytest
from django.core.management import CommandError, call_command

from portal.audit.models import AuditEntry
from portal.people import queries
from portal.people.management.commands import administrator
from portal.people.models import User
from portal.people.operations import deactivate_person
from tests.people import BY_THE_PORTAL

WORD = "a long and winding word"


@pytest.fixture(autouse=True)
def typed(db: None, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is typed at the prompts, one after the other; else the same word each time."""
    words: list[str] = []
    monkeypatch.setattr(administrator, "getpass", lambda _prompt: words.pop(0) if words else WORD)
    return words


def make(username: str = "minji", **more: str) -> None:
    call_command("administrator", username, name="Minji", email="minji@example.com", **more)


def test_it_makes_an_administrator_who_can_sign_in_and_records_it() -> None:
    make()
    made = User.objects.get(username="minji")
    assert queries.is_administrator(made)
    assert made.check_password(WORD)
    entry = AuditEntry.objects.get(action="person.created")
    assert entry.actor == "portal"
    assert json.loads(entry.body)["actor"]["door"] == "cli"


def test_a_slip_of_the_hand_is_asked_again(typed: list[str]) -> None:
    typed += ["one", "other", WORD, WORD]
    make()
    assert User.objects.get(username="minji").check_password(WORD)


def test_a_password_that_is_too_weak_is_refused_in_words(typed: list[str]) -> None:
    typed += ["123", "123"]
    with pytest.raises(CommandError, match="password"):
        make()
    assert not User.objects.exists()


def test_there_is_no_second_one_while_the_first_can_act() -> None:
    make()
    with pytest.raises(CommandError, match="minji"):
        make("sora")
    assert not User.objects.filter(username="sora").exists()
    deactivate_person("minji", actor=BY_THE_PORTAL, reason="left")
    make("sora")
    assert queries.is_administrator(User.objects.get(username="sora"))
