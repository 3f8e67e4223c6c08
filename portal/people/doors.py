"""Who comes through the browser's door."""

from django.http import HttpRequest

from portal.actors import Actor
from portal.people.models import User


def browser_actor(request: HttpRequest) -> Actor:
    """The signed-in person of a page, to be handed to operations."""
    assert isinstance(request.user, User)
    return Actor(user=request.user, door="browser", address=address_of(request))


def address_of(request: HttpRequest) -> str:
    """The caller's network address; the web server has already judged which proxies to believe."""
    return str(request.META.get("REMOTE_ADDR", ""))
