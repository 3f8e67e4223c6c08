"""The same cluster through kubectl: what people type beside the portal works and tells the same."""

import json
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from tests.cluster.conftest import Cluster
from tests.cluster.objects import (
    Space,
    config_map,
    deployment,
    failing,
    image_of,
    revision,
    slow,
    stateful_set,
    template_patch,
    wait_for,
)
from tests.soak import long

NEW = "registry.test/web:2"


@pytest.fixture
def kubectl(cluster: Cluster, space: Space) -> Callable[..., str]:
    """Run kubectl in the test's namespace and return what it printed; a failure fails the test."""

    def run(*arguments: str) -> str:
        result = cluster.kubectl("--namespace", space.name, *arguments)
        assert result.returncode == 0, f"kubectl {' '.join(arguments)}: {result.stderr}"
        return result.stdout

    return run


@pytest.fixture
def refused_kubectl(cluster: Cluster, space: Space) -> Callable[..., str]:
    """Run kubectl where it must fail, and return what it complained."""

    def run(*arguments: str) -> str:
        result = cluster.kubectl("--namespace", space.name, *arguments)
        assert result.returncode == 1, result.stdout
        return result.stderr

    return run


def test_version_speaks_to_the_server(kubectl: Callable[..., str], cluster: Cluster) -> None:
    answer = json.loads(kubectl("version", "--output", "json"))
    assert answer["serverVersion"]["gitVersion"] == cluster.admin.get("version")["gitVersion"]


def test_api_resources_lists_what_there_is(kubectl: Callable[..., str]) -> None:
    names = kubectl("api-resources", "--output", "name").split()
    assert {"pods", "deployments.apps", "jobs.batch", "events"} <= set(names)


@pytest.mark.parametrize("what", ["deployment/web", "deploy/web", "deployments.apps/web"])
def test_get_finds_a_deployment_by_each_of_its_names(
    kubectl: Callable[..., str], space: Space, what: str
) -> None:
    space.create(deployment("web"))
    assert json.loads(kubectl("get", what, "--output", "json"))["metadata"]["name"] == "web"


@long
def test_get_prints_the_columns_people_know(kubectl: Callable[..., str], space: Space) -> None:
    space.create(deployment("web", replicas=2))
    space.settle("web")
    header, row = kubectl("get", "deployments").splitlines()
    assert header.split() == ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"]
    assert row.split()[:4] == ["web", "2/2", "2", "2"]
    header, *rows = kubectl("get", "pods").splitlines()
    assert header.split() == ["NAME", "READY", "STATUS", "RESTARTS", "AGE"]
    assert [row.split()[1:4] for row in rows] == [["1/1", "Running", "0"]] * 2


@long
def test_get_shows_why_a_pod_does_not_start(kubectl: Callable[..., str], space: Space) -> None:
    space.create(deployment("web", pod_annotations=failing("CreateContainerConfigError")))
    wait_for(lambda: "CreateContainerConfigError" in kubectl("get", "pods"), what="the reason")
    assert "Running" not in kubectl("get", "pods")


def test_get_of_nothing_says_not_found(refused_kubectl: Callable[..., str]) -> None:
    complaint = refused_kubectl("get", "deployment", "nope")
    assert 'Error from server (NotFound): deployments.apps "nope" not found' in complaint


@long
def test_describe_tells_the_history_of_an_object(kubectl: Callable[..., str], space: Space) -> None:
    space.create(deployment("web"))
    space.settle("web")
    text = kubectl("describe", "deployment", "web")
    assert "1 desired | 1 updated | 1 total | 1 available | 0 unavailable" in text
    assert "Scaled up replica set" in text
    pod = space.pods("web")[0]["metadata"]["name"]
    assert "registry.test/web:1" in kubectl("describe", "pod", pod)


@long
def test_set_image_and_rollout_status(kubectl: Callable[..., str], space: Space) -> None:
    space.create(deployment("web", replicas=2))
    space.settle("web")
    assert "image updated" in kubectl("set", "image", "deployment/web", f"web={NEW}")
    assert 'deployment "web" successfully rolled out' in kubectl("rollout", "status", "deployment/web")
    assert image_of(space.get("deployments", "web")) == NEW
    assert {pod["spec"]["containers"][0]["image"] for pod in space.pods("web")} == {NEW}
    managers = {each["manager"] for each in space.get("deployments", "web")["metadata"]["managedFields"]}
    assert "kubectl-set" in managers


def test_set_image_of_a_container_nobody_has_is_refused(
    refused_kubectl: Callable[..., str], space: Space
) -> None:
    space.create(deployment("web"))
    assert 'unable to find container named "wbe"' in refused_kubectl(
        "set", "image", "deployment/web", f"wbe={NEW}"
    )


def test_a_server_side_dry_run_changes_nothing(kubectl: Callable[..., str], space: Space) -> None:
    space.create(deployment("web"))
    text = kubectl("set", "image", "deployment/web", f"web={NEW}", "--dry-run=server", "--output", "json")
    assert image_of(json.loads(text)) == NEW
    assert image_of(space.get("deployments", "web")) == "registry.test/web:1"


def test_rollout_status_waits_until_the_end(kubectl: Callable[..., str], space: Space) -> None:
    space.create(deployment("web", replicas=2))
    space.settle("web")
    space.patch("deployments", "web", template_patch(NEW, slow("2s")))
    text = kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    assert "Waiting for deployment" in text
    assert text.rstrip().endswith("successfully rolled out")


def test_rollout_status_gives_up_after_its_timeout(refused_kubectl: Callable[..., str], space: Space) -> None:
    space.create(deployment("web", pod_annotations=failing("NeverReady")))
    complaint = refused_kubectl("rollout", "status", "deployment/web", "--timeout=1s")
    assert "timed out waiting for the condition" in complaint


