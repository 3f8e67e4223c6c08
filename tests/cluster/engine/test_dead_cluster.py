"""One cluster of two connects and then says nothing: rollouts on the other go on as if it were alone."""

import time
from pathlib import Path

from portal.integrations.kubernetes.server import READ_SECONDS
from releases.rollouts.models import Rollout
from tests.cluster.conftest import Cluster
from tests.cluster.engine.conftest import Lay
from tests.cluster.objects import namespace
from tests.embedded.processes import wait_for
from tests.faults.proxy import READS, WRITES, proxy_to
from tests.rollouts.floor import Floor, lay, why
from tests.rollouts.processes import processes
from tests.soak import long

DEAD = ("x", "y", "z")
ENDS = ("succeeded", "failed", "paused")
EVERY_TIME, FOR_EVER_SECONDS = 10_000, 600.0
PATIENCE_SECONDS = 90.0


def seconds_for(floor: Floor, version: str) -> float:
    """How long others take to carry out a release of that version."""
    rollout = floor.start(version)
    since = time.monotonic()
    assert wait_for(lambda: state(rollout) in ENDS, seconds=PATIENCE_SECONDS), why(rollout)
    assert rollout.state == "succeeded", why(rollout)
    return time.monotonic() - since


def state(rollout: Rollout) -> str:
    rollout.refresh_from_db()
    return rollout.state


@long
def test_a_cluster_that_hangs_holds_up_no_rollout_on_another(
    cluster: Cluster, lay_floor: Lay, tmp_path: Path
) -> None:
    floor = lay_floor(services=("a", "b"), waves=(("a",), ("b",)))
    with (
        proxy_to(cluster.kubeconfig_path, tmp_path) as (line, kubeconfig),
        namespace(cluster.admin) as space,
        processes() as roles,
    ):
        far = lay(space, kubeconfig, services=DEAD, name="far", shop=floor.shop)
        for role in ("worker", "watcher", "sweeper"):
            roles.start(role)
        alone = seconds_for(floor, "2.0.0")
        fault = line.fault(
            "hang", methods=READS + WRITES, count=EVERY_TIME, seconds=FOR_EVER_SECONDS, dry=True
        )
        rollouts = [far.start(services=[name]).pk for name in DEAD]
        waiting = Rollout.objects.filter(pk__in=rollouts, lease_epoch__gte=1, lease_until=None)
        assert wait_for(lambda: waiting.count() == len(DEAD), seconds=PATIENCE_SECONDS), roles.logs()
        assert fault.met
        # The only worker waits in vain for not even one answer of the other cluster.
        assert seconds_for(floor, "3.0.0") < alone + READ_SECONDS
        assert not waiting.filter(state__in=ENDS).exists()
