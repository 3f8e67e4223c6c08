"""The first administrator, made where the portal's processes run: nobody is there yet to give the role."""

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from portal.actors import Actor
from portal.errors import Conflict, NotAllowed
from portal.people import queries
from portal.people.models import Role, User
from portal.people.operations import create_person, grant_role


def make_administrator(username: str, *, actor: Actor, name: str, email: str, password: str) -> User:
    """Make an account that administers the whole portal.

    Raises:
        NotAllowed: the actor is a person.
        Conflict: somebody administers the portal already; they give the role.
        Invalid: something is wrong, all of it at once, a taken name among it.
    """
    require_none(actor=actor)
    with transaction.atomic():
        made = create_person(username, actor=actor, name=name, email=email, password=password)
        grant_role(username, role=Role.ADMINISTRATOR, scope="*", actor=actor)
    return made


def require_none(*, actor: Actor) -> None:
    """Refuse a person, and where somebody administers the portal already.

    Raises:
        NotAllowed, Conflict: as `make_administrator`.
    """
    if actor.user is not None:
        raise NotAllowed
    there = queries.holders(Role.ADMINISTRATOR, "*").first()
    if there is not None:
        text = _("%(name)s administers the portal already, and gives this role on the page of people.")
        raise Conflict(text % {"name": there.username})
