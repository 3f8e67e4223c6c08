"""The page of one service in one environment (screens.md 2.3)."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from portal import access
from portal.people.models import User
from releases.reading.lists import newest_event
from releases.rollouts.service_page import portrait_of, visible_service
from releases.views.answers import person


@require_safe
def page(request: HttpRequest, name: str, env: str) -> HttpResponse:
    """Show one service in one environment."""
    return render(request, "services/page.html", _context(person(request), name, env))


@require_safe
def part(request: HttpRequest, name: str, env: str) -> HttpResponse:
    """What changes while one looks, alone."""
    return render(request, "services/_service.html", _context(person(request), name, env))


def _context(user: User, name: str, env: str) -> dict[str, Any]:
    service, environment = visible_service(user, name, env)
    topic = f"board.{environment.name}"
    # The number first: what comes after it is drawn again.
    newest = newest_event(topic)
    return {
        "service": service,
        "environment": environment,
        "portrait": portrait_of(service, environment),
        "may_lift": access.allowed(user, "operate", environment),
        "may_compose": access.allowed(user, "compose", service),
        "topic": topic,
        "newest": newest,
    }
