"""The catalog to read: services, environments, plans, checklists and the policy, with their documents."""

import json
from itertools import groupby
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from portal import access
from portal.administration import queries as administration
from portal.errors import NotFound
from portal.people.models import User
from portal.ui.looks import FACTS
from releases.catalog import queries
from releases.catalog.models import Checklist, Environment, Service, Stage, StoredDocument
from releases.catalog.schema import KINDS, published
from releases.catalog.wording import (
    AUDIENCES,
    PHASES,
    STRATEGIES,
    canary_text,
    check_rows,
    health_text,
    review_rows,
    step_rows,
)


def _reader(request: HttpRequest) -> User:
    assert isinstance(request.user, User)
    return request.user


def _document(kind: str, name: str) -> dict[str, str]:
    """The text a row was loaded from, and its file."""
    row = StoredDocument.objects.filter(kind=kind, name=name).first()
    if row is None:
        return {}
    return {"file": f"{row.root}/{row.file}", "text": row.text.removeprefix("---").strip("\n")}


@require_safe
def catalog_list(request: HttpRequest) -> HttpResponse:
    """List everything the reader may see, by system."""
    reader = _reader(request)
    environments = sorted(queries.environments_for(reader), key=_production_first)
    services = list(queries.services_for(reader).order_by("system", "-core", "name"))
    plans = list(queries.plans_for(reader).prefetch_related("environments"))
    here = {each.name for each in environments}
    context = {
        "systems": _by_system(environments, services, plans),
        "checklists": [each for each in Checklist.objects.all() if _may_see(each, here)],
        "policies": StoredDocument.objects.filter(kind="Policy"),
        "may_read_people": administration.may_read(reader),
    }
    return render(request, "catalog/list.html", context)


def _production_first(environment: Environment) -> tuple[str, int, str]:
    return environment.system, Stage.values.index(environment.stage), environment.name


def _by_system(environments: list[Any], services: list[Any], plans: list[Any]) -> list[dict[str, Any]]:
    """One entry a system, so that a page of fifty services still reads."""
    found: dict[str, dict[str, Any]] = {}
    for key, rows in (("environments", environments), ("services", services)):
        for system, group in groupby(rows, key=lambda row: row.system):
            found.setdefault(system, {"name": system})[key] = list(group)
    for plan in plans:
        for system in sorted({each.system for each in plan.environments.all()} & found.keys()):
            found[system].setdefault("plans", []).append(plan)
    return [found[name] for name in sorted(found)]


def _may_see(checklist: Checklist, environments: set[str]) -> bool:
    named = set(checklist.spec.get("environments", []))
    return not named or bool(named & environments)


@require_safe
def service_page(request: HttpRequest, name: str) -> HttpResponse:
    """Show one service."""
    service = queries.services_for(_reader(request)).filter(name=name).first()
    if service is None:
        raise NotFound
    context = {
        "service": service,
        "environments": queries.seen_environments(service),
        "health": health_text(service.spec.get("health", {})),
        "touches": [FACTS[fact] for fact in service.spec.get("touches", [])],
        "document": _document("Service", name),
    }
    return render(request, "catalog/service.html", context)


@require_safe
def environment_page(request: HttpRequest, name: str) -> HttpResponse:
    """Show one environment with its services and plans."""
    reader = _reader(request)
    environment = access.get_or_404(reader, Environment, name=name)
    context = {
        "environment": environment,
        "services": access.visible_set(reader, Service, "view").filter(environments=environment),
        "plans": environment.plans.all(),
        "checklists": queries.checklists_naming(environment),
        "document": _document("Environment", name),
    }
    return render(request, "catalog/environment.html", context)


@require_safe
def plan_page(request: HttpRequest, name: str) -> HttpResponse:
    """Show one plan: what happens before, in each wave, after, and once the result is signed off."""
    reader = _reader(request)
    plan = queries.plans_for(reader).filter(name=name).first()
    if plan is None:
        raise NotFound
    waves = [
        {**wave, **{place: step_rows(wave.get(place, [])) for place in ("before", "after")}}
        for wave in plan.spec["waves"]
    ]
    context = {
        "plan": plan,
        "strategy": STRATEGIES.get(plan.strategy, plan.strategy),
        "environments": queries.environments_for(reader).filter(plans=plan),
        "before": step_rows(plan.spec.get("before", [])),
        "each": step_rows(plan.spec["each"]),
        "after": step_rows(plan.spec.get("after", [])),
        "waves": waves,
        "canary": canary_text(plan.spec["canary"]) if "canary" in plan.spec else "",
        "switch": [{**stage, "steps": step_rows(stage["steps"])} for stage in plan.spec.get("switch", [])],
        "document": _document("Plan", name),
    }
    return render(request, "catalog/plan.html", context)


@require_safe
def checklist_page(request: HttpRequest, name: str) -> HttpResponse:
    """Show one template of checks by phase."""
    here = set(queries.environments_for(_reader(request)).values_list("name", flat=True))
    checklist = Checklist.objects.filter(name=name).first()
    if checklist is None or not _may_see(checklist, here):
        raise NotFound
    items = checklist.spec["items"]
    phases = [
        {"name": label, "checks": check_rows([each for each in items if each["phase"] == phase])}
        for phase, label in PHASES.items()
    ]
    context = {
        "checklist": checklist,
        "phases": [each for each in phases if each["checks"]],
        "document": _document("Checklist", name),
    }
    return render(request, "catalog/checklist.html", context)


@require_safe
def policy_page(request: HttpRequest, name: str) -> HttpResponse:
    """Show the five grades as loaded."""
    row = StoredDocument.objects.filter(kind="Policy", name=name).first()
    if row is None:
        raise NotFound
    grades = [
        {**rule, "letter": letter, "audience": AUDIENCES[rule["shared"]], "review": review_rows(rule)}
        for letter, rule in sorted(row.source["spec"]["grades"].items())
    ]
    context = {"row": row, "grades": grades, "document": _document("Policy", name)}
    return render(request, "catalog/policy.html", context)


@require_safe
def schema_file(_request: HttpRequest, name: str) -> HttpResponse:
    """Publish the JSON Schema that a kind of document is validated by."""
    if name not in {"common", *(kind.lower() for kind in KINDS)}:
        raise NotFound
    text = json.dumps(published(f"{name}.json"), ensure_ascii=False, indent=2)
    return HttpResponse(text, content_type="application/schema+json")
