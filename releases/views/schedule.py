"""The panels that put a release into the schedule and take it out again."""

from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from approvals.calendar import zones
from portal.people.doors import browser_actor
from releases import openings, queries
from releases.calendar_forms import ScheduleForm
from releases.forms import ReasonForm, attach
from releases.models import Release
from releases.operations.schedule import NEXT, schedule_release, unschedule_release
from releases.start import missing_for_start
from releases.views.answers import REFUSALS, go, is_fragment, person, refuse, sent

FIELDS = {"at": "wall"}


@require_http_methods(["GET", "POST"])
def schedule(request: HttpRequest, number: int) -> HttpResponse:
    """Choose a time, or the next opening with one press."""
    release = queries.detail(person(request), number)
    is_next = request.POST.get("window") == NEXT
    form = ScheduleForm(None if is_next else sent(request), initial=_proposed(release))
    template = f"releases/panels/{'_' if is_fragment(request) else ''}schedule.html"
    if request.method != "POST":
        return render(request, template, _context(release, form))
    try:
        if is_next:
            schedule_release(number, actor=browser_actor(request), window=NEXT)
        else:
            schedule_release(number, actor=browser_actor(request), at=form.moment())
    except REFUSALS as error:
        fresh = queries.detail(person(request), number)
        context = {**_context(fresh, form), "rest": attach(form, error.missing, FIELDS)}
        return refuse(request, template, context, error)
    return go(request, reverse("releases:detail", args=[number]))


@require_http_methods(["GET", "POST"])
def unschedule(request: HttpRequest, number: int) -> HttpResponse:
    """Take the release out of the schedule, with a reason where there is one."""
    release = queries.detail(person(request), number)
    template = f"releases/panels/{'_' if is_fragment(request) else ''}unschedule.html"
    context = {"release": release, "form": ReasonForm(sent(request))}
    if request.method != "POST":
        return render(request, template, context)
    try:
        reason = request.POST.get("reason", "").strip()
        unschedule_release(number, actor=browser_actor(request), reason=reason)
    except REFUSALS as error:
        fresh = queries.detail(person(request), number)
        return refuse(request, template, {**context, "release": fresh}, error)
    return go(request, reverse("releases:detail", args=[number]))


def _context(release: Release, form: ScheduleForm) -> dict[str, Any]:
    verdict = openings.verdict_for(release)
    return {
        "release": release,
        "form": form,
        "closed": [openings.sentence(openings.facts_of(closure)) for closure in verdict.closures],
        "opens_at": verdict.opens_at,
        "is_queued": release.queue_places.filter(state="queued").exists(),
        "missing": [each for each in missing_for_start(release) if each["code"] != "freeze"],
    }


def _proposed(release: Release) -> dict[str, Any]:
    """The time that was planned when it was composed, on the viewer's own clock."""
    moment: datetime | None = release.scheduled_at or release.target_at
    zone = zones.zone_named(timezone.get_current_timezone_name())
    wall = moment.astimezone(zone).replace(tzinfo=None) if moment else None
    return {"wall": wall, "zone": zone.key}
