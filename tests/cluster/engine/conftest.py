"""What a test rolls out on: a floor in a namespace of its own, or an example on a cluster of its module's."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cluster.conftest import Cluster
from tests.cluster.engine.examples import Served, System, example_cluster, foreign_changes, furnished
from tests.cluster.objects import Space
from tests.rollouts.floor import Floor, lay
from tests.rollouts.processes import Processes, processes

Lay = Callable[..., Floor]


@pytest.fixture
def account(cluster: Cluster, tmp_path: Path) -> Path:
    """The kubeconfig by which the portal reaches the cluster: with the rights of deploy/account.yaml."""
    return cluster.limited_kubeconfig(tmp_path)


@pytest.fixture
def lay_floor(account: Path, space: Space, transactional_db: None) -> Lay:
    """Lays a floor on the cluster; takes the arguments of `lay`."""

    def make(**options: object) -> Floor:
        return lay(space, account, **options)  # type: ignore[arg-type]

    return make


@pytest.fixture
def roles(transactional_db: None) -> Iterator[Processes]:
    """Starts processes of the portal; they end with the test."""
    with processes() as made:
        yield made


@pytest.fixture
def at_work(roles: Processes) -> Processes:
    """A worker, a watcher and a sweeper, started before anything else is there."""
    for role in ("worker", "watcher", "sweeper"):
        roles.start(role)
    return roles


@pytest.fixture(scope="module")
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The example's cluster that the module names as its SYSTEM."""
    with example_cluster(tmp_path_factory.mktemp("example"), request.module.SYSTEM) as made:
        yield made


@pytest.fixture
def system(served: Served, transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[System]:
    """The example as it is shipped, with its people."""
    with furnished(served, monkeypatch) as made:
        yield made
    assert foreign_changes() == [], "its own doing"
