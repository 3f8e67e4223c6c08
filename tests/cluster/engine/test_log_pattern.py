"""Log lines of the new pods on a cluster: what they say decides, and a secret in them stays one."""

import pytest

from portal.integrations.kubernetes.client import Cluster
from tests.cluster.conftest import USES_CONTROL_PLANE
from tests.cluster.engine.conftest import Lay
from tests.rollouts.floor import EACH, drive, why
from tests.soak import long

READ = {"kind": "log_pattern", "timeoutSeconds": 10, "lines": 50}


@long
@pytest.mark.skipif(USES_CONTROL_PLANE, reason="simulated nodes have no logs")
def test_a_pod_that_says_what_it_must_not_fails_the_step(lay_floor: Lay) -> None:
    required = {**READ, "require": ["ready to*requests"]}
    floor = lay_floor(each=[*EACH, required, {**READ, "id": "quiet", "forbid": ["listening*8080"]}])
    rollout = drive(floor.start(), "failed", "paused")
    said, wrong = rollout.steps.filter(kind="log_pattern").order_by("position")
    assert said.state == "succeeded", why(rollout)
    assert wrong.failure is not None
    assert wrong.failure["code"] == "log_forbidden"
    assert wrong.failure["log"] == ["configuration read, listening on port 8080"]


@long
def test_lines_are_masked_before_they_are_compared(lay_floor: Lay, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Cluster, "log_tail", lambda *_place, **_more: ["login with password=hunter2"])
    probe = {**READ, "timeoutSeconds": 1, "forbid": ["hunter2"]}
    floor = lay_floor(each=[*EACH, probe, {**READ, "id": "login", "forbid": ["login*password"]}])
    rollout = drive(floor.start(), "failed", "paused")
    blind, wrong = rollout.steps.filter(kind="log_pattern").order_by("position")
    assert blind.state == "succeeded", why(rollout)
    assert wrong.failure is not None
    assert wrong.failure["log"] == ["login with password=•••"]
