"""The ends of logs: of one pod, and of the newest pod of a service that a rollout is at."""

import time
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.html import escape
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from portal.errors import Conflict, NotFound, PermanentError, TemporaryError
from releases.rollouts.pod_logs import MOST_LINES, USUAL_LINES, Asked, newest_tail, tail
from releases.rollouts.queries import visible_rollout
from releases.rollouts.service_page import visible_service
from releases.views.answers import is_fragment, person

# What is followed ends by itself: nobody looks at a forgotten page.
FOLLOW_SECONDS = 300
SIZES = (100, 200, MOST_LINES)
SHORT_LINES = 20
LONGEST_NUMBER = 12
END_OF_POLLING = 286  # htmx stops asking at this status
NOT_NOW = (TemporaryError, PermanentError, Conflict)


@require_safe
def of_pod(request: HttpRequest, name: str, env: str, pod: str) -> HttpResponse:
    """Show the end of a pod's log."""
    return render(request, "services/log.html", _of_pod(request, name, env, pod))


@require_safe
def of_pod_part(request: HttpRequest, name: str, env: str, pod: str) -> HttpResponse:
    """The lines alone, for who follows; past their time the polling is told to end.

    Of a pod that is gone the lines stay that were read last: they say most of why.
    """
    service, environment = visible_service(person(request), name, env)
    try:
        context = _of_pod(request, name, env, pod)
    except NotFound:
        text = _("{service} has no such pod any more in {environment}. These are its last lines.")
        told = escape(text.format(service=service.name, environment=environment))
        return HttpResponse(
            told, status=END_OF_POLLING, headers={"HX-Retarget": "#log-follows", "HX-Reswap": "innerHTML"}
        )
    return render(request, "services/_log.html", context, status=_status(context))


@require_safe
def of_rollout(request: HttpRequest, pk: int, name: str) -> HttpResponse:
    """Show the end of the log of a service's newest pod, while a rollout is at it; alone for who follows."""
    context = _of_rollout(request, pk, name)
    if is_fragment(request):
        return render(request, "rollouts/_log.html", context, status=_status(context))
    return render(request, "rollouts/log.html", {**context, "follows": True})


def follow_until() -> int:
    """Until when who begins to follow now is answered (seconds since 1970)."""
    return int(time.time()) + FOLLOW_SECONDS


def _status(context: dict[str, Any]) -> int:
    return 200 if context["follows"] else END_OF_POLLING


def _following(request: HttpRequest) -> dict[str, Any]:
    """Whether the log is followed still, and until when it can be."""
    until = min(_number(request.GET.get("until", "")), follow_until())
    return {
        "follows": until > time.time(),
        "until": until,
        "follow_until": follow_until(),
        "follow_minutes": FOLLOW_SECONDS // 60,
    }


def _of_pod(request: HttpRequest, name: str, env: str, pod: str) -> dict[str, Any]:
    user = person(request)
    service, environment = visible_service(user, name, env)
    asked = _asked(request, pod)
    context: dict[str, Any] = {
        "service": service,
        "environment": environment,
        "asked": asked,
        "sizes": SIZES,
        **_following(request),
    }
    try:
        return {**context, "tail": tail(service, environment, asked, reader=user)}
    except NOT_NOW as error:
        return {**context, "problem": error}


def _of_rollout(request: HttpRequest, pk: int, name: str) -> dict[str, Any]:
    user = person(request)
    rollout = visible_rollout(user, pk)
    service, environment = visible_service(user, name, rollout.environment.name)
    if not rollout.steps.filter(service=service).exists():
        raise NotFound
    context: dict[str, Any] = {
        "rollout": rollout,
        "service": service,
        "environment": environment,
        **_following(request),
    }
    try:
        return {**context, "tail": newest_tail(service, rollout, reader=user, lines=SHORT_LINES)}
    except (*NOT_NOW, NotFound) as error:
        return {**context, "log_problem": error}


def _asked(request: HttpRequest, pod: str) -> Asked:
    lines = _number(request.GET.get("lines", "")) or USUAL_LINES
    return Asked(
        pod=pod,
        container=request.GET.get("container", ""),
        previous=request.GET.get("previous") == "1",
        lines=min(lines, MOST_LINES),
    )


def _number(text: str) -> int:
    """The number that stands in an address; 0 where none does."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= LONGEST_NUMBER else 0
