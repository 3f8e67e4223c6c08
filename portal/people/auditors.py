"""An auditor changes nothing, whatever a door forgot to ask."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.db import connection, transaction
from django.utils.translation import gettext_lazy as _

from portal.errors import NotAllowed
from portal.people.models import Role, User
from portal.people.queries import roles_of

# Signing in and out, how the pages look for oneself, and checking the record: nothing of what is audited. To
# verify is to read; that it is under way stands in a row of the portal's own (docs/record.md, "Verifying").
OWN_PAGES = frozenset(
    {
        "audit:verify",
        "audit:sign",
        "account_login",
        "account_logout",
        "account_reauthenticate",
        "account_change_password",
        "account_set_password",
        "mfa_authenticate",
        "mfa_reauthenticate",
        "mfa_activate_totp",
        "mfa_deactivate_totp",
        "mfa_generate_recovery_codes",
        "mfa_add_webauthn",
        "mfa_edit_webauthn",
        "mfa_remove_webauthn",
        "mfa_login_webauthn",
        "mfa_reauthenticate_webauthn",
        "set_language",
        "sign_in_link",
        "notices:mine",
        "people:me",
        "people:make_token",
        "people:revoke_token",
    }
)


def is_auditor(user: AbstractBaseUser | AnonymousUser) -> bool:
    """Whether the person holds the role that sees everything and changes nothing."""
    return isinstance(user, User) and roles_of(user).filter(role=Role.AUDITOR).exists()


@contextmanager
def only_reading(*, auditor: bool) -> Iterator[None]:
    """Let the database itself refuse what an auditor's reading request would write (attacks.md, 1d)."""
    if not auditor:
        yield
        return
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION READ ONLY")
        yield


def refuse_auditor(user: AbstractBaseUser | AnonymousUser) -> None:
    """Raise NotAllowed when the person is an auditor: for every act that changes something."""
    if is_auditor(user):
        raise NotAllowed(_("An auditor sees everything and changes nothing."))
