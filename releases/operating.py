"""Operations on what runs, as releases: a restart, another size, other resources, a Job of the catalog.

A release with an `operation` has no plan of the catalog: its steps follow from the operation alone, which is
sealed with its content. Pure but for `plan_of`, which reads a release's plan.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from releases.catalog import units
from releases.models import Release

Json = dict[str, Any]
EXPECTED_MINUTES = 5
# A pod that starts and dies at once must not pass for a rollout that went well.
SETTLE_SECONDS = 10


class OperationKind(StrEnum):
    """What can be done to a service without a new version."""

    RESTART = "restart"
    SCALE = "scale"
    RESOURCES = "set_resources"
    JOB = "run_job"
    RESTORE = "restore_database"


SENTENCES: dict[str, str | Promise] = {
    OperationKind.RESTART: _("Restart {name}"),
    OperationKind.SCALE: _("Scale {name} to {size}"),
    OperationKind.RESOURCES: _("Other resources for {name}: {resources}"),
    OperationKind.JOB: _("Run the Job {job} of {service}"),
    OperationKind.RESTORE: _("Restore the database of {service} from {backup}"),
}


def is_restore(release: Release) -> bool:
    """Whether the release restores a database: that is asked twice, and is grade D (product.md)."""
    return bool(release.operation.get("kind") == OperationKind.RESTORE)


def plan_of(release: Release) -> Mapping[str, Any]:
    """The spec of a release's plan, or of what follows from its operation; empty where there is neither."""
    if release.operation:
        return plan_for(release.operation)
    return release.plan.spec if release.plan else {}


def plan_for(operation: Mapping[str, Any]) -> Json:
    """Return the spec of the plan that carries an operation out, as `build_graph` takes it."""
    kind = operation["kind"]
    step = {key: value for key, value in operation.items() if key != "workload"}
    beside: list[Json] = []
    each: list[Json] = [{"kind": "health"}]
    if kind in {OperationKind.JOB, OperationKind.RESTORE}:
        beside = [step]
    elif kind == OperationKind.SCALE:
        beside = [dict(operation)]
    else:
        # A Rollout's own canary steps are for new versions: here they are skipped.
        skipped = (
            [{"kind": "promote", "full": True, "settleSeconds": 0}] if kind == OperationKind.RESOURCES else []
        )
        each = [step, *skipped, {"kind": "wait_rollout", "settleSeconds": SETTLE_SECONDS}, *each]
    return {
        "expectedMinutes": EXPECTED_MINUTES,
        "before": [{"kind": "access_check"}],
        "waves": [{"services": [operation["service"]], "before": beside}],
        "each": each,
    }


def concerned(operation: Mapping[str, Any], spec: Json) -> Json:
    """Return a service's document cut to the workload that the operation names, whole where it names none."""
    name = operation.get("workload")
    if not name:
        return spec
    return {**spec, "workloads": [each for each in spec.get("workloads") or [] if each["name"] == name]}


def sentence(operation: Mapping[str, Any]) -> str:
    """Say in a few words, in the reader's language, what is done."""
    words = {
        "service": operation["service"],
        "name": operation.get("workload") or operation["service"],
        "job": operation.get("job", ""),
        "backup": operation.get("backup", ""),
        "size": "–".join(str(operation[key]) for key in ("replicas", "most") if key in operation),
        "resources": ", ".join(
            f"{kind} {name} {units.resource(name, amount)}"
            for kind in ("requests", "limits")
            for name, amount in (operation.get(kind) or {}).items()
        ),
    }
    return str(SENTENCES[operation["kind"]]).format(**words)
