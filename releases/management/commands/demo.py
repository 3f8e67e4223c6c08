"""Loads the demo: people, and the five reference systems from deploy/examples."""

import json
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from portal.actors import Actor
from portal.people import demo
from releases.catalog import files

EXAMPLES = settings.BASE_DIR / "deploy" / "examples"


class Command(BaseCommand):
    """`manage.py demo`: run again, it changes nothing."""

    requires_system_checks: list[str] = []  # a start waits for this command; `make check` makes them
    help = "Make the demo people and load the example systems, as DEMO says."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the switches."""
        parser.add_argument("--print-people", action="store_true", help="print who there is, as JSON")
        parser.add_argument(
            "--load-and-print-people", action="store_true", help="load, then print nothing but who there is"
        )

    def handle(
        self, *_args: str, print_people: bool, load_and_print_people: bool, **_options: Any
    ) -> None:
        """Load what DEMO names, or print the people, or both."""
        if settings.DEMO == "off":
            raise CommandError("DEMO is off; set it to people or full.")
        if load_and_print_people:
            _load(StringIO())
        if print_people or load_and_print_people:
            report = demo.people_report(settings.PUBLIC_URL)
            self.stdout.write(json.dumps(report, ensure_ascii=False, indent=1))
            return
        made = demo.load_people()
        self.stdout.write(f"{made} people made, {len(demo.PEOPLE)} there")
        if settings.DEMO == "full":
            files.load_folder(EXAMPLES, actor=Actor.portal("demo", door="cli"))
            self.stdout.write("example systems loaded")
