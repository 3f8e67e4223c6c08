"""The page of what CI systems sent, and what became of it."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from portal import access
from portal.people.models import User
from releases.catalog.models import Environment
from releases.pipeline.models import Arrival
from releases.views.answers import asked_number

SHOWN = 50


@require_safe
def arrivals(request: HttpRequest) -> HttpResponse:
    """Show the newest events, where the reader may see the environment; `before` leads to older ones."""
    assert isinstance(request.user, User)
    rows = Arrival.objects.filter(environment__in=access.visible(request.user, Environment))
    before = asked_number(request, "before")
    if before is not None:
        rows = rows.filter(pk__lt=before)
    found = list(rows.select_related("delivery__connection", "environment", "release")[: SHOWN + 1])
    older = found[SHOWN - 1].pk if len(found) > SHOWN else None
    return render(request, "pipeline/list.html", {"arrivals": found[:SHOWN], "older": older})
