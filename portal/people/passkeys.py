"""Passkeys: allauth's forms with our rules. An answer's origin is checked, every refusal is recorded."""

import json
import struct
from typing import Any

from allauth.core import context
from allauth.mfa.adapter import get_adapter
from allauth.mfa.models import Authenticator
from allauth.mfa.signals import authentication_failed
from allauth.mfa.webauthn import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.forms import CharField
from django.utils.translation import gettext_lazy as _
from fido2.utils import websafe_decode

NAME_LENGTH = 40
# What the libraries raise on an answer that no browser writes.
UNREADABLE = (ValueError, TypeError, KeyError, IndexError, AttributeError, struct.error)


def is_last_factor(key: Authenticator) -> bool:
    """Whether without this key the password alone would open the account."""
    others = Authenticator.objects.filter(user=key.user).exclude(pk=key.pk)
    return not others.exclude(type=Authenticator.Type.RECOVERY_CODES).exists()


def require_origin(credential: Any) -> None:
    """Refuse what was made on another page, be it one below the same domain (WebAuthn 2, 13.4.9).

    Raises:
        ValidationError: the browser names another origin than ours, or a page of ours inside a foreign one.
    """
    client = json.loads(websafe_decode(credential["response"]["clientDataJSON"]))
    if client["origin"] != settings.PASSKEY_ORIGIN or client.get("crossOrigin"):
        raise get_adapter().validation_error("incorrect_passkey")


def refusal_of(error: Exception) -> ValidationError:
    """What the person reads: that it went too often, or that the passkey does not fit."""
    if isinstance(error, ValidationError) and error.code == "too_many_login_attempts":
        return error
    refused: ValidationError = get_adapter().validation_error("incorrect_passkey")
    return refused


class _Shown(forms.AuthenticateWebAuthnForm):
    """A passkey that is shown; a wrong one is in the record like a wrong code."""

    def clean_credential(self) -> Authenticator:
        try:
            found = super().clean_credential()
            require_origin(self.cleaned_data["credential"])
        except (ValidationError, *UNREADABLE) as error:
            refused = refusal_of(error)
            if refused is not error:
                self._note()
            raise refused from error
        return found

    def _note(self) -> None:
        authentication_failed.send(
            sender=Authenticator,
            request=context.request,
            user=self.user,
            authenticator=None,
            reauthentication=self.reauthenticated,
        )


class SecondFactorForm(_Shown):
    """After the password."""


class FreshFactorForm(_Shown, forms.ReauthenticateWebAuthnForm):
    """Once more, before what asks for it."""


class SignInForm(_Shown, forms.LoginWebAuthnForm):
    """In place of name and password."""


def _printable(name: str) -> None:
    if not name.isprintable():
        raise ValidationError(_("Control characters are not allowed here."))


class AddForm(forms.AddWebAuthnForm):
    """A new passkey; each of them signs in by itself, so that nobody is asked whether it should."""

    passwordless = None  # type: ignore[assignment]  # as Django leaves a field out
    name = CharField(
        label=_("Name"),
        max_length=NAME_LENGTH,
        required=False,
        validators=[_printable],
        help_text=_("It tells this passkey from others, such as “phone” or “key on my ring”."),
    )

    def clean(self) -> dict[str, Any]:
        try:
            cleaned: dict[str, Any] = super().clean()
            if cleaned.get("credential"):
                require_origin(cleaned["credential"])
        except (ValidationError, *UNREADABLE) as error:
            raise refusal_of(error) from error
        return cleaned


class RenameForm(forms.EditWebAuthnForm):
    """Another name for a passkey."""

    name = CharField(label=_("Name"), max_length=NAME_LENGTH, validators=[_printable])
