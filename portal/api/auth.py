"""Who asks: the owner of a bearer token, or the person of a session whose request carries the CSRF token."""

from django.http import HttpRequest
from django.utils import translation
from django.utils.translation import gettext_lazy as _
from ninja.security.base import AuthBase
from ninja.utils import check_csrf

from portal import trace
from portal.actors import Actor
from portal.api.problems import Refused, Unauthenticated
from portal.errors import NotAllowed
from portal.people import tokens
from portal.people.doors import address_of, browser_actor
from portal.people.models import User

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def find_actor(request: HttpRequest) -> Actor:
    """Find out who asks, afresh for every request.

    Raises:
        Unauthenticated: there is no session and no token, or one that does not hold.
        Refused: a session's write without its CSRF token.
    """
    header = request.headers.get("Authorization", "")
    if header:
        return _by_token(request, header)
    if not isinstance(request.user, User):
        raise Unauthenticated(_("Send a personal token as a bearer token."))
    if request.method not in SAFE_METHODS and check_csrf(request) is not None:
        raise Refused(403, "csrf", _("The request could not be trusted"), _("Its CSRF token is missing."))
    return browser_actor(request)


def _by_token(request: HttpRequest, header: str) -> Actor:
    kind, _space, secret = header.partition(" ")
    found = tokens.authenticate(secret.strip()) if kind.lower() == "bearer" else None
    if found is None:
        raise Unauthenticated(_("This token is unknown, expired or revoked."))
    user, token, scopes = found
    request.user = user
    trace.name_person(user.username)
    if user.language and "Accept-Language" not in request.headers:
        translation.activate(user.language)
    return Actor(user=user, door="api", token=token.prefix, scopes=scopes, address=address_of(request))


def actor_of(request: HttpRequest) -> Actor:
    """The actor of an authenticated request."""
    actor = getattr(request, "actor", None)
    if not isinstance(actor, Actor):
        raise Unauthenticated
    return actor


def scope(request: HttpRequest, needed: str) -> Actor:
    """The actor of a request whose token reaches far enough.

    Args:
        needed: read, compose, operate, decide or admin (rules.md, "Tokens").

    Raises:
        NotAllowed: the token was not given this scope.
    """
    actor = actor_of(request)
    if not actor.has_scope(needed):
        raise NotAllowed(
            _("This token does not reach that far: it lacks the scope {scope}.").format(scope=needed)
        )
    return actor


class Credentials(AuthBase):
    """The API's own check: `portal.api.middleware` has found the actor or the reason why there is none."""

    openapi_type = "http"
    openapi_scheme = "bearer"

    def __call__(self, request: HttpRequest) -> Actor:
        """Return the actor, or raise what stood in the way."""
        refusal = getattr(request, "refusal", None)
        if refusal is not None:
            raise refusal
        if request.method in SAFE_METHODS:
            return scope(request, "read")
        return actor_of(request)
