"""Folders of catalog files for the tests of loading."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.utils import translation

from portal.actors import Actor
from releases.catalog.files import load_folder

EXAMPLES = Path(__file__).resolve().parents[2] / "deploy" / "examples"
LOADER = Actor.portal("a test", door="cli")

SMALL = """\
# A comment that must survive.
apiVersion: portal/v1
kind: Team
metadata: {name: commerce, title: Commerce}
spec: {}
---
apiVersion: portal/v1
kind: Connection
metadata: {name: cluster}
spec: {kind: kubernetes, kubeconfigRef: "env:KUBECONFIG"}
---
apiVersion: portal/v1
kind: Environment
metadata: {name: shop-production}
spec: {system: shop, stage: production, cluster: cluster, namespace: shop}
---
apiVersion: portal/v1
kind: Service
metadata: {name: order-api}
spec:
  team: commerce
  system: shop
  image: registry.practice/shop/order-api
  environments: [shop-production]
  workloads:
    - {kind: Deployment, name: order-api, containers: [app]}   # one of two
---
apiVersion: portal/v1
kind: Service
metadata: {name: web}
spec:
  team: commerce
  system: shop
  image: registry.practice/shop/web
  environments: [shop-production]
  workloads: [{kind: Deployment, name: web, containers: [web]}]
  dependencies: [order-api]
---
apiVersion: portal/v1
kind: Plan
metadata: {name: shop-production}
spec:
  environments: [shop-production]
  waves: [{services: [order-api]}, {services: [web]}]
  each: [{kind: set_image}, {kind: wait_rollout}]
"""

Folder = Callable[..., Path]


@pytest.fixture(autouse=True)
def in_english() -> Iterator[None]:
    """The tests compare English sentences."""
    with translation.override("en"):
        yield


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """Write catalog files into a folder named shop, and return it."""

    def write(text: str = SMALL, *, name: str = "catalog.yaml") -> Path:
        root = tmp_path / "shop"
        root.mkdir(exist_ok=True)
        (root / name).write_bytes(text.encode())
        return root

    return write


def load_examples(*systems: str) -> None:
    """Load the connections, the policy and some of the example systems: all of them take their time."""
    for name in ("connections.yaml", "policy.yaml", *systems):
        load_folder(EXAMPLES / name, actor=LOADER)
