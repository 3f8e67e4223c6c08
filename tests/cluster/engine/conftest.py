"""A floor to roll out on, in a namespace of the test's own."""

from collections.abc import Callable

import pytest

from tests.cluster.conftest import Cluster
from tests.cluster.objects import Space
from tests.rollouts.floor import Floor, lay

Lay = Callable[..., Floor]


@pytest.fixture
def lay_floor(cluster: Cluster, space: Space, transactional_db: None) -> Lay:
    """Lays a floor on the cluster; takes the arguments of `lay`."""

    def make(**options: object) -> Floor:
        return lay(space, cluster.kubeconfig_path, **options)  # type: ignore[arg-type]

    return make
