"""Changing who there is and who holds what; every change is recorded with it."""

from collections.abc import Iterable
from typing import Any

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from portal import clock
from portal.actors import Actor
from portal.audit.record import record
from portal.errors import Conflict, NotAllowed, NotFound
from portal.people import accounts, ending, groups, queries, roles
from portal.people.models import RoleAssignment, User

AUDITED = ("name", "email", "language", "time_zone", "theme", "keys_enabled")
OWN = frozenset({"language", "time_zone", "theme", "keys_enabled"})


def create_person(
    username: str,
    *,
    actor: Actor,
    name: str,
    email: str = "",
    language: str = "",
    time_zone: str = "",
    password: str | None = None,
) -> User:
    """Make an account without any role; without a password it is signed in to by other ways only.

    Raises:
        NotAllowed: the actor is no administrator.
        Invalid: something is wrong, all of it at once, a taken name among it.
    """
    require_administrator(actor)
    user = User(username=username, name=name, email=email, language=language, time_zone=time_zone)
    with transaction.atomic():
        accounts.check_new(user, password=password)
        user.date_joined = clock.now()
        user.set_password(password)
        accounts.insert(user)
        groups.join(user, groups.EVERYONE)
        after = {field: getattr(user, field) for field in ("name", "email")}
        record("person.created", actor=actor, subject=("person", username), after=after)
    return user


def change_person(username: str, *, actor: Actor, **changes: Any) -> User:
    """Change an account's fields; a person may change their own language, zone, theme and keys.

    Args:
        changes: any of name, email, language, time_zone, theme, keys_enabled.

    Raises:
        NotFound: nobody has this name.
        NotAllowed: the actor is neither an administrator nor, for those four, the person.
        Invalid: a value is wrong.
    """
    unknown = set(changes) - set(AUDITED)
    if unknown:
        raise TypeError(f"people have no {sorted(unknown)}")
    if not (actor.name == username and set(changes) <= OWN):
        require_administrator(actor)
    with transaction.atomic():
        user = lock_person(username)
        before = {field: getattr(user, field) for field in changes if getattr(user, field) != changes[field]}
        if not before:
            return user
        for field in before:
            setattr(user, field, changes[field])
        accounts.check(user, fields=before)
        user.save(update_fields=[*before])
        after = {field: changes[field] for field in before}
        record("person.changed", actor=actor, subject=("person", username), before=before, after=after)
    return user


def deactivate_person(username: str, *, actor: Actor, reason: str = "") -> User:
    """Close an account: its sessions, tokens, groups, roles and delegations end with it.

    A closed one stays closed.

    Raises:
        NotFound: nobody has this name.
        NotAllowed: the actor is no administrator, or closes their own account.
    """
    require_administrator(actor)
    _refuse_oneself(username, actor=actor)
    with transaction.atomic():
        user = lock_person(username)
        if not user.is_active:
            return user
        ended = [(held.role, held.scope) for held in queries.roles_of(user)]
        for role, scope in ended:
            _end(user, role=role, scope=scope, actor=actor, reason=reason or "deactivated")
        ending.end_those_taken(user, actor=actor, reason=reason or "deactivated")
        accounts.close(user)
        groups.leave_all(user)
        record(
            "person.deactivated",
            actor=actor,
            subject=("person", username),
            before={"active": True},
            after={"active": False},
            reason=reason,
        )
    return user


def activate_person(username: str, *, actor: Actor) -> User:
    """Open a closed account again; its roles, tokens and sessions do not come back.

    Raises:
        NotFound: nobody has this name.
        NotAllowed: the actor is no administrator.
    """
    require_administrator(actor)
    with transaction.atomic():
        user = lock_person(username)
        if user.is_active:
            return user
        user.is_active = True
        user.save(update_fields=["is_active"])
        groups.join(user, groups.EVERYONE)
        record("person.activated", actor=actor, subject=("person", username), after={"active": True})
    return user


