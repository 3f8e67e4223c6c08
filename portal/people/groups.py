"""Groups mirror the roles: guardian's rights hang on "ROLE@SCOPE" and on "everyone"."""

from django.contrib.auth.models import Group

from portal.people.models import User

EVERYONE = "everyone"


def group_name(role: str, scope: str) -> str:
    """The name of the group that carries the rights of a role in a scope."""
    return f"{role}@{scope}"


def join(user: User, name: str) -> None:
    """Put the person into the group, which is made when it is missing."""
    group, _made = Group.objects.get_or_create(name=name)
    user.groups.add(group)


def leave(user: User, name: str) -> None:
    """Take the person out of the group."""
    user.groups.remove(*Group.objects.filter(name=name))


def leave_all(user: User) -> None:
    """Take the person out of every group, as when the account is closed."""
    user.groups.clear()
