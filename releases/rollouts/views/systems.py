"""The page of a whole system's row of environments."""

from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from portal import access
from portal.people.models import User
from releases.catalog.models import Service
from releases.reading.lists import newest_events
from releases.rollouts.system_row import PAGE_SIZE, columns_of, lines_of, services_in, systems_of
from releases.views.answers import person


@require_safe
def first(request: HttpRequest) -> HttpResponse:
    """Lead to the first system that the reader sees, or say that there is none."""
    found = systems_of(person(request))
    if found:
        return HttpResponseRedirect(reverse("system-row", args=[found[0]]))
    return render(request, "systems/none.html")


@require_safe
def page(request: HttpRequest, name: str) -> HttpResponse:
    """Show which version of each service stands where."""
    return render(request, "systems/row.html", _context(request, person(request), name))


@require_safe
def part(request: HttpRequest, name: str) -> HttpResponse:
    """The table alone."""
    return render(request, "systems/_row.html", _context(request, person(request), name))


def _context(request: HttpRequest, user: User, name: str) -> dict[str, Any]:
    columns = columns_of(user, name)
    environments = [column.environment for column in columns]
    # The numbers first: what comes after them is drawn again.
    topics = newest_events(f"board.{each.name}" for each in environments)
    after = request.GET.get("after", "").replace("\x00", "")
    rows = Service.objects.filter(pk__in=services_in(environments), name__gt=after).select_related("team")
    services = list(rows.defer("source").order_by("name")[: PAGE_SIZE + 1])
    shown = services[:PAGE_SIZE]
    return {
        "system": name,
        "systems": systems_of(user),
        "columns": columns,
        "is_row": any(column.after for column in columns),
        "lines": lines_of(environments, shown),
        "topics": topics,
        "after": after,
        "further": shown[-1].name if len(services) > PAGE_SIZE else "",
        "composable": set(access.visible(user, Service, "compose").values_list("pk", flat=True)),
    }
