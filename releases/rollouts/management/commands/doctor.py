"""`manage.py doctor`: what is configured, what is missing, what was reached, a line each."""

from typing import Any

from django.core.management.base import BaseCommand
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from releases.rollouts.doctor import FAULT, GOOD, REMARK, examine

SIGNS: dict[str, str | Promise] = {GOOD: _("good"), REMARK: _("remark"), FAULT: _("FAULT")}


class Command(BaseCommand):
    """Ends with 1 when something is missing that the portal cannot do without."""

    requires_system_checks: list[str] = []  # they would ask a database that may be away
    help = "Say what is configured, what is missing, and what was reached."

    def handle(self, *_args: str, **_options: Any) -> None:
        """Print each finding as soon as it is known."""
        faults = 0
        for finding in examine():
            faults += finding.level == FAULT
            self.stdout.write(f"{SIGNS[finding.level]}\t{finding.about}\t{finding.text}")
            self.stdout.flush()
        if faults:
            raise SystemExit(1)
