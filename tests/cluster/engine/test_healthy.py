"""No alarm in a hundred healthy rollouts: slow starts, pods that die once on their way, sizes that change.

The portal's own processes carry them. Without metrics an autoscaler only keeps its bounds, so what it writes
of a size within them, by the subresource that it uses, the test writes while the pods come up.
"""

import random
from collections.abc import Iterator

import pytest

from portal.audit.models import AuditEntry
from portal.integrations.kubernetes.client import connect
from releases.rollouts import operations
from releases.rollouts.findings.comparing import look
from releases.rollouts.models import Finding, Rollout, Step
from releases.rollouts.rounds import read_view
from tests.cluster.contract.autoscaling import autoscaler
from tests.cluster.engine.conftest import Lay
from tests.cluster.objects import deployment, failing, slow, wait_for
from tests.rollouts.floor import Floor, why
from tests.rollouts.processes import Processes, processes
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
ROUNDS = examples(1, soaking=20)
# A pod that died after its rollout was done would be trouble; these have died before.
EACH = ({"kind": "set_image"}, {"kind": "wait_rollout", "timeoutSeconds": 120, "settleSeconds": 3})
ALARMS = {f"step.{state}" for state in ("failed", "errored", "inconclusive", "cancelled")} | {
    f"rollout.{state}" for state in ("paused", "failed", "stopped", "rolling_back")
}


@pytest.fixture
def roles(transactional_db: None) -> Iterator[Processes]:
    with processes() as made:
        yield made


def resized(floor: Floor, name: str, chance: random.Random) -> None:
    """Give a Deployment another size within its autoscaler's bounds."""
    present = floor.space.get("deployments", name)["spec"]["replicas"]
    size = chance.choice([each for each in range(LEAST, MOST + 1) if each != present])
    floor.space.patch("deployments", name, {"spec": {"replicas": size}}, kind="merge", sub="scale")


def carry_out(floor: Floor, rollouts: dict[str, Rollout], chance: random.Random) -> None:
    """Resize each service while its pods are waited for, and wait for the ends of the rollouts."""
    untouched = set(rollouts)
    keys = [rollout.pk for rollout in rollouts.values()]

    def over() -> bool:
        steps = Step.objects.filter(rollout__in=keys, kind="wait_rollout", state="running")
        for name in untouched & set(steps.values_list("service__name", flat=True)):
            resized(floor, name, chance)
            untouched.discard(name)
        return not Rollout.objects.filter(pk__in=keys).exclude(state__in=ENDS).exists()

    wait_for(over, what="the ends of the rollouts", seconds=180, pause=0.1)
    for rollout in rollouts.values():
        rollout.refresh_from_db()
        assert rollout.state == "succeeded", why(rollout)
    assert not untouched, "they were to be resized on their way"


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
    for number in range(ROUNDS):
        version = f"{number + 2}.0.0"
        releases = {name: floor.release(version, services=[name]).number for name in HEALTHY}
        rollouts = {
            name: operations.start_rollout(release, actor=floor.actor) for name, release in releases.items()
        }
        carry_out(floor, rollouts, random.Random(number))
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
    assert set(restarted) == {1}
