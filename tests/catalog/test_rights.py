"""Loading gives the groups of roles exactly the rights that the catalog says."""

import pytest

from portal import access
from portal.people.models import User
from releases.catalog.files import load_folder
from releases.catalog.models import (
    Environment,
    EnvironmentGroupPermission,
    Service,
    ServiceGroupPermission,
)
from tests.catalog.conftest import LOADER, SMALL, Folder
from tests.people import person

pytestmark = pytest.mark.django_db

SERVICE_RIGHTS = ("view", "compose")
ENVIRONMENT_RIGHTS = ("view", "deploy", "operate", "stop")
ALL = {"view", "compose", "deploy", "operate", "stop"}
VIEW = {"view"}
# Role and scope, and what follows for the service web of team commerce in shop-production.
TABLE = [
    ("release_manager", "service:web", ALL),
    ("release_manager", "team:commerce", ALL),
    ("release_manager", "*", ALL),
    ("pl", "service:web", ALL),
    ("team_lead", "team:commerce", ALL),
    ("infra_senior", "cluster_group:default", {"view", "operate", "stop"}),
    ("director", "*", {"view", "operate", "stop"}),
    ("qa", "team:commerce", {"view", "stop"}),
    ("administrator", "*", {"view", "stop"}),
    ("auditor", "*", VIEW),
    ("release_manager", "environment:shop-production", {"view", "deploy", "operate", "stop"}),
    ("release_manager", "team:other", VIEW),
    ("pl", "service:other", VIEW),
    ("infra_senior", "cluster_group:other", VIEW),
]


def rights_of(user: User) -> set[str]:
    service, environment = Service.objects.get(name="web"), Environment.objects.get()
    on_service = {right for right in SERVICE_RIGHTS if access.allowed(user, right, service)}
    on_environment = {right for right in ENVIRONMENT_RIGHTS if access.allowed(user, right, environment)}
    for row, found in ((service, on_service), (environment, on_environment)):
        assert access.who_sees([user], type(row), pk=row.pk) == ([user] if "view" in found else [])
        for right in row.ACCESS_CODENAMES.keys() - {"restore"}:
            held = {row.pk} if right in found else set()
            assert access.keys(user, type(row), right) & {row.pk} == held
            assert access.keys(user, type(row), right, among=[row.pk]) == held
            assert access.keys(user, type(row), right, among=[]) == set()
    return on_service | on_environment


@pytest.mark.parametrize(("role", "scope", "expected"), TABLE)
def test_a_role_in_a_scope_has_its_rights(folder: Folder, role: str, scope: str, expected: set[str]) -> None:
    load_folder(folder(), actor=LOADER)
    assert rights_of(person("minji", (role, scope))) == expected


@pytest.mark.parametrize(("role", "scope", "expected"), TABLE)
def test_a_role_given_before_the_load_has_the_same_rights(
    folder: Folder, role: str, scope: str, expected: set[str]
) -> None:
    user = person("minji", (role, scope))
    load_folder(folder(), actor=LOADER)
    assert rights_of(user) == expected


PRIVATE = SMALL.replace("namespace: shop}", "namespace: shop, visibility: private}")


@pytest.mark.parametrize(
    ("role", "scope", "sees"),
    [
        ("auditor", "*", True),
        ("administrator", "*", True),
        ("director", "*", True),
        ("qa", "team:commerce", True),
        ("release_manager", "*", False),
        ("release_manager", "team:other", False),
    ],
)
def test_a_private_environment_is_seen_by_its_own(folder: Folder, role: str, scope: str, sees: bool) -> None:
    load_folder(folder(PRIVATE), actor=LOADER)
    assert ("view" in rights_of(person("minji", (role, scope)))) is sees


def test_making_an_environment_private_takes_the_rights_away(folder: Folder) -> None:
    load_folder(folder(), actor=LOADER)
    user = person("minji")
    assert rights_of(user) == VIEW
    load_folder(folder(PRIVATE), actor=LOADER)
    assert rights_of(User.objects.get(pk=user.pk)) == set()


def test_a_service_that_changes_its_team_changes_its_people(folder: Folder) -> None:
    load_folder(folder(), actor=LOADER)
    lead = person("minji", ("team_lead", "team:commerce"))
    other = "---\napiVersion: portal/v1\nkind: Team\nmetadata: {name: content}\nspec: {}\n"
    moved = SMALL.replace("team: commerce", "team: content") + other
    load_folder(folder(moved), actor=LOADER)
    assert rights_of(lead) == VIEW


def test_a_second_load_leaves_the_rights_alone(folder: Folder) -> None:
    load_folder(folder(), actor=LOADER)
    tables = (ServiceGroupPermission, EnvironmentGroupPermission)
    before = [list(table.objects.order_by("pk").values_list("pk", flat=True)) for table in tables]
    load_folder(folder(SMALL.replace("title: Commerce", "title: Trade")), actor=LOADER)
    assert [list(table.objects.order_by("pk").values_list("pk", flat=True)) for table in tables] == before
