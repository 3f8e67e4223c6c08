"""The board (screens.md 2.2), and the lifting of a pin."""

from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from portal import access, asked
from portal.errors import NotFound
from portal.people.doors import browser_actor
from portal.people.models import User
from portal.reader import reader_of
from portal.ui.looks import state_look
from releases.catalog.models import Environment, Service, Stage
from releases.inbox import may_owe_reviews
from releases.queries import missed_reviews
from releases.rollouts import pins
from releases.rollouts.board import (
    FILTERS,
    STAGES,
    Board,
    board_page,
    environments_of,
    newest_events,
    stale_in,
)
from releases.rollouts.models import Pin


@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """Show what runs where."""
    return render(request, "board/page.html", _context(request))


@require_safe
def part(request: HttpRequest) -> HttpResponse:
    """The counts and rows alone."""
    return render(request, "board/_rows.html", _context(request))


@require_POST
def lift_pin(request: HttpRequest, name: str, env: str) -> HttpResponse:
    """Let automation roll this service forward again."""
    assert isinstance(request.user, User)
    environment = access.get_or_404(request.user, Environment, name=env)
    pin = Pin.objects.filter(service__name=name, environment=environment, lifted_at=None).first()
    if pin is None:
        raise NotFound
    pins.lift_pin(pin.pk, actor=browser_actor(request), reason=request.POST.get("reason", ""))
    return _back(name, env)


def _back(name: str, env: str) -> HttpResponse:
    response = HttpResponse(status=303)
    response["Location"] = reverse("board-service", args=[name, env])
    return response


def _context(request: HttpRequest) -> dict[str, Any]:
    reader = reader_of(request)
    assert reader is not None
    team, show, stage = (request.GET.get(name, "") for name in ("team", "show", "stage"))
    number = request.GET.get("page", "")
    number = number if number.isascii() and number.isdecimal() and len(number) < 6 else "1"
    environments = environments_of(reader)
    # Read with them, before anything else: what happens meanwhile has the page ask again.
    topics = newest_events(environments)
    found = board_page(environments, team=team, show=show, page=int(number), stage=stage)
    # A phone stays where its reader put it; what is not asked for is chosen anew by each filter.
    stage = found.stage if stage else ""
    now = asked.page_time(reader)
    return {
        "board": found,
        "stages": [Stage(stage).label for stage in STAGES],
        "columns": len(STAGES) + 1,
        "filters": _filters(found.counts, team, show),
        "teams": [
            {"label": title, "url": _address(key, show, stage=stage), "current": key == team}
            for key, title in (("", _("All teams")), *found.teams)
        ],
        "switch": [
            {
                "label": Stage(each).label,
                "url": _address(team, show, stage=each),
                "current": each == found.stage,
                "troubles": troubles,
            }
            for each, troubles in found.stages.items()
        ],
        "address": _address(team, show, found.page, stage=stage),
        "pages": _pages(found, team, show, stage),
        "topics": topics,
        "missed": missed_reviews(environments) if may_owe_reviews(reader) else [],
        "stale": stale_in(found, now=now),
        "now": now,
        **_composable(reader.user, found),
    }


def _composable(user: User, found: Board) -> dict[str, Any]:
    """Which of the services that are shown the person may release, and whether any at all."""
    shown = {row.service.id for row in found.rows}
    here = access.keys(user, Service, "compose", among=shown)
    return {"composable": here, "composes": bool(here) or access.visible(user, Service, "compose").exists()}


def _filters(counts: Any, team: str, show: str) -> list[dict[str, Any]]:
    looks = {
        "degraded": (_("In trouble"), "octagon-cross", "is-bad"),
        "moving": (state_look("rolling_out").label, "arc", "is-act"),
        "drift": (state_look("unapproved_change").label, "triangle", "is-wait"),
        "pinned": (state_look("pinned").label, "pin", ""),
    }
    return [
        {
            "label": looks[name][0],
            "shape": looks[name][1],
            "tone": looks[name][2] if counts[name] else "is-zero",
            "count": counts[name],
            "url": _address(team, "" if show == name else name),
            "current": show == name,
        }
        for name in FILTERS
    ]


def _pages(found: Board, team: str, show: str, stage: str) -> dict[str, str]:
    """The addresses of the pages before and after this one, where there are."""
    earlier = _address(team, show, found.page - 1, stage=stage) if found.page > 1 else ""
    later = _address(team, show, found.page + 1, stage=stage) if found.page < found.pages else ""
    return {"earlier": earlier, "later": later}


def _address(team: str, show: str, page: int = 1, *, stage: str = "") -> str:
    words = {"team": team, "show": show, "stage": stage, "page": str(page) if page > 1 else ""}
    return "?" + urlencode({name: value for name, value in words.items() if value})
