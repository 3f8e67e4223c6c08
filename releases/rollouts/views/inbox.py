"""The inbox: what needs me, by deadline (screens.md 2.1)."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from portal.frame import Counts
from portal.people.models import User
from releases.catalog.policies.queries import waiting_for
from releases.inbox import Section, counts_of, others, sections
from releases.reading.lists import newest_event
from releases.rollouts import overview
from releases.rollouts.findings.differences import read
from releases.rollouts.findings.people import waiting_for as findings_for
from releases.rollouts.findings.wording import in_short

# Of a long section the most urgent are shown, and all on demand.
MOST_OF_A_KIND = 20


@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """Show everything that waits for the person."""
    return render(request, "inbox/page.html", _context(request))


@require_safe
def part(request: HttpRequest) -> HttpResponse:
    """The rows alone, fetched again when something changed; the header's counts go along."""
    return render(request, "inbox/_rows.html", {**_context(request), "swapped": True})


def _context(request: HttpRequest) -> dict[str, Any]:
    assert isinstance(request.user, User)
    newest = newest_event(f"inbox.{request.user.pk}")
    is_whole = "all" in request.GET
    found = sections(request.user, most=None if is_whole else MOST_OF_A_KIND)
    proposals = waiting_for(request.user)
    findings = findings_for(request.user)
    incidents = others(request.user, "incident")
    moving = overview.moving_for(request.user)
    latest = overview.latest_of([row.release.number for section in found for row in section.rows])
    return {
        "newest": newest,
        "is_whole": is_whole,
        "sections": _drawn(found, latest),
        "proposals": proposals,
        "findings": [(each, in_short(read(each.differences))) for each in findings],
        "incidents": incidents,
        "moving": moving,
        **_counts(found, others=len(proposals) + len(findings), incidents=len(incidents)),
    }


def _counts(found: list[Section], *, others: int, incidents: int) -> Counts:
    """The header's numbers; an open incident waits and is trouble as well."""
    counts = counts_of(found, others=others + incidents)
    return {**counts, "trouble_count": counts["trouble_count"] + incidents}


def _drawn(found: list[Section], latest: dict[int, overview.Glance]) -> list[dict[str, Any]]:
    titles = {
        "trouble": _("Trouble"),
        "decision": _("Decisions"),
        "check": _("Checks"),
        "own": _("My releases"),
    }
    return [
        {
            "kind": section.kind,
            "title": titles[section.kind],
            "total": section.total,
            "more": section.total - len(section.rows),
            "rows": [(row, latest.get(row.release.number)) for row in section.rows],
        }
        for section in found
    ]
