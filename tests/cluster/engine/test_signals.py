"""Every signal of a bad rollout is told within three seconds, in the pod's words, and ends it in its time."""

from tests.cluster import signals
from tests.cluster.conftest import Cluster
from tests.cluster.engine.conftest import Lay
from tests.cluster.signals import ROWS, Measured, Row
from tests.rollouts.processes import Processes
from tests.soak import long

# Promised of a machine that has its hands full; one at rest needs a tenth (docs/benchmarks.md).
PROMISED_SECONDS = 3.0
# Two processes on one machine note what they see a moment apart.
APART_SECONDS = 0.3


def is_as_promised(row: Row, found: Measured) -> bool:
    """Whether it was told soon and in the cluster's words, and failed when its patience was over."""
    if found.told is None or found.told > PROMISED_SECONDS or not found.are_the_clusters:
        return False
    if row.patience is None:
        return found.code == ""
    in_time = found.after is not None and -APART_SECONDS <= found.after <= PROMISED_SECONDS
    return found.code == row.code and in_time


@long
def test_every_signal_is_told_in_seconds_and_ends_the_step_when_its_patience_is_over(
    cluster: Cluster, lay_floor: Lay, at_work: Processes
) -> None:
    floor = signals.lay_all(lay_floor)
    found = signals.measure_all(cluster.admin, cluster.kubeconfig_path, floor)
    assert {name: each for name, each in found.items() if not is_as_promised(ROWS[name], each)} == {}