def grant_role(username: str, *, role: str, scope: str, actor: Actor) -> None:
    """Give a role in a scope; one that is held already is left as it is.

    Raises:
        NotFound: nobody has this name.
        NotAllowed: the actor is no administrator, or grants to themselves.
        Invalid: no such role or scope, or it excludes one that is held.
        Conflict: the account is closed.
    """
    require_administrator(actor)
    _refuse_oneself(username, actor=actor)
    roles.check([(role, scope)])
    _require_there([(role, scope)], actor=actor)
    with transaction.atomic():
        user = lock_person(username)
        _require_open(user)
        held = {(row.role, row.scope) for row in queries.roles_of(user)}
        roles.check_together({*held, (role, scope)})
        if (role, scope) not in held:
            _begin(user, role=role, scope=scope, actor=actor)


def revoke_role(username: str, *, role: str, scope: str, actor: Actor, reason: str = "") -> None:
    """End a role in a scope; one that is not held is left as it is.

    Raises:
        NotFound: nobody has this name.
        NotAllowed: the actor is no administrator.
    """
    require_administrator(actor)
    with transaction.atomic():
        user = lock_person(username)
        if queries.roles_of(user).filter(role=role, scope=scope).exists():
            _end(user, role=role, scope=scope, actor=actor, reason=reason)


def set_roles(username: str, *, wanted: Iterable[roles.RoleAt], actor: Actor) -> None:
    """Make exactly these the person's roles: what is missing is granted, what is left over ends.

    Raises:
        NotFound, NotAllowed, Invalid, Conflict: as `grant_role`.
    """
    target = set(wanted)
    require_administrator(actor)
    _refuse_oneself(username, actor=actor)
    roles.check(sorted(target))
    roles.check_together(target)
    with transaction.atomic():
        user = lock_person(username)
        if target:
            _require_open(user)
        held = {(row.role, row.scope) for row in queries.roles_of(user)}
        _require_there(sorted(target - held), actor=actor)
        for role, scope in sorted(held - target):
            _end(user, role=role, scope=scope, actor=actor, reason="")
        for role, scope in sorted(target - held):
            _begin(user, role=role, scope=scope, actor=actor)


def require_administrator(actor: Actor) -> None:
    """Raise NotAllowed unless an administrator, or the portal itself, acts through a door wide enough."""
    if not actor.has_scope("admin"):
        raise NotAllowed(_("This token does not reach that far: it lacks the scope admin."))
    if actor.user is not None and not queries.is_administrator(actor.user):
        raise NotAllowed(_("Only an administrator may change people and roles."))


def lock_people(usernames: Iterable[str]) -> dict[str, User]:
    """Return the locked rows of several accounts by name, locked in one order; unknown names are left out."""
    found = User.objects.select_for_update(no_key=True).filter(username__in=list(usernames)).order_by("pk")
    return {user.username: user for user in found}


def lock_person(username: str) -> User:
    """Return the locked row of an account, or raise NotFound."""
    user = User.objects.select_for_update().filter(username=username).first()
    if user is None:
        raise NotFound(_("Nobody here has the name {name}.").format(name=username))
    return user


def _refuse_oneself(username: str, *, actor: Actor) -> None:
    if actor.user is not None and actor.user.username == username:
        raise NotAllowed(_("Nobody changes their own roles or closes their own account. Ask another one."))


def _require_there(wanted: Iterable[roles.RoleAt], *, actor: Actor) -> None:
    """Refuse a person who grants over nothing; the portal itself makes people before it has a catalog."""
    if actor.user is not None:
        roles.check_there(wanted)


def _require_open(user: User) -> None:
    if not user.is_active:
        raise Conflict(_("The account {name} is closed. Open it first.").format(name=user.username))


def _begin(user: User, *, role: str, scope: str, actor: Actor) -> None:
    RoleAssignment.objects.create(
        user=user, role=role, scope=scope, granted_at=clock.now(), granted_by=actor.user
    )
    groups.join(user, groups.group_name(role, scope))
    after = {"role": role, "scope": scope}
    record("role.granted", actor=actor, subject=("person", user.username), after=after)


def _end(user: User, *, role: str, scope: str, actor: Actor, reason: str) -> None:
    queries.roles_of(user).filter(role=role, scope=scope).update(revoked_at=clock.now())
    groups.leave(user, groups.group_name(role, scope))
    before = {"role": role, "scope": scope}
    record("role.revoked", actor=actor, subject=("person", user.username), before=before, reason=reason)
    ending.end_those_of_role(user, role=role, scope=scope, actor=actor, reason=reason or "role revoked")
