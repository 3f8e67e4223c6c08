"""The catalog at the command line: load, export, check and discover."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from portal.actors import Actor
from portal.errors import PortalError
from portal.integrations.kubernetes.client import connect
from releases.catalog import files
from releases.catalog.difference import Difference
from releases.catalog.discovery import discover
from releases.catalog.live_objects import read_namespace
from releases.catalog.proposal_text import as_yaml, place_of

PLACE = ("namespace", "system", "team")
YES = frozenset({"y", "yes", "예", "ㅇ"})


class Command(BaseCommand):
    """Read the catalog from files, write it to files, or propose it from a cluster."""

    help = "Load, export, check or discover the catalog."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Name the four verbs and their options."""
        verbs = parser.add_subparsers(dest="verb", required=True)
        load = verbs.add_parser("load", help="show the difference, ask, and bring the catalog to the files")
        load.add_argument("path", type=Path)
        load.add_argument("--yes", action="store_true", help="do not ask")
        load.add_argument("--prune", action="store_true", help="remove what the folder no longer holds")
        export = verbs.add_parser("export", help="write the files that were loaded")
        export.add_argument("path", type=Path)
        export.add_argument("--root", help="only what was loaded from the folder of this name")
        check = verbs.add_parser("check", help="say what is wrong with files; write nothing")
        check.add_argument("path", type=Path)
        find = verbs.add_parser("discover", help="propose services from what runs in a namespace")
        find.add_argument("--namespace", required=True)
        find.add_argument("--kubeconfig", type=Path, help="else the KUBECONFIG of the environment")
        find.add_argument("--context", default="", help="another context of the kubeconfig")
        find.add_argument("--team", help="key of the owning team, to be written into the documents")
        find.add_argument("--system", help="system the services belong to; else the namespace's name")

    def handle(self, *_args: Any, verb: str, **options: Any) -> None:
        """Run one verb; an expected refusal is a sentence, not a traceback."""
        try:
            getattr(self, f"_{verb}")(options)
        except PortalError as error:
            raise CommandError(str(error.detail or error.title)) from error

    def _load(self, options: dict[str, Any]) -> None:
        actor = Actor.portal("manage.py catalog load", door="cli")
        confirm = None if options["yes"] else self._ask
        done = files.load_folder(options["path"], actor=actor, confirm=confirm, prune=options["prune"])
        if options["yes"]:
            self._show(done)

    def _ask(self, difference: Difference) -> bool:
        self._show(difference)
        if difference.is_empty:
            return False
        self.stdout.write(_("Carry this out? [y/N] "), ending="")
        self.stdout.flush()
        try:
            agreed = input().strip().lower() in YES
        except EOFError:
            agreed = False
        if not agreed:
            self.stdout.write(_("Nothing was changed."))
        return agreed

    def _show(self, difference: Difference) -> None:
        for line in difference.lines():
            self.stdout.write(line)

    def _export(self, options: dict[str, Any]) -> None:
        for path in files.write_export(options["path"], root=options["root"]):
            self.stdout.write(str(path))

    def _check(self, options: dict[str, Any]) -> None:
        problems = files.check(options["path"])
        for problem in problems:
            self.stderr.write(str(problem))
        if problems:
            text = ngettext("%(count)d problem.", "%(count)d problems.", len(problems))
            raise CommandError(text % {"count": len(problems)})
        self.stdout.write(_("The files are in order."))

    def _discover(self, options: dict[str, Any]) -> None:
        reference = f"file:{options['kubeconfig'].resolve()}" if options["kubeconfig"] else "env:KUBECONFIG"
        cluster = connect({"kubeconfigRef": reference, "context": options["context"]})
        try:
            listed, unread = read_namespace(cluster, options["namespace"])
        finally:
            cluster.close()
        found = discover(listed, place=place_of(**{name: options[name] for name in PLACE}))
        found.warnings += [_("%(kind)s objects may not be read.") % {"kind": kind} for kind in unread]
        self.stdout.write(as_yaml(found), ending="")
