"""The demo's people: complete, idempotent, and able to come in."""

from pathlib import Path

import pytest
import yaml
from django.test import Client
from pytest_django.fixtures import Settings

from portal.people import demo, tokens
from portal.people.models import Role, RoleAssignment, User
from portal.people.operations import revoke_role, set_roles
from tests.people import BY_THE_PORTAL
from tests.soak import long

EXAMPLES = Path(__file__).resolve().parents[3] / "deploy" / "examples"
ADDRESS = "http://127.0.0.1:8000"


@pytest.fixture
def people(db: None, settings: Settings) -> list[dict[str, object]]:
    settings.DEMO = "people"
    demo.load_people()
    return demo.people_report(ADDRESS)


@long
def test_every_role_has_somebody(people: list[dict[str, object]]) -> None:
    assert set(RoleAssignment.objects.values_list("role", flat=True)) == set(Role.values)


@long
def test_every_team_has_a_lead_and_two_release_managers(people: list[dict[str, object]]) -> None:
    teams = {person.team for person in demo.PEOPLE if person.team}
    for team in teams:
        held = RoleAssignment.objects.filter(scope=f"team:{team}")
        assert held.filter(role=Role.TEAM_LEAD).count() == 1
        assert held.filter(role=Role.RELEASE_MANAGER).count() >= 2


@long
def test_each_service_of_the_examples_has_a_team_of_the_demo(people: list[dict[str, object]]) -> None:
    documents = [
        each for path in EXAMPLES.glob("*/catalog.yaml") for each in yaml.safe_load_all(path.read_text())
    ]
    teams = {each["spec"]["team"] for each in documents if each["kind"] == "Service"}
    assert teams <= {person.team for person in demo.PEOPLE}


@long
def test_a_second_load_changes_nothing_and_respects_what_was_changed(people: list[dict[str, object]]) -> None:
    revoke_role("minji", role=Role.RELEASE_MANAGER, scope="team:commerce", actor=BY_THE_PORTAL)
    assert demo.load_people() == 0
    again = demo.people_report(ADDRESS)
    assert [entry["token"] for entry in again] == [entry["token"] for entry in people]
    assert again[0]["roles"] == []


@long
def test_tokens_follow_the_roles_of_the_moment(people: list[dict[str, object]]) -> None:
    secret = tokens.demo_secret("visitor")
    found = tokens.authenticate(secret)
    assert found is not None
    assert found[2] == {"read", "decide"}
    set_roles("visitor", wanted=[(Role.ADMINISTRATOR, "*")], actor=BY_THE_PORTAL)
    found = tokens.authenticate(secret)
    assert found is not None
    assert "admin" in found[2]


@long
def test_a_sign_in_link_shows_a_form_and_signs_in_by_post_only(
    people: list[dict[str, object]], client: Client
) -> None:
    path = str(people[0]["login_url"]).removeprefix(ADDRESS)
    assert client.get(path).status_code == 200
    assert client.get("/me/").status_code == 302
    assert client.post(path, {"next": "/me/"}).headers["Location"] == "/me/"
    assert client.get("/me/").context["request"].user == User.objects.get(username="minji")


@long
def test_a_sign_in_link_is_nothing_where_there_is_no_demo(
    people: list[dict[str, object]], client: Client, settings: Settings
) -> None:
    settings.DEMO = "off"
    path = str(people[0]["login_url"]).removeprefix(ADDRESS)
    assert client.get(path).status_code == 404
    assert client.post(path).status_code == 404


@long
def test_a_link_with_a_changed_name_is_nothing(people: list[dict[str, object]], client: Client) -> None:
    path = str(people[0]["login_url"]).removeprefix(ADDRESS)
    assert client.post(path.replace("minji", "admin")).status_code == 404
