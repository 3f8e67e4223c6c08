"""The recipients that a plan's notice may name are the ones that its step understands."""

from types import SimpleNamespace

import pytest

from releases.rollouts.steps import notice
from tests.people import person

pytestmark = pytest.mark.django_db


def recipients(*to: str) -> set[tuple[str, str]]:
    work = SimpleNamespace(step=SimpleNamespace(params={"to": list(to)}))
    people, addresses = notice._recipients(work)  # type: ignore[arg-type]
    found = [("mail", user.email) if user.email else ("console", user.username) for user in people]
    assert not set(found) & set(addresses)
    return {*found, *addresses}


def test_teams_roles_addresses_and_the_console_are_understood() -> None:
    lead = person("lead", ("team_lead", "team:commerce"))
    lead.email = "lead@shop.example"
    lead.save(update_fields=["email"])
    person("qa", ("qa", "*"))
    person("other", ("pl", "team:content"))
    assert recipients("team:commerce") == {("mail", "lead@shop.example")}
    assert recipients("role:qa") == {("console", "qa")}
    assert recipients("mail:all@shop.example", "console") == {
        ("mail", "all@shop.example"),
        ("console", "console"),
    }
    assert recipients("team:commerce", "mail:lead@shop.example") == {("mail", "lead@shop.example")}
