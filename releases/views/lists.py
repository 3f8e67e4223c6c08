"""The list of releases and its rows."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from portal import access
from portal.errors import NotFound
from portal.people.models import User
from releases.catalog.models import Service
from releases.reading import lists
from releases.reading.deadlines import deadlines_of


@require_safe
def release_list(request: HttpRequest) -> HttpResponse:
    """Show releases by the filters of the address."""
    assert isinstance(request.user, User)
    filters = lists.Filters.read(request.GET.dict())
    page = lists.release_page(request.user, filters)
    context = {
        "page": page,
        "filters": filters,
        "views": _views(filters),
        "environments": lists.environments_of(request.user),
        "next_url": filters.address(before=page.next_before) if page.next_before else "",
        "may_compose": access.visible(request.user, Service, "compose").exists(),
        "shown": ",".join(str(release.number) for release in (*page.top, *page.rows)),
        "topics": _topics(request.user),
    }
    return render(request, "releases/list.html", context)


@require_safe
def unseen_rows(request: HttpRequest) -> HttpResponse:
    """How many rows have come since the list was drawn: they wait for a press."""
    assert isinstance(request.user, User)
    # The numbers of the events are read first: what is newer than they are asks again.
    topics = _topics(request.user)
    filters = lists.Filters.read(request.GET.dict())
    shown = lists.numbers_in(request.GET.get("shown", ""))
    context = {
        "filters": filters,
        "topics": topics,
        "shown": ",".join(map(str, shown)),
        "unseen": lists.unseen(request.user, filters, shown),
    }
    return render(request, "releases/_unseen.html", context)


@require_safe
def release_row(request: HttpRequest, number: int) -> HttpResponse:
    """One row of the list, fetched again when its release moved."""
    assert isinstance(request.user, User)
    release = lists.listed(request.user).filter(number=number).first()
    if release is None:
        raise NotFound
    seen = {release.topic: lists.newest_event(release.topic)}
    context = {"release": release, "seen": seen, "deadlines": deadlines_of([release])}
    return render(request, "releases/_row.html", context)


def _topics(user: User) -> dict[str, int]:
    """What tells that a release has come or moved: the boards of the environments a person sees."""
    names = lists.environments_of(user)
    return lists.newest_events(f"board.{environment.name}" for environment in names)


def _views(filters: lists.Filters) -> list[dict[str, Any]]:
    names = {
        "": _("All"),
        "mine": _("Mine"),
        "moving": _("Rolling out"),
        "deciding": _("Awaiting a decision"),
        "ready": _("Ready"),
        "drafts": _("Drafts"),
        "over": _("Over"),
    }
    return [
        {"label": label, "url": filters.address(view=view), "current": view == filters.view}
        for view, label in names.items()
    ]
