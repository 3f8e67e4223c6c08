"""Who there is and who holds what; changes are for administrators."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from django.db.models import Prefetch
from django.http import HttpRequest
from ninja import Field, Query, Router, Schema
from ninja.responses import Status

from portal.actors import Actor
from portal.api import paging
from portal.api.auth import actor_of, scope
from portal.api.paging import PageQuery
from portal.api.schemas import Body, Paged
from portal.api.strict import hidden_first
from portal.errors import NotFound
from portal.people import operations, queries, tokens
from portal.people.models import LONGEST_SCOPE, Role, RoleAssignment, User


def _require_there(_request: HttpRequest, values: Mapping[str, Any]) -> None:
    if "username" in values:
        _person(values["username"])


router = Router(tags=["people"])
router.add_decorator(hidden_first(_require_there), mode="view")


class RoleShape(Body):
    """A role in a scope."""

    role: str = Field(max_length=20, examples=["team_lead"])
    scope: str = Field(max_length=LONGEST_SCOPE, examples=["team:commerce"])


class PersonShape(Schema):
    """A person; `email` is null for those whom it does not concern."""

    username: str
    name: str
    active: bool
    email: str | None
    roles: list[RoleShape]
    teams: list[str]


class MeShape(PersonShape):
    """The person who asks, and how far this door reaches."""

    language: str
    time_zone: str
    scopes: list[str]


class NewPerson(Body):
    """An account to make."""

    username: str = Field(max_length=150)
    name: str = Field(max_length=80)
    email: str = Field("", max_length=254)
    language: str = Field("", max_length=2)
    time_zone: str = Field("", max_length=64)
    password: str | None = Field(None, max_length=128)


class PersonChange(Body):
    """What is left out stays as it is."""

    name: str | None = Field(None, max_length=80)
    email: str | None = Field(None, max_length=254)
    language: str | None = Field(None, max_length=2)
    time_zone: str | None = Field(None, max_length=64)
    active: bool | None = None
    reason: str = Field("", max_length=500)


class PeopleQuery(PageQuery):
    """Which people."""

    active: bool | None = None


class Reader(NamedTuple):
    """Who reads a person; `wide` opens everybody's address."""

    pk: int
    wide: bool


@router.get("/me", response=MeShape)
def read_me(request: HttpRequest) -> dict[str, Any]:
    """Say who asks."""
    actor = actor_of(request)
    assert actor.user is not None
    reach = tokens.scopes_of(actor.user) if actor.scopes is None else actor.scopes
    return {
        **_shape(_people().get(pk=actor.user.pk), reader=_reader(actor.user)),
        "language": actor.user.language,
        "time_zone": actor.user.time_zone,
        "scopes": [name for name in tokens.SCOPES if name in reach],
    }


@router.get("/people", response=Paged[PersonShape])
def list_people(request: HttpRequest, query: Query[PeopleQuery]) -> dict[str, Any]:
    """List people by name."""
    rows = _people() if query.active is None else _people().filter(is_active=query.active)
    reader = _reader(actor_of(request).user)
    part = paging.page(rows, query=query, key="username", descending=False)
    return paging.answer(part, lambda user: _shape(user, reader=reader))


@router.get("/people/{username}", response=PersonShape)
def read_person(request: HttpRequest, username: str) -> dict[str, Any]:
    """Show one person."""
    return _shape(_person(username), reader=_reader(actor_of(request).user))


@router.post("/people", response={201: PersonShape})
def create_person(request: HttpRequest, body: NewPerson) -> Status[dict[str, Any]]:
    """Make an account without any role."""
    actor = scope(request, "admin")
    user = operations.create_person(**body.model_dump(), actor=actor)
    return Status(201, _shape(_person(user.username), reader=_reader(actor.user)))


@router.patch("/people/{username}", response=PersonShape)
def change_person(request: HttpRequest, username: str, body: PersonChange) -> dict[str, Any]:
    """Change an account; `active: false` closes it at once, everywhere."""
    actor = scope(request, "admin")
    changes = body.model_dump(exclude_unset=True, exclude={"active", "reason"}, exclude_none=True)
    if changes:
        operations.change_person(username, actor=actor, **changes)
    if body.active is not None:
        _open_or_close(username, active=body.active, reason=body.reason, actor=actor)
    return _shape(_person(username), reader=_reader(actor.user))


@router.get("/people/{username}/roles", response=Paged[RoleShape])
def list_roles(request: HttpRequest, username: str) -> dict[str, Any]:
    """List the roles a person holds now."""
    actor_of(request)
    return paging.whole(_roles(_person(username)))


@router.put("/people/{username}/roles", response=Paged[RoleShape])
def set_roles(request: HttpRequest, username: str, body: list[RoleShape]) -> dict[str, Any]:
    """Make exactly these the person's roles."""
    actor = scope(request, "admin")
    operations.set_roles(username, wanted=[(entry.role, entry.scope) for entry in body], actor=actor)
    return paging.whole(_roles(_person(username)))


def _open_or_close(username: str, *, active: bool, reason: str, actor: Actor) -> None:
    if active:
        operations.activate_person(username, actor=actor)
    else:
        operations.deactivate_person(username, actor=actor, reason=reason)


def _people() -> Any:
    held = RoleAssignment.objects.filter(revoked_at=None).order_by("role", "scope")
    return User.objects.prefetch_related(Prefetch("assignments", queryset=held, to_attr="held"))


def _person(username: str) -> User:
    user: User | None = _people().filter(username=username).first()
    if user is None:
        raise NotFound
    return user


def _reader(user: User | None) -> Reader:
    assert user is not None
    wide = queries.roles_of(user).filter(role__in=[Role.ADMINISTRATOR, Role.AUDITOR])
    return Reader(user.pk, wide.exists())


def _roles(user: User) -> list[dict[str, str]]:
    return [{"role": row.role, "scope": row.scope} for row in user.held]  # type: ignore[attr-defined]


def _shape(user: User, *, reader: Reader) -> dict[str, Any]:
    roles = _roles(user)
    return {
        "username": user.username,
        "name": user.name,
        "active": user.is_active,
        "email": user.email if _may_read_address(user, reader=reader) else None,
        "roles": roles,
        "teams": queries.teams_in(role["scope"] for role in roles),
    }


def _may_read_address(user: User, *, reader: Reader) -> bool:
    return reader.wide or reader.pk == user.pk
