"""The inbox: what needs me, by deadline (screens.md 2.1)."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from portal.people.models import User
from releases.catalog.policies.queries import waiting_for
from releases.inbox import Waiting, counts_of, inbox
from releases.reading.lists import newest_event
from releases.rollouts import overview

SECTIONS = ("trouble", "decision", "check", "own")


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
    waiting = inbox(request.user)
    proposals = waiting_for(request.user)
    moving = overview.moving_for(request.user)
    latest = overview.latest_of([row.release.number for row in waiting])
    return {
        "newest": newest,
        "waiting": waiting,
        "sections": _sections(waiting, latest),
        "proposals": proposals,
        "moving": moving,
        **counts_of(waiting, proposals=len(proposals)),
    }


def _sections(waiting: list[Waiting], latest: dict[int, overview.Glance]) -> list[dict[str, Any]]:
    titles = {
        "trouble": _("Trouble"),
        "decision": _("Decisions"),
        "check": _("Checks"),
        "own": _("My releases"),
    }
    sections = []
    for kind in SECTIONS:
        rows = [(row, latest.get(row.release.number)) for row in waiting if row.kind == kind]
        if rows:
            sections.append({"kind": kind, "title": titles[kind], "rows": rows})
    return sections
