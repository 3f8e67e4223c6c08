"""The process itself: what it keeps, what it costs, how it ends."""

import signal
import stat
import time
from pathlib import Path

import pytest

from tests.cluster.api import Refused
from tests.cluster.objects import Space, config_map, deployment
from tests.practice.conftest import Practice
from tests.soak import long


@long
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_everything_is_there_after_a_new_start(tmp_path: Path, number: signal.Signals) -> None:
    practice = Practice(tmp_path)
    practice.start()
    api = practice.api
    space = Space(api, "default")
    made = space.create(config_map("settings", a="1"))
    space.create(deployment("web", replicas=2))
    before = space.settle("web")
    pods = {pod["metadata"]["uid"] for pod in space.pods("web")}
    assert practice.end(number) == (0 if number is signal.SIGTERM else -signal.SIGKILL)
    practice.start()
    try:
        assert space.get("configmaps", "settings") == made
        again = space.get("deployments", "web")
        assert again["metadata"]["uid"] == before["metadata"]["uid"]
        assert {pod["metadata"]["uid"] for pod in space.pods("web")} == pods
        newer = space.patch("configmaps", "settings", {"data": {"a": "2"}})
        assert int(newer["metadata"]["resourceVersion"]) > int(again["metadata"]["resourceVersion"])
        space.set_image("web", "registry.test/web:2")
        space.settle("web")
        events = list(api.watch("api/v1/namespaces/default/configmaps", seconds=1, resourceVersion=2))
        assert events[-1]["object"]["code"] == 410
    finally:
        api.close()
        assert practice.end() == 0


def test_the_kubeconfig_is_for_its_owner_only(practice: Practice) -> None:
    assert stat.S_IMODE(practice.kubeconfig.stat().st_mode) == 0o600


@long
def test_manifests_are_applied_at_the_first_start_only(tmp_path: Path) -> None:
    manifest = tmp_path / "objects.yaml"
    manifest.write_text(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings, namespace: shop}\ndata: {a: '1'}\n"
    )
    practice = Practice(tmp_path, options=("--manifest", str(manifest)))
    practice.start()
    api = practice.api
    space = Space(api, "shop")
    assert space.get("configmaps", "settings")["data"] == {"a": "1"}
    space.delete("configmaps", "settings")
    assert practice.end() == 0
    practice.start()
    with pytest.raises(Refused):
        space.get("configmaps", "settings")
    api.close()
    assert practice.end() == 0


def test_it_needs_little_memory_and_rests_when_nothing_happens(practice: Practice, space: Space) -> None:
    for number in range(10):
        space.create(deployment(f"web-{number}", replicas=4))
    for number in range(10):
        space.settle(f"web-{number}")
    time.sleep(0.5)
    before = practice.cpu_seconds()
    time.sleep(1.5)
    assert practice.cpu_seconds() - before < 0.1
    assert practice.resident_mebibytes() < 90
