"""Which workloads begin no new pod before old ones have ended, and how long that may take."""

from typing import Any

import pytest

from portal.integrations.kubernetes.workloads import Workload
from releases.rollouts.steps.habits import habits_of

RECREATE: dict[str, Any] = {"strategy": {"type": "Recreate"}}
PROBED = {"name": "web", "readinessProbe": {"httpGet": {"path": "/", "port": 80}}}


def workload(kind: str, *, grace: int | None = 300, replicas: int = 3, **spec: Any) -> Workload:
    pod: dict[str, Any] = {"containers": [PROBED]}
    if grace is not None:
        pod["terminationGracePeriodSeconds"] = grace
    metadata = {"name": "api", "namespace": "shop"}
    body = {"kind": kind, "metadata": metadata, "status": {"desiredNumberScheduled": replicas}}
    return Workload({**body, "spec": {"replicas": replicas, "template": {"spec": pod}, **spec}})


def rolling(**fields: Any) -> dict[str, Any]:
    return {"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": fields}}


def said(seen: Workload, timeout_seconds: int) -> list[dict[str, Any]]:
    """What is said of how long its pods take to end."""
    found = habits_of(seen, settles=True, timeout_seconds=timeout_seconds)
    return [each["args"] for each in found if each["code"] == "slow_to_end"]


@pytest.mark.parametrize(
    ("seen", "total"),
    [
        (workload("StatefulSet"), 900),
        (workload("StatefulSet", **rolling(partition=1)), 600),
        (workload("Deployment", **RECREATE), 300),
        (workload("DaemonSet", **rolling(maxUnavailable=1, maxSurge=0)), 900),
        (workload("DaemonSet", **rolling(maxUnavailable="50%")), 600),
        (workload("StatefulSet", grace=None), 90),
    ],
)
def test_old_pods_may_outlast_the_wait_for_the_new_ones(seen: Workload, total: int) -> None:
    assert said(seen, total + 1) == []
    [args] = said(seen, total)
    assert (args["total"], args["limit"]) == (total, total)


@pytest.mark.parametrize(
    "seen",
    [
        workload("Deployment"),
        workload("Deployment", replicas=0, **RECREATE),
        workload("StatefulSet", replicas=0),
        workload("DaemonSet", **rolling(maxUnavailable=0, maxSurge=1)),
    ],
)
def test_nothing_is_said_where_new_pods_wait_for_no_old_ones(seen: Workload) -> None:
    assert said(seen, 1) == []
