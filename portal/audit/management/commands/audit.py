"""Verifies and exports the record from the command line."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from portal.audit import export, operations


class Command(BaseCommand):
    """`manage.py audit verify`, `manage.py audit export`."""

    help = "Verify the chain of the record, or write it as JSON Lines."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take what to do."""
        parser.add_argument("act", choices=["verify", "export"])

    def handle(self, *_args: str, act: str, **_options: Any) -> None:
        """Do it."""
        if act == "verify":
            self._verify()
        else:
            for line in export.lines():
                self.stdout.write(line, ending="")

    def _verify(self) -> None:
        result = operations.verify_chain()
        if result.fault is not None:
            raise CommandError(f"entry {result.fault.number} {result.fault.kind}: {result.fault.text}")
        self.stdout.write(f"{result.entries} entries, whole; head {result.head}")
