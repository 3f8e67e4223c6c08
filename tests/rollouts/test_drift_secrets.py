"""A foreign change is named with its field and its writer, without the secret that it changed."""

from typing import Any

from portal.integrations.kubernetes.workloads import Workload
from releases.rollouts.drift import Drift, find_drift

EXPECTED = {"template": {"spec": {"containers": [{"name": "web", "env": []}]}}}


def seen(password: str) -> Workload:
    """The workload with a password that its pods are told."""
    env = [{"name": "DB_PASSWORD", "value": password}]
    spec = {"template": {"spec": {"containers": [{"name": "web", "env": env}]}}}
    return Workload(
        {"kind": "Deployment", "metadata": {"name": "web", "namespace": "shop", "uid": "u"}, "spec": spec}
    )


def found(password: str, *, accepted: tuple[dict[str, Any], ...] = ()) -> Drift | None:
    """What differs from a workload that is told none."""
    return find_drift(seen(password), EXPECTED, uid="u", scaled_by_others=False, accepted=accepted)


def test_it_is_told_without_the_secret() -> None:
    drift = found("Zq9hunter2")
    assert drift is not None
    assert drift.field == "spec.template.spec.containers[web].env"
    assert "Zq9" not in str(drift.args)


def test_who_let_one_pass_has_not_let_pass_another_of_the_same_field() -> None:
    first = found("Zq9first")
    assert first is not None
    assert found("Zq9first", accepted=(first.args,)) is None
    assert found("Zq9second", accepted=(first.args,)) is not None
