"""Words for the catalog's pages: what the steps of a plan are called, and what they concern."""

from collections.abc import Mapping
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from releases.catalog import canaries, units, watches
from releases.catalog.health import is_of_every_pod

STEPS: dict[str, str | Promise] = {
    "access_check": gettext_lazy("Check access rights"),
    "pods_running": gettext_lazy("Check that all pods run"),
    "image_exists": gettext_lazy("Check that the images exist"),
    "run_job": gettext_lazy("Run the Job"),
    "scale": gettext_lazy("Scale"),
    "apply_manifests": gettext_lazy("Apply the manifests"),
    "switch_service": gettext_lazy("Switch the traffic"),
    "set_weight": gettext_lazy("Share the traffic"),
    "cluster_view": gettext_lazy("Check the cluster view"),
    "set_image": gettext_lazy("Set the image"),
    "helm_check": gettext_lazy("Check the chart"),
    "helm_backup": gettext_lazy("Back up what Helm has deployed"),
    "helm_upgrade": gettext_lazy("Upgrade by Helm"),
    "helm_status": gettext_lazy("Show what Helm has deployed"),
    "wait_rollout": gettext_lazy("Wait for the rollout"),
    "promote": gettext_lazy("Promote the canary"),
    "health": gettext_lazy("Check health"),
    "http": gettext_lazy("Check HTTP"),
    "prometheus": gettext_lazy("Check a metric"),
    "watch": gettext_lazy("Watch"),
    "certificate": gettext_lazy("Check the certificate"),
    "log_pattern": gettext_lazy("Check the logs"),
    "headroom": gettext_lazy("Check the headroom"),
    "secret_hygiene": gettext_lazy("Check the secrets"),
    "verify_digests": gettext_lazy("Verify what runs"),
    "notice": gettext_lazy("Send the notice"),
}
ROLES: dict[str, str | Promise] = {
    "idle": gettext_lazy("the idle colour"),
    "live": gettext_lazy("the live colour"),
}
STRATEGIES: dict[str, str | Promise] = {
    "rolling": gettext_lazy("Rolling: new pods come before old ones go"),
    "canary": gettext_lazy("Canary: a share gets the new version first and is watched"),
}
PHASES: dict[str, str | Promise] = {
    "before": gettext_lazy("Before"),
    "during": gettext_lazy("During"),
    "after": gettext_lazy("After"),
}
AUDIENCES: dict[str, str | Promise] = {
    "team": gettext_lazy("the team"),
    "core_pls": gettext_lazy("project leads and above of the core services"),
    "owners": gettext_lazy("the owners of the service"),
}


CONDITIONS: dict[str, str | Promise] = {
    "database_change": gettext_lazy("a database change"),
    "infrastructure": gettext_lazy("infrastructure is touched"),
    "traffic_path": gettext_lazy("the traffic path is touched"),
    "new_api": gettext_lazy("a new API"),
}


