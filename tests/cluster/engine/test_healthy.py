"""No alarm in five hundred healthy rollouts: slow starts, pods that die once on their way, sizes that change.

The portal's own processes carry them. Without metrics an autoscaler only keeps its bounds, so what it writes
of a size within them, by the subresource that it uses, the test writes while the pods come up.
"""

import random
from functools import partial

from portal.audit.models import AuditEntry
from portal.integrations.kubernetes.client import connect
from releases.rollouts import operations
from releases.rollouts.findings.comparing import look
from releases.rollouts.models import Finding, Rollout
from releases.rollouts.rounds import read_view
from tests.cluster.contract.autoscaling import autoscaler
from tests.cluster.engine.conftest import Lay
from tests.cluster.objects import deployment, failing, slow, wait_for
from tests.rollouts.floor import Floor, why
from tests.rollouts.processes import Processes
from tests.soak import examples, long, repeated

OLD = "registry.test/floor/{}:1.0.0"
LEAST, MOST = 2, 5
HEALTHY = {
    "plain": {},
    "slow": slow("900ms"),
    "slower": slow("4s"),
    "restarts": failing("CrashOnce", after="400ms", message="database: connection refused"),
    "some-restart": failing("CrashOnce", after="1s", percent="40", message="database: connection refused"),
}
ENDS = ("succeeded", "failed", "paused", "stopped", "rolled_back", "rollback_failed")
ROUNDS = examples(1, soaking=100)
# A pod that died after its rollout was done would be trouble; these have died before.
EACH = ({"kind": "set_image"}, {"kind": "wait_rollout", "timeoutSeconds": 120, "settleSeconds": 3})
ALARMS = {f"step.{state}" for state in ("failed", "errored", "inconclusive", "cancelled")} | {
    f"rollout.{state}" for state in ("paused", "failed", "stopped", "rolling_back")
}


def begun(floor: Floor, release: int, chance: random.Random) -> Rollout:
    """Start a rollout and, once its pods are waited for, give its service another size within its bounds."""
    rollout = operations.start_rollout(release, actor=floor.actor)
    waits = rollout.steps.filter(kind="wait_rollout")
    wait_for(lambda: waits.exclude(started_at=None).first(), what="pods to be waited for")
    (name,) = waits.values_list("service__name", flat=True)
    present = floor.space.get("deployments", name)["spec"]["replicas"]
    size = chance.choice([each for each in range(LEAST, MOST + 1) if each != present])
    floor.space.patch("deployments", name, {"spec": {"replicas": size}}, kind="merge", sub="scale")
    return rollout


def ended(rollouts: list[Rollout]) -> bool:
    """Whether all of them have come to their ends."""
    return not Rollout.objects.filter(pk__in=[each.pk for each in rollouts]).exclude(state__in=ENDS).exists()


@long
@repeated
def test_healthy_rollouts_end_without_an_alarm_or_a_finding(lay_floor: Lay, roles: Processes) -> None:
    objects = {
        name: deployment(name, image=OLD.format(name), replicas=LEAST, pod_annotations=marks)
        for name, marks in HEALTHY.items()
    }
    floor = lay_floor(services=tuple(HEALTHY), each=EACH, objects=objects)
    for name in HEALTHY:
        floor.space.create(autoscaler(name, minimum=LEAST, maximum=MOST))
    # Later, as an autoscaler that comes while somebody watches is a change that nobody approved.
    for role in ("worker", "watcher", "sweeper"):
        roles.start(role)
    chance = random.Random(ROUNDS)
    for number in range(ROUNDS):
        version = f"{number + 2}.0.0"
        releases = [floor.release(version, services=[name]).number for name in HEALTHY]
        rollouts = [begun(floor, release, chance) for release in releases]
        wait_for(partial(ended, rollouts), what="the ends of the rollouts", seconds=180, pause=0.1)
        for rollout in rollouts:
            rollout.refresh_from_db()
            assert rollout.state == "succeeded", why(rollout)
        # As the watcher does all the while, and once for certain after the ends.
        look(floor.environment, read_view(connect(floor.environment.cluster.spec), floor.environment))
    assert Rollout.objects.filter(state="succeeded").count() == ROUNDS * len(HEALTHY)
    assert list(AuditEntry.objects.filter(action__in=ALARMS).values_list("action", "subject")) == []
    assert list(Finding.objects.values_list("service__name", "differences")) == []
    restarted = [
        status["restartCount"]
        for pod in floor.space.pods("restarts")
        for status in pod["status"]["containerStatuses"]
    ]
    # One that was added a moment ago may not have died yet.
    assert {1} <= set(restarted) <= {0, 1}
