"""Loads the demo: people, and the five reference systems from deploy/examples."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from approvals.calendar.models import Freeze
from approvals.calendar.operations import add_freeze
from portal import clock
from portal.actors import Actor
from portal.delegations.demo import load_delegation
from portal.people import demo
from portal.people.models import User
from releases.catalog import files

# The environment that is frozen, how long from now, and for how long.
FROZEN, AHEAD, LENGTH = "kop-production", timedelta(days=30), timedelta(days=2, hours=15)
# How long ago the demo's people came; its oldest release is younger (releases.rollouts.demo).
SETTLED = timedelta(days=21)
EXAMPLES = settings.BASE_DIR / "deploy" / "examples"


class Command(BaseCommand):
    """`manage.py demo`: run again, it changes nothing."""

    requires_system_checks: list[str] = []  # a start waits for this command; `make check` makes them
    help = "Make the demo people and load the example systems, as DEMO says."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the switches."""
        parser.add_argument("--print-people", action="store_true", help="print who there is, as JSON")
        parser.add_argument("--load", action="store_true", help="with --print-people: load before, silently")

    def handle(self, *_args: str, print_people: bool, load: bool, **_options: Any) -> None:
        """Load what DEMO names, print the people, or do both in one start."""
        if settings.DEMO == "off":
            raise CommandError("DEMO is off; set it to people or full.")
        done = _load() if load or not print_people else []
        if print_people:
            report = demo.people_report(settings.PUBLIC_URL)
            done = [json.dumps(report, ensure_ascii=False, indent=1)]
        for line in done:
            self.stdout.write(line)


def _load() -> list[str]:
    """Load what DEMO names; return what was done, a line each."""
    with _before_its_releases():
        made = demo.load_people()
        done = [f"{made} people made, {len(demo.PEOPLE)} there"]
        if settings.DEMO == "full":
            # A policy changed since is the people's own: a restart proposes nothing.
            files.load_folder(EXAMPLES, actor=Actor.portal("demo", door="cli"), keep_policy=True)
            done.append("example systems loaded")
    if load_delegation():
        done.append("a delegation given")
    return [*done, *(_freeze_ahead() if settings.DEMO == "full" else [])]


@contextmanager
def _before_its_releases() -> Iterator[None]:
    """Let an empty portal have got its people and its catalog before what its releases went through."""
    past = timedelta(0) if User.objects.exists() else SETTLED
    with clock.counting_on(clock.now() - past):
        yield


def _freeze_ahead() -> list[str]:
    """Add one freeze of a single system, far enough away to be in nobody's way; once, however it ended."""
    if Freeze.objects.exists():
        return []
    zone = ZoneInfo("Asia/Seoul")
    starts = clock.now().astimezone(zone).replace(hour=18, minute=0, second=0, microsecond=0) + AHEAD
    add_freeze(
        actor=Actor.portal("demo", door="cli"),
        name="월말 정산",
        reason="정산이 끝날 때까지 주문 경로를 바꾸지 않습니다.",
        scope=f"environment:{FROZEN}",
        starts=starts,
        ends=starts + LENGTH,
        zone=zone.key,
    )
    return ["one freeze added to the calendar"]