def test_rollout_status_tells_a_passed_deadline(refused_kubectl: Callable[..., str], space: Space) -> None:
    space.create(deployment("web", progressDeadlineSeconds=1, pod_annotations=failing("NeverReady")))
    complaint = refused_kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    assert "exceeded its progress deadline" in complaint


@long
def test_rollout_status_of_a_stateful_set(kubectl: Callable[..., str], space: Space) -> None:
    space.create(stateful_set("store", replicas=2))
    kubectl("rollout", "status", "statefulset/store", "--timeout=30s")
    kubectl("set", "image", "statefulset/store", f"web={NEW}")
    text = kubectl("rollout", "status", "statefulset/store", "--timeout=30s")
    assert "2 pods at revision" in text or "complete" in text


@long
def test_history_and_undo(kubectl: Callable[..., str], space: Space) -> None:
    cause = {"kubernetes.io/change-cause": "release 1"}
    space.create(deployment("web", annotations=cause))
    space.settle("web")
    space.set_image("web", NEW)
    space.settle("web")
    rows = [row.split(maxsplit=1) for row in kubectl("rollout", "history", "deployment/web").splitlines()]
    assert ["1", "release 1"] in rows
    assert ["2", "release 1"] in rows
    assert "rolled back" in kubectl("rollout", "undo", "deployment/web")
    seen = space.settle("web")
    assert (image_of(seen), revision(seen)) == ("registry.test/web:1", 3)


def test_undo_to_a_revision_that_is_gone_is_refused(
    refused_kubectl: Callable[..., str], space: Space
) -> None:
    space.create(deployment("web"))
    space.settle("web")
    complaint = refused_kubectl("rollout", "undo", "deployment/web", "--to-revision=7")
    assert "unable to find specified revision 7 in history" in complaint


@long
def test_pause_resume_and_restart(
    kubectl: Callable[..., str], refused_kubectl: Callable[..., str], space: Space
) -> None:
    space.create(deployment("web"))
    space.settle("web")
    space.set_image("web", NEW)
    space.settle("web")
    kubectl("rollout", "pause", "deployment/web")
    assert space.get("deployments", "web")["spec"]["paused"] is True
    assert "paused" in refused_kubectl("rollout", "undo", "deployment/web")
    kubectl("rollout", "resume", "deployment/web")
    assert not space.get("deployments", "web")["spec"].get("paused")
    kubectl("rollout", "restart", "deployment/web")
    template = space.settle("web")["spec"]["template"]
    assert template["metadata"]["annotations"]["kubectl.kubernetes.io/restartedAt"]
    assert len(space.replica_sets("web")) == 3


@long
def test_scale_with_and_without_a_condition(
    kubectl: Callable[..., str], refused_kubectl: Callable[..., str], space: Space
) -> None:
    space.create(deployment("web"))
    space.settle("web")
    kubectl("scale", "deployment/web", "--replicas=2")
    kubectl("scale", "deployment/web", "--replicas=3", "--current-replicas=2")
    assert space.get("deployments", "web")["spec"]["replicas"] == 3
    complaint = refused_kubectl("scale", "deployment/web", "--replicas=5", "--current-replicas=2")
    assert "Expected replicas to be 2, was 3" in complaint


@pytest.mark.parametrize("options", [[], ["--server-side", "--field-manager=gardener"]])
def test_apply_creates_and_changes(
    kubectl: Callable[..., str], space: Space, tmp_path: Any, options: list[str]
) -> None:
    manifest = tmp_path / "web.yaml"
    manifest.write_text(yaml.safe_dump_all([deployment("web"), config_map("settings", a="1")]))
    kubectl("apply", "--filename", str(manifest), *options)
    manifest.write_text(yaml.safe_dump_all([deployment("web", image=NEW), config_map("settings", a="2")]))
    kubectl("apply", "--filename", str(manifest), *options)
    assert image_of(space.get("deployments", "web")) == NEW
    assert space.get("configmaps", "settings")["data"] == {"a": "2"}


def test_apply_has_unknown_fields_refused_by_the_server(
    refused_kubectl: Callable[..., str], space: Space, tmp_path: Any
) -> None:
    manifest = tmp_path / "web.yaml"
    manifest.write_text(yaml.safe_dump(deployment("web", nope=1)))
    complaint = refused_kubectl("apply", "--filename", str(manifest))
    assert 'unknown field "spec.nope"' in complaint
    assert space.find("deployments") == []


def test_annotate_label_and_patch(kubectl: Callable[..., str], space: Space) -> None:
    space.create(config_map("settings"))
    kubectl("annotate", "configmap/settings", "portal.test/step=1")
    kubectl("label", "configmap/settings", "tier=front")
    kubectl("patch", "configmap/settings", "--type=merge", "--patch", '{"data": {"a": "1"}}')
    seen = space.get("configmaps", "settings")
    assert seen["metadata"]["annotations"]["portal.test/step"] == "1"
    assert seen["metadata"]["labels"]["tier"] == "front"
    assert seen["data"] == {"a": "1"}


def test_wait_and_delete(kubectl: Callable[..., str], space: Space) -> None:
    space.create(deployment("web"))
    kubectl("wait", "--for=condition=Available", "deployment/web", "--timeout=30s")
    assert "deleted" in kubectl("delete", "deployment/web", "--timeout=30s")
    assert space.find("deployments") == []


def test_can_i_asks_the_server(cluster: Cluster, kubectl: Callable[..., str]) -> None:
    assert kubectl("auth", "can-i", "patch", "deployments.apps").strip() == "yes"
