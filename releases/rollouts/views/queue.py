"""The queue: which starts wait for their turn, for what, and since when."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from portal import access
from portal.people.doors import browser_actor
from releases.reading.lists import newest_events
from releases.rollouts import line, queueing
from releases.views.answers import go, person


@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """Show who waits, by environment."""
    return render(request, "rollouts/queue.html", _context(request))


@require_safe
def part(request: HttpRequest) -> HttpResponse:
    """The rows alone."""
    return render(request, "rollouts/_queue.html", _context(request))


@require_POST
def leave(request: HttpRequest, pk: int) -> HttpResponse:
    """Take a start out of the line."""
    place = queueing.leave(pk, actor=browser_actor(request))
    return go(request, reverse("releases:detail", args=[place.release_id]))


def _context(request: HttpRequest) -> dict[str, Any]:
    user = person(request)
    environments = list(line.queued_environments(user))
    lines = [(each, line.stands_in(each), access.allowed(user, "deploy", each)) for each in environments]
    topics = newest_events(f"board.{name}" for name in line.visible_names(user))
    return {"lines": lines, "topics": topics}
