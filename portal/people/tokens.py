"""Personal tokens: shown once, stored hashed, cut to what their owner may, dead with their owner."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Collection
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from portal import clock
from portal.actors import Actor
from portal.audit.record import record
from portal.errors import Invalid, NotAllowed, NotFound, field_error
from portal.people import queries
from portal.people.models import AccessToken, Role, User

SCOPES = ("read", "compose", "operate", "decide", "admin")
# `decide` must be asked for by name (rules.md, "Tokens").
DEFAULT_SCOPES = ("read", "compose", "operate")
MARK = "rp_"
KEY_LENGTH = 12
SECRET_LENGTH = 43
FORM = re.compile(MARK + r"[0-9a-f]{12}_[A-Za-z0-9_-]{20,60}")
LONGEST_LIFE = timedelta(days=366)
USED_EVERY = timedelta(minutes=1)

_RIGHTS: dict[str, frozenset[str]] = {
    Role.RELEASE_MANAGER: frozenset({"compose", "operate"}),
    Role.PL: frozenset({"compose", "operate"}),
    Role.TEAM_LEAD: frozenset({"compose", "operate"}),
    Role.INFRA_SENIOR: frozenset({"operate"}),
    Role.DIRECTOR: frozenset({"operate"}),
    Role.QA: frozenset({"operate"}),
    Role.ADMINISTRATOR: frozenset({"operate", "admin"}),
    Role.AUDITOR: frozenset(),
}


def scopes_of(user: User) -> frozenset[str]:
    """The scopes for which the person has any right now: the widest that a token of theirs can be."""
    roles = {role for role, _scope in queries.capacities(user)}
    if Role.AUDITOR in roles:
        return frozenset({"read"})
    # Anyone who may see a release may object to it, which is a decision.
    return frozenset({"read", "decide"}).union(*(_RIGHTS[role] for role in roles))


def create_token(
    *,
    actor: Actor,
    name: str,
    scopes: Collection[str] = DEFAULT_SCOPES,
    expires_at: datetime | None = None,
) -> tuple[AccessToken, str]:
    """Make a token for the person who acts; the second value is the secret, shown this once.

    Args:
        scopes: wanted; those the owner has no right for are left out.
        expires_at: at most a year away, which is also the default.

    Raises:
        NotAllowed: the actor came with a token: a token makes no tokens.
        Invalid: no name, an unknown scope, a time in the past or too far away.
    """
    if actor.token or actor.user is None:
        raise NotAllowed(_("A token cannot make tokens. Sign in to make one."))
    now = clock.now()
    ends_at = expires_at or now + LONGEST_LIFE
    _check(name=name, scopes=scopes, ends_at=ends_at, now=now)
    secret = MARK + secrets.token_hex(KEY_LENGTH // 2) + "_" + secrets.token_urlsafe(32)
    with transaction.atomic():
        reach = scopes_of(actor.user).intersection(scopes)
        token = keep(actor.user, secret=secret, name=name, scopes=reach, expires_at=ends_at)
        after = {"name": name, "scopes": token.scopes, "expires_at": ends_at.isoformat()}
        record("token.created", actor=actor, subject=("token", token.prefix), after=after)
    return token, secret


def keep(
    owner: User, *, secret: str, name: str, scopes: Collection[str], expires_at: datetime | None
) -> AccessToken:
    """Store a token by the hash of its secret."""
    return AccessToken.objects.create(
        user=owner,
        name=name,
        prefix=prefix_of(secret),
        hashed=_hashed(secret),
        scopes=[scope for scope in SCOPES if scope in scopes],
        created_at=clock.now(),
        expires_at=expires_at,
    )


def revoke_token(prefix: str, *, actor: Actor) -> None:
    """End a token of one's own.

    Raises:
        NotFound: the actor has no such token.
    """
    with transaction.atomic():
        token = AccessToken.objects.select_for_update().filter(prefix=prefix, user=actor.user).first()
        if token is None:
            raise NotFound
        if token.revoked_at is not None:
            return
        token.revoked_at = clock.now()
        token.save(update_fields=["revoked_at"])
        record("token.revoked", actor=actor, subject=("token", prefix), before={"name": token.name})


def authenticate(bearer: str) -> tuple[User, AccessToken, frozenset[str]] | None:
    """Find the active person behind a secret, the token, and the scopes it reaches now; None for any other.

    Everything is read afresh, so that a revoked token and a closed account end with the next request.
    """
    if not FORM.fullmatch(bearer):
        return None
    token = AccessToken.objects.select_related("user").filter(prefix=prefix_of(bearer)).first()
    if token is None or not hmac.compare_digest(token.hashed, _hashed(bearer)):
        return None
    now = clock.now()
    if token.revoked_at or not token.user.is_active or (token.expires_at and token.expires_at <= now):
        return None
    _note_use(token, now=now)
    return token.user, token, scopes_of(token.user).intersection(token.scopes)


def demo_secret(username: str) -> str:
    """The secret of a demo person's token, the same at every start with the same SECRET_KEY."""
    key = hmac.digest(settings.SECRET_KEY.encode(), f"demo token of {username}".encode(), "sha256").hex()
    return MARK + key[:KEY_LENGTH] + "_" + key[KEY_LENGTH : KEY_LENGTH + SECRET_LENGTH]


def prefix_of(secret: str) -> str:
    """The part of a secret that may be shown and by which its token is found."""
    return secret[: len(MARK) + KEY_LENGTH]


def _hashed(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _note_use(token: AccessToken, *, now: datetime) -> None:
    stale = Q(last_used_at=None) | Q(last_used_at__lt=now - USED_EVERY)
    AccessToken.objects.filter(stale, pk=token.pk).update(last_used_at=now)


def _check(*, name: str, scopes: Collection[str], ends_at: datetime, now: datetime) -> None:
    missing = []
    if not name.strip() or len(name) > 80 or not name.isprintable():
        missing.append(field_error("name", _("Give the token a name of at most 80 letters.")))
    missing += [
        field_error("scopes", _("There is no scope {scope}.").format(scope=scope))
        for scope in scopes
        if scope not in SCOPES
    ]
    if not now < ends_at <= now + LONGEST_LIFE:
        missing.append(field_error("expires_at", _("A token ends within a year.")))
    if missing:
        raise Invalid(_("The token was not made."), missing=missing)