def review_rows(rule: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Who reviews a grade, with the conditions of a row in words."""
    return [
        {**row, "conditions": _("when: %(facts)s") % {"facts": _either(row["when"])} if "when" in row else ""}
        for row in rule.get("review", [])
    ]


def _either(facts: list[str]) -> str:
    return ", ".join(str(CONDITIONS[fact]) for fact in facts)


def step_rows(steps: list[Mapping[str, Any]]) -> list[dict[str, str]]:
    """A plan's steps as title and note."""
    return [
        {"title": str(step.get("title") or STEPS[step["kind"]]), "note": _note(step), "kind": step["kind"]}
        for step in steps
    ]


def check_rows(items: list[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A checklist's items; one that the portal answers says what it measures."""
    return [
        {**item, "measured": step_rows([item["check"]])[0]} if "check" in item else dict(item)
        for item in items
    ]


def _note(step: Mapping[str, Any]) -> str:
    parts = []
    if step["kind"] in {"http", "certificate"}:
        parts += _asked(step)
    elif "service" in step:
        parts.append(step["service"])
    if step["kind"] == "run_job":
        parts.append(step["job"])
    if step["kind"] == "scale":
        sizes = step["replicas"] if isinstance(step["replicas"], list) else [step["replicas"]]
        parts.append(f"{step.get('workload', '')} × {' → '.join(map(str, sizes))}".strip())
        parts += [row["title"] for row in step_rows(step.get("checks", []))]
    if step["kind"] == "switch_service" and "selector" in step:
        labels = ", ".join(f"{key}={value}" for key, value in step["selector"].items())
        parts.append(f"{', '.join(step['services'])} → {labels}")
    if step["kind"] == "set_weight":
        route = step["route"]
        parts.append(f"{route['name']} → {route['canary']} {step['percent']} %")
    if "colour" in step:
        parts.append(str(ROLES[step["colour"]]))
    if step["kind"] == "notice":
        shared = _("those whom the policy names")
        parts.append(", ".join(shared if each == "shared" else each for each in step["to"]))
    parts += _looked_for(step)
    if step["kind"] == "prometheus":
        parts.append(_metric(step))
    if step["kind"] == "watch":
        parts += _watched(step)
    if "timeoutSeconds" in step:
        parts.append(_("at most %(seconds)d s") % {"seconds": step["timeoutSeconds"]})
    if step.get("settleSeconds"):
        parts.append(_("then %(seconds)d s to settle") % {"seconds": step["settleSeconds"]})
    return " · ".join(filter(None, parts))


def _asked(step: Mapping[str, Any]) -> list[str]:
    """The address that a step asks, and what it expects there."""
    if step["kind"] == "certificate":
        place = f"{step.get('host') or step['service']}:{step.get('port', 443)}"
        return [place, step.get("serverName", "")]
    address = step.get("url") or f"{step['service']}:{step['port']}{step['path']}"
    return [str(address), f"HTTP {step.get('expect', 200)}"]


def _looked_for(step: Mapping[str, Any]) -> list[str]:
    """What a step looks for that is of no service."""
    if step["kind"] == "secret_hygiene":
        return [", ".join(each["name"] for each in step["secrets"])]
    if step["kind"] == "log_pattern":
        return [
            *(_("must say “%(pattern)s”") % {"pattern": each} for each in step.get("require", [])),
            *(_("must not say “%(pattern)s”") % {"pattern": each} for each in step.get("forbid", [])),
        ]
    return []


def _watched(step: Mapping[str, Any]) -> list[str]:
    """How long it is watched, and each gate as a step of its kind."""
    gates = [f"{row['title']} {row['note']}".strip() for row in step_rows(step.get("gates", []))]
    return [_("for %(seconds)d s") % {"seconds": watches.watched_seconds(step)}, *gates]


def canary_text(canary: Mapping[str, Any]) -> str:
    """The shares of a canary, and how each is watched, where it is."""
    names = {canaries.PODS: _("by pods"), canaries.WEIGHT: _("by weight")}
    shares = " → ".join(f"{percent} %" for percent in canary["steps"])
    watched = _watched(canary["watch"]) if "watch" in canary else []
    return " · ".join([f"{names[canary['by']]}: {shares}", *watched])


def _metric(step: Mapping[str, Any]) -> str:
    """A metric's query and what is good."""
    unit = step.get("unit", "")
    bounds = [f"≥ {units.written(step['min'], unit, exact=True)}"] if "min" in step else []
    bounds += [f"≤ {units.written(step['max'], unit, exact=True)}"] if "max" in step else []
    compared = step.get("compare") or {}
    bounds += [f"≥ {compared['min']:g} × {compared['query']}"] if "min" in compared else []
    bounds += [f"≤ {compared['max']:g} × {compared['query']}"] if "max" in compared else []
    return f"{step['query']} {', '.join(bounds)}"


def health_text(health: Mapping[str, Any]) -> str:
    """How a service's health is asked."""
    if health.get("kind", "none") == "none":
        return _("Not asked")
    names = {"actuator": "Spring Actuator", "http": "HTTP"}
    text = f"{names[health['kind']]} · {health['service']}:{health['port']}{health.get('path', '/')}"
    return f"{text} · {_('each pod')}" if is_of_every_pod(health) else text
