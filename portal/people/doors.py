"""Who comes through the browser's door."""

from allauth.account.internal.flows.login import get_authentication_records
from django.http import HttpRequest

from portal import trace
from portal.actors import Actor
from portal.people.models import User


def browser_actor(request: HttpRequest) -> Actor:
    """The signed-in person of a page, to be handed to operations."""
    assert isinstance(request.user, User)
    trace.name_person(request.user.username)
    return Actor(
        user=request.user,
        door="browser",
        address=address_of(request),
        factor_at=factor_seen_at(request, request.user),
    )


def factor_seen_at(request: HttpRequest, user: User) -> float | None:
    """When this session last saw the person's second factor, at the sign-in or since."""
    shown = [each for each in get_authentication_records(request, user) if each.get("method") == "mfa"]
    return max((float(each["at"]) for each in shown), default=None)


def address_of(request: HttpRequest) -> str:
    """The caller's network address; the web server has already judged which proxies to believe."""
    return str(request.META.get("REMOTE_ADDR", ""))
