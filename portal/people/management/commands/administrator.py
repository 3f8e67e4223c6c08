"""Makes the first administrator, who makes all other accounts in the browser."""

from argparse import ArgumentParser
from getpass import getpass
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _

from portal.actors import Actor
from portal.errors import PortalError
from portal.people import first


class Command(BaseCommand):
    """Refused as soon as somebody administers the portal."""

    help = "Make the first administrator of the portal; asks for the password."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Name the account."""
        parser.add_argument("username")
        parser.add_argument("--name", required=True, help="as people are called")
        parser.add_argument("--email", required=True)

    def handle(self, *_args: Any, username: str, name: str, email: str, **_options: Any) -> None:
        """Make the account; an expected refusal is a sentence, not a traceback."""
        actor = Actor.portal("manage.py administrator", door="cli")
        try:
            first.require_none(actor=actor)
            first.make_administrator(username, actor=actor, name=name, email=email, password=_password())
        except PortalError as error:
            wrong = [f"{each['field']}: {each['text']}" for each in error.missing]
            raise CommandError("\n".join(wrong) or str(error.detail or error.title)) from error
        self.stdout.write(_("%(name)s administers the portal.") % {"name": username})


def _password() -> str:
    """Ask until it was typed the same twice."""
    while True:
        typed = getpass(_("Password: "))
        if getpass(_("Once more: ")) == typed:
            return typed
