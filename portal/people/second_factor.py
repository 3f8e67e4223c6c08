"""The second factor: its refusals in our words, and what is done to it in the record."""

from typing import Any

from allauth.core import context
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from allauth.mfa.signals import authentication_failed, authenticator_used
from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.db import transaction
from django.db.models.signals import post_delete, post_save
from django.http import HttpRequest
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal.actors import Actor
from portal.audit.record import record
from portal.people.doors import address_of
from portal.people.models import User


class SecondFactorAdapter(DefaultMFAAdapter):
    """allauth's second factor with sentences that say what to do next."""

    error_messages = {
        **DefaultMFAAdapter.error_messages,
        "incorrect_code": _("This code is not right, or no longer. Type the one that the app shows now."),
        "incorrect_passkey": _("This passkey does not fit, or it took too long. Try once more."),
        "cannot_generate_recovery_codes": _("Recovery codes need a second factor. Switch it on first."),
    }

    def get_public_key_credential_rp_entity(self) -> dict[str, str]:
        """Whom passkeys belong to: a setting, never what the request says of its host."""
        return {"id": settings.PASSKEY_DOMAIN, "name": gettext("Release portal")}

    def get_public_key_credential_user_entity(self, user: AbstractBaseUser) -> dict[str, Any]:
        """How the device lists the passkey: by the name that one signs in with."""
        found = super().get_public_key_credential_user_entity(user)
        return {**found, "name": user.get_username(), "display_name": str(user)}

    def generate_authenticator_name(self, user: AbstractBaseUser, type: Authenticator.Type) -> str:  # noqa: A002
        """A name for a passkey whose owner gave none."""
        number = Authenticator.objects.filter(user_id=user.pk, type=type).count() + 1
        return gettext("Passkey {number}").format(number=number)


def watch() -> None:
    """Record every factor that comes and goes in its transaction, each use and each refusal."""
    post_save.connect(_added, sender=Authenticator, dispatch_uid="second factor added")
    post_delete.connect(_removed, sender=Authenticator, dispatch_uid="second factor removed")
    authenticator_used.connect(_used, sender=Authenticator, dispatch_uid="second factor used")
    authentication_failed.connect(_refused, sender=Authenticator, dispatch_uid="second factor refused")


def _added(instance: Authenticator, created: bool, **_more: Any) -> None:
    if created:
        _note("factor.added", instance, after=instance.type)


def _removed(instance: Authenticator, **_more: Any) -> None:
    _note("factor.removed", instance, before=instance.type)


def _used(request: HttpRequest, user: User, authenticator: Authenticator, **_more: Any) -> None:
    actor = Actor(user=user, address=address_of(request))
    with transaction.atomic():
        after = {"kind": authenticator.type}
        record("factor.shown", actor=actor, subject=("person", user.username), after=after)


def _refused(request: HttpRequest, user: User | None, **_more: Any) -> None:
    """Write it down; whose it was is not known where somebody signs in by a passkey that nobody has."""
    actor = Actor(door="browser", address=address_of(request), cause="second factor")
    with transaction.atomic():
        record("session.refused", actor=actor, subject=("person", user.username if user else ""))


def _note(action: str, factor: Authenticator, *, before: str = "", after: str = "") -> None:
    """Outside a request, as in a command, the portal itself has done it."""
    request = context.request
    user = getattr(request, "user", None)
    if isinstance(user, User):
        actor = Actor(user=user, address=address_of(request))
    else:
        actor = Actor.portal("second factor", door="cli")
    record(
        action,
        actor=actor,
        subject=("person", factor.user.username),
        before={"kind": before} if before else {},
        after={"kind": after} if after else {},
    )
