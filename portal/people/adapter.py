"""How sign-in behaves here: accounts are made by administrators, and every sign-in is in the record."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.mfa.models import Authenticator
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.db import transaction
from django.http import HttpRequest

from portal.actors import Actor
from portal.audit.record import record
from portal.people.doors import address_of
from portal.people.models import User

PASSKEY = "mfa_reauthenticate:webauthn"  # allauth's name


class AccountAdapter(DefaultAccountAdapter):
    """Closes sign-up; records who came, who went and who was turned away."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:  # noqa: ARG002  allauth's signature
        """Nobody makes an account for themselves."""
        return False

    def login(self, request: HttpRequest, user: AbstractBaseUser) -> None:
        """Open a session under a new key; without its entry in the record there is none."""
        assert isinstance(user, User)
        with transaction.atomic():
            super().login(request, user)
            record("session.started", actor=_actor(request, user), subject=("person", user.username))

    def logout(self, request: HttpRequest) -> None:
        """Close the session."""
        if isinstance(request.user, User):
            with transaction.atomic():
                actor = _actor(request, request.user)
                record("session.ended", actor=actor, subject=("person", request.user.username))
        super().logout(request)

    def get_reauthentication_methods(self, user: AbstractBaseUser | AnonymousUser) -> list[dict[str, Any]]:
        """Ask whoever has a second factor for it and never for the password alone.

        With the password alone one could make new factors, or read the recovery codes, and show those as
        fresh ones (attacks.md, 1d, "step-up skipped"). A passkey comes first where there is no app.
        """
        ways = super().get_reauthentication_methods(user)
        factors = [way for way in ways if way["id"] != "reauthenticate"]
        if not factors:
            return list(ways)
        has_app = Authenticator.objects.filter(user=user, type=Authenticator.Type.TOTP).exists()
        return sorted(factors, key=lambda way: (way["id"] == PASSKEY) == has_app)

    def authentication_failed(self, request: HttpRequest, **credentials: Any) -> None:
        """Record a refusal; an unknown name is left out, because people type passwords there."""
        user = User.objects.filter(username=str(credentials.get("username", ""))[:150]).first()
        actor = Actor(door="browser", address=address_of(request), cause="sign-in")
        with transaction.atomic():
            record("session.refused", actor=actor, subject=("person", user.username if user else ""))


def _actor(request: HttpRequest, user: User) -> Actor:
    return Actor(user=user, door="browser", address=address_of(request))
