"""Verifies, exports and signs the record from the command line."""

import sys
import time
from pathlib import Path
from typing import Any, BinaryIO

from django.core.management.base import BaseCommand, CommandError, CommandParser, OutputWrapper
from django.utils.dateparse import parse_datetime
from django.utils.timezone import is_naive

from portal.actors import Actor
from portal.audit import checkpoints, export, grants, operations, queries, retention, verifier
from portal.audit.queries import Search
from portal.errors import PortalError

FILTERS = ("person", "service", "release", "action", "subject")


class Progress:
    """One line on a terminal that is written anew: how far, how fast, how long still."""

    def __init__(self, out: OutputWrapper) -> None:
        self._out = out
        self._total = queries.count_to_verify()
        self._begun = time.monotonic()

    def __call__(self, result: verifier.Result) -> None:
        """Say how far it is."""
        rate = result.entries / max(time.monotonic() - self._begun, 0.001)
        left = max(self._total - result.entries, 0)
        share = 100 * result.entries // max(self._total, 1)
        text = f"{share} %, {rate:,.0f} entries/s, {left:,} left, {left / max(rate, 1):,.0f} s"
        self._out.write(f"\r{text:<70}", ending="")
        self._out.flush()

    def end(self) -> None:
        """Leave the line to what follows."""
        self._out.write(f"\r{'':<70}\r", ending="")


class Command(BaseCommand):
    """`manage.py audit verify|export|checkpoint|retain|grants`."""

    help = "Verify, export, sign or shorten the record; print the grants of the application's database role."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take what to do."""
        acts = parser.add_subparsers(dest="act", required=True)
        verify = acts.add_parser("verify", help="check every entry and every checkpoint")
        verify.add_argument(
            "--checkpoints", type=Path, help="a file with checkpoints that were received, such as a mail"
        )
        self._add_export(acts.add_parser("export", help="write entries as JSON Lines, CSV or a bundle"))
        acts.add_parser("checkpoint", help="sign the newest entry now and send that out")
        retain = acts.add_parser(
            "retain", help="say which signed entries are older than they are kept; with --remove, remove them"
        )
        retain.add_argument("--years", type=int, help="how many years are kept; without it, AUDIT_KEEP_YEARS")
        retain.add_argument(
            "--remove", action="store_true", help="remove them for good, as the owner of the record's table"
        )
        grant = acts.add_parser(
            "grants", help="print SQL that lets a role add to the record and change nothing in it"
        )
        grant.add_argument("role", help="the database role of the application, which does not own the tables")

    def _add_export(self, parser: CommandParser) -> None:
        parser.add_argument("--format", choices=list(export.FILES), default="jsonl")
        parser.add_argument("--output", type=Path, help="a file; without it, the standard output")
        for name in FILTERS:
            parser.add_argument(f"--{name}", type=int if name == "release" else str)
        parser.add_argument("--from", dest="start", help="entries at or after this time, RFC 3339 with zone")
        parser.add_argument("--to", dest="end", help="entries before this time")

    def handle(self, *_args: str, act: str, **options: Any) -> None:
        """Do it."""
        acts = {
            "verify": self._verify,
            "export": self._export,
            "checkpoint": self._sign,
            "grants": self._grants,
            "retain": self._retain,
        }
        try:
            acts[act](options)
        except PortalError as error:
            raise CommandError(str(error.detail or error.title)) from error

    def _verify(self, options: dict[str, Any]) -> None:
        on_terminal = Progress(self.stderr) if self.stderr.isatty() else None
        result = operations.verify_chain(_received(options["checkpoints"]), progress=on_terminal)
        if on_terminal is not None:
            on_terminal.end()
        if result.fault is not None:
            fault = result.fault
            raise CommandError(f"entry {fault.number} {fault.kind}: {fault.sentence()}")
        if result.removed:
            self.stdout.write(
                f"verified from the checkpoint at entry {result.removed}; those before were removed"
            )
        signed = f"{result.checkpoints} checkpoints, signed up to entry {result.signed}"
        self.stdout.write(f"{result.entries} entries, whole; head {result.head}; {signed}")

    def _export(self, options: dict[str, Any]) -> None:
        search = Search(
            **{name: options[name] for name in FILTERS if options[name] is not None},
            start=_moment(options["start"]),
            end=_moment(options["end"]),
        )
        if options["format"] == "bundle" and search != Search():
            raise CommandError("a bundle holds the whole record: leave the search out, or take jsonl or csv")
        pieces = export.written(options["format"], search)
        if options["output"] is not None:
            with options["output"].open("wb") as file:
                file.writelines(pieces)
        elif options["format"] == "bundle":
            _binary_out().writelines(pieces)
        else:
            for piece in pieces:
                self.stdout.write(piece.decode(), ending="")

    def _sign(self, _options: dict[str, Any]) -> None:
        checkpoint = operations.sign_head() or queries.last_checkpoint()
        if checkpoint is None:
            raise CommandError("the record is empty: there is nothing to sign")
        self.stdout.write(checkpoints.line(checkpoint))

    def _retain(self, options: dict[str, Any]) -> None:
        years = retention.years_kept() if options["years"] is None else options["years"]
        if options["remove"]:
            found = retention.remove(years, actor=Actor.portal("manage.py audit retain", door="cli"))
            self.stdout.write(f"entries {found.first} to {found.last} removed; their checkpoints stay")
            return
        found = retention.plan(years)
        if found.held_by is not None:
            self.stdout.write(
                f"release {found.held_by} is open or recent: nothing from its first entry on goes"
            )
        if found.last is None:
            self.stdout.write("nothing to remove")
            return
        self.stdout.write(f"{found.entries} entries would go: {found.first} to {found.last}")
        self.stdout.write(f"all signed before {found.before:%F}")
        self.stdout.write("export them first; then the same with --remove, which can't be undone")

    def _grants(self, options: dict[str, Any]) -> None:
        self.stdout.write(grants.for_role(options["role"]))


def _received(file: Path | None) -> list[dict[str, Any]]:
    if file is None:
        return []
    try:
        found = list(verifier.checkpoints_in(file.read_text(encoding="utf-8").splitlines()))
    except (OSError, ValueError) as error:
        raise CommandError(f"{file} cannot be read: {error}") from error
    if not found:
        raise CommandError(f'{file} holds no checkpoint: a line that begins with {{"at"')
    return found


def _moment(text: str | None) -> Any:
    if not text:
        return None
    found = parse_datetime(text)
    if found is None or is_naive(found):
        raise CommandError(f"{text} is no time like 2026-11-21T09:00:00+09:00")
    return found


def _binary_out() -> BinaryIO:
    return sys.stdout.buffer
