"""The cast of the tests: people in their roles, made through the operations."""

from dataclasses import dataclass

import pytest

from portal.actors import Actor
from portal.people.models import Role, User
from portal.people.operations import create_person, grant_role
from tests import snapshot

BY_THE_PORTAL = Actor.portal("a test", door="cli")


def person(username: str, *roles: tuple[str, str], name: str = "") -> User:
    """Make a person who holds the given (role, scope) pairs."""
    user = create_person(username, actor=BY_THE_PORTAL, name=name or username.capitalize())
    for role, scope in roles:
        grant_role(username, role=role, scope=scope, actor=BY_THE_PORTAL)
    return user


def acting(user: User, *, door: str = "browser") -> Actor:
    """The person behind a door."""
    return Actor(user=user, door=door)


@dataclass(frozen=True)
class Cast:
    """One person in each role, all around one team, and one who holds nothing."""

    author: User
    pl: User
    team_lead: User
    infra_senior: User
    director: User
    qa: User
    auditor: User
    administrator: User
    outsider: User


def make_cast(
    *, team: str = "commerce", service: str = "shopping-service", cluster_group: str = "production"
) -> Cast:
    """Make the cast: `author` is a release manager of the team, `pl` leads the service."""
    return Cast(
        author=person("author", (Role.RELEASE_MANAGER, f"team:{team}")),
        pl=person("pl", (Role.PL, f"service:{service}")),
        team_lead=person("lead", (Role.TEAM_LEAD, f"team:{team}")),
        infra_senior=person("senior", (Role.INFRA_SENIOR, f"cluster_group:{cluster_group}")),
        director=person("director", (Role.DIRECTOR, "*")),
        qa=person("qa", (Role.QA, "*")),
        auditor=person("auditor", (Role.AUDITOR, "*")),
        administrator=person("administrator", (Role.ADMINISTRATOR, "*")),
        outsider=person("outsider"),
    )


@pytest.fixture
def cast(db: None) -> Cast:
    """The cast around team commerce and its shopping-service."""
    return snapshot.repeat("cast", make_cast)
