"""The page of one service in one environment, and its operations (screens.md 2.3)."""

import secrets
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_safe

from portal import access
from portal.errors import Invalid, NotFound, field_error
from portal.people.doors import browser_actor
from portal.people.models import User
from releases.catalog.models import Environment, Service
from releases.forms import attach
from releases.operating import OperationKind
from releases.operations.create import create_operation
from releases.reading.lists import newest_event
from releases.rollouts.forms import PLACES, OperationForm
from releases.rollouts.looking import look
from releases.rollouts.service_page import portrait_of, visible_service
from releases.views.answers import (
    REFUSALS,
    go,
    incident_typed,
    is_fragment,
    once,
    person,
    refuse,
    sent,
)

LABELS: dict[str, str | Promise] = {
    OperationKind.RESTART: _("Restart"),
    OperationKind.SCALE: _("Replicas"),
    OperationKind.RESOURCES: _("Resource limits"),
    OperationKind.JOB: _("Run a Job"),
}


@require_safe
def page(request: HttpRequest, name: str, env: str) -> HttpResponse:
    """Show one service in one environment."""
    return render(request, "services/page.html", _context(person(request), name, env))


@require_safe
def part(request: HttpRequest, name: str, env: str) -> HttpResponse:
    """What changes while one looks, alone."""
    return render(request, "services/_service.html", _context(person(request), name, env))


@require_http_methods(["GET", "POST"])
def operate(request: HttpRequest, name: str, env: str, kind: str) -> HttpResponse:
    """Say what an operation does, and draft it, once for each form."""
    user = person(request)
    service, environment = visible_service(user, name, env)
    if kind not in dict(_operations(service)):
        raise NotFound
    form = OperationForm(
        sent(request), kind=kind, service=service, workloads=look(service, environment).workloads
    )
    context = {
        "service": service,
        "environment": environment,
        "kind": kind,
        "title": LABELS[kind],
        "form": form,
        "incident": incident_typed(request),
        "once": request.POST.get("once") or secrets.token_hex(16),
    }
    template = f"services/panels/{'_' if is_fragment(request) else ''}operate.html"
    if request.method != "POST":
        return render(request, template, context)
    try:
        return go(request, once(request, lambda: _draft(request, form, service, environment)))
    except REFUSALS as error:
        rest = attach(form, error.missing, PLACES)
        return refuse(request, template, {**context, "rest": rest}, error)


def _draft(request: HttpRequest, form: OperationForm, service: Service, environment: Environment) -> str:
    if not form.is_valid():
        faults = [field_error(name, str(text)) for name, texts in form.errors.items() for text in texts]
        raise Invalid(missing=faults)
    data = {**form.as_data(), "incident": incident_typed(request)}
    made = create_operation(service.name, environment.name, data, actor=browser_actor(request))
    return reverse("releases:edit", args=[made.number])


def _operations(service: Service) -> list[tuple[str, str | Promise]]:
    """What can be done to a service: a Job only where the catalog names one."""
    return [
        (kind, label)
        for kind, label in LABELS.items()
        if kind != OperationKind.JOB or service.spec.get("jobs")
    ]


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
        "operations": _operations(service),
        "topic": topic,
        "newest": newest,
    }
