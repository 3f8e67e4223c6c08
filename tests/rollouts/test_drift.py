"""Foreign changes of a workload: which of them a step asks about, and what is no change of what runs."""

from typing import Any

import pytest

from portal.integrations.kubernetes.workloads import RESTARTED_AT, Workload
from releases.rollouts.drift import find_drift

Json = dict[str, Any]
RECORDED: Json = {"replicas": 2, "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"x": 1}}}


def workload(spec: Json, *, manager: str = "kubectl-edit") -> Workload:
    """A Deployment whose spec somebody has written."""
    touched: Json = {"f:metadata": {"f:annotations": {}}, "f:spec": {}}
    wrote: Json = {"f:spec": {"f:replicas": {}, "f:template": touched}}
    managed = [{"manager": manager, "fieldsV1": wrote, "time": "2026-11-21T05:00:00Z"}]
    metadata = {"name": "web", "namespace": "shop", "uid": "u1", "generation": 1, "managedFields": managed}
    return Workload({"kind": "Deployment", "metadata": metadata, "spec": spec, "status": {}})


def found(seen: Workload, **more: Any) -> str:
    """The field that differs from what was recorded."""
    drift = find_drift(seen, RECORDED, uid="u1", scaled_by_others=False, **more)
    return drift.field if drift is not None else ""


def test_another_size_does_not_hide_another_template() -> None:
    seen = workload({"replicas": 5, "template": {**RECORDED["template"], "spec": {"x": 2}}})

    assert found(seen) == "spec.replicas"
    assert found(seen, of=("spec.template", "metadata")) == "spec.template.spec.x"


@pytest.mark.parametrize(
    ("manager", "field"), [("release-portal", ""), ("kubectl-rollout", "spec.template.metadata.annotations")]
)
def test_a_restart_by_the_portal_is_no_foreign_change(manager: str, field: str) -> None:
    restarted = {"labels": {"app": "web"}, "annotations": {RESTARTED_AT: "2026-11-23T02:56:13+00:00"}}
    template = {"metadata": restarted, "spec": {"x": 1}}

    assert found(workload({"replicas": 2, "template": template}, manager=manager)) == field
    changed = {**template, "spec": {"x": 2}}
    assert found(workload({"replicas": 2, "template": changed}, manager=manager)).startswith("spec.template")
