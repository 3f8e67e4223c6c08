"""A service under Helm: upgraded once, watched like any other, taken back; refused where that can be known.

On the practice cluster with a stand-in for helm, on the real control plane with Helm 3 and with Helm 4.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from django.utils import translation
from pytest_django.fixtures import Settings

from portal.integrations.argo.ownership import TRACKING_ID
from portal.integrations.helm import client, process
from portal.integrations.helm.charts import read_chart
from portal.integrations.helm.client import Charted, Helm
from portal.integrations.kubernetes.connection import read_connection
from releases.rollouts import engine, leases, plans, texts
from releases.rollouts.models import Pin, Rollout, Step
from releases.rollouts.steps import helm as under
from releases.rollouts.steps.helm_backup import HelmBackup
from releases.rollouts.steps.helm_upgrade import HelmUpgrade
from releases.rollouts.steps.kind import Outcome, Work, wait
from tests.charts import HELM, owned_deployment, standin, write_chart
from tests.cluster.api import Json
from tests.cluster.conftest import Cluster
from tests.cluster.contract.autoscaling import autoscaler
from tests.cluster.engine.conftest import Lay
from tests.cluster.engine.test_held_updates import asked, at_rest, images, is_paused, reached
from tests.cluster.helm import build
from tests.cluster.objects import Space, config_map, failing, slow, wait_for
from tests.rollouts.floor import Floor, drive, states, why
from tests.soak import long

ENDS = ("failed", "succeeded", "paused")
BACK = ("rolled_back", "rollback_failed", "paused")
EACH: tuple[Json, ...] = (
    {"kind": "helm_backup"},
    {"kind": "helm_upgrade", "timeoutSeconds": 120},
    {"kind": "wait_rollout", "timeoutSeconds": 60, "settleSeconds": 0},
)
BEFORE = ({"kind": "access_check"}, {"kind": "helm_check"})
OLD = f"sha256:{'0' * 64}"
STAND_IN, ON_SERVER = "stand-in", "stand-in on the server"
IS_REAL = os.environ.get("PORTAL_TEST_CLUSTER") == "real"
HELMS = tuple(build.VERSIONS) if IS_REAL else (STAND_IN,)


@dataclass(frozen=True)
class Shore:
    """A floor whose one service is under Helm: revision 1 is deployed."""

    floor: Floor
    charts: Path
    helm: Helm

    def deploy(self, digest: str = OLD) -> None:
        """Upgrade by hand, past the portal."""
        values = {"replicas": 1, "image": {"repository": "registry.test/floor/api", "digest": digest}}
        charted = Charted(release="api", chart=read_chart(str(self.charts), "api"), values=values)
        self.helm.upgrade(charted, labels={"by": "hand"}, description="by hand", seconds=10)

    def statuses(self) -> list[str]:
        """What Helm knows of the release, the oldest revision first."""
        return [each.status for each in self.helm.history("api")]


@pytest.fixture
def account(cluster: Cluster) -> Path:
    """Helm keeps its revisions in Secrets, and takes an account of its own (docs/helm.md)."""
    return cluster.kubeconfig_path


@pytest.fixture(params=HELMS)
def helm_binary(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The helm programs that fit the cluster, one after the other."""
    if request.param in build.VERSIONS:
        return build.ensure(request.param)
    return standin(tmp_path / "bin", on_server=request.param == ON_SERVER)


@pytest.fixture
def shore(
    cluster: Cluster,
    space: Space,
    lay_floor: Lay,
    helm_binary: Path,
    tmp_path: Path,
    settings: Settings,
) -> Shore:
    """A service under Helm."""
    charts = tmp_path / "charts"
    write_chart(charts)
    settings.HELM_CHARTS, settings.HELM_BINARY = str(charts), str(helm_binary)
    body = owned_deployment(space.name, image=f"registry.test/floor/api@{OLD}")
    floor = lay_floor(
        objects={"api": body}, each=EACH, before=BEFORE, after=({"kind": "helm_status"},), unsettled=("api",)
    )
    service = floor.services["api"]
    service.spec["helm"] = dict(HELM)
    service.save(update_fields=["spec"])
    access = read_connection({"kubeconfigRef": f"file:{cluster.kubeconfig_path}"})
    # So that all of it is Helm's, also for a server that keeps whose each field is.
    space.delete("deployments", "api")
    wait_for(lambda: not space.pods("api"), what="the end of what ran")
    made = Shore(floor, charts, Helm(binary=str(helm_binary), access=access, namespace=space.name))
    made.deploy()
    space.settle("api")
    return made


@long
def test_an_upgrade_is_shown_written_watched_and_verified(shore: Shore) -> None:
    floor = shore.floor
    release = floor.release()
    planned = {step.kind: step for step in plans.preview(release).steps}
    assert (planned["helm_check"].error, planned["helm_upgrade"].error) == ("", "")
    shown = {each["field"]: (each["before"], each["after"]) for each in planned["helm_upgrade"].differing}
    assert shown["spec.replicas"] == ("1", "2")
    assert "spec.template.spec.containers[web].image" in shown
    assert shore.statuses() == ["deployed"]
    rollout = drive(floor.start(), *ENDS)
    assert rollout.state == "succeeded", why(rollout)
    assert floor.image("api") == floor.wanted("api", "2.0.0")
    assert shore.statuses() == ["superseded", "deployed"]
    assert rollout.verdict is not None
    assert rollout.verdict["exact"] is True
    kept = rollout.steps.get(kind="helm_backup").before
    assert kept["revision"] == 1
    assert OLD in kept["manifest"]
    assert rollout.steps.get(kind="helm_status").observed["args"]["revision"] == 2
    # The release's digest, and no step that would patch past Helm.
    assert not rollout.steps.filter(kind="set_image").exists()


@long
def test_helm_is_asked_for_nothing_that_it_has_told_already(
    shore: Shore, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def counted(binary: str, arguments: list[str], **named: Any) -> process.Finished:
        asked.append(arguments[0])
        return process.run(binary, arguments, **named)

    service = shore.floor.services["api"]
    service.spec["helm"]["forceConflicts"] = True
    service.save(update_fields=["spec"])
    rollout = shore.floor.start()
    monkeypatch.setattr(client, "run", counted)
    assert drive(rollout, *ENDS).state == "succeeded", why(rollout)
    backup, upgrade = ["history", "get", "get"], ["history", "upgrade", "get", "upgrade"]
    assert asked[-10:] == [*backup, *upgrade, "history", "list", "get"]


@long
def test_pods_that_cannot_start_fail_it_and_helm_brings_back_what_ran(shore: Shore) -> None:
    write_chart(shore.charts, template_annotations=failing("ErrImagePull"))
    floor = shore.floor
    rollout = drive(floor.start(), *ENDS)
    assert rollout.state == "failed"
    assert (rollout.steps.get(kind="wait_rollout").failure or {})["code"] == "ErrImagePull"
    floor.order(rollout, "rollback")
    drive(rollout, "rolled_back", "rollback_failed")
    assert rollout.state == "rolled_back", states(rollout)
    assert floor.image("api") == f"registry.test/floor/api@{OLD}"
    assert shore.statuses() == ["superseded", "superseded", "deployed"]
    assert shore.helm.history("api")[-1].description == "Rollback to 1"
    assert Pin.objects.filter(service=floor.services["api"], lifted_at=None).exists()


@long
def test_a_way_back_that_helm_could_not_go_is_tried_again_and_taken_for_nobody_elses(shore: Shore) -> None:
    write_chart(shore.charts, template_annotations=failing("ErrImagePull"))
    floor, space = shore.floor, shore.floor.space
    rollout = drive(floor.start(), *ENDS)
    # Somebody makes it anew with pods of other labels: no patch can give the old ones back.
    space.delete("deployments", "api")
    body = owned_deployment(space.name, image=f"registry.test/floor/api@{OLD}")
    labels = {"tier": "other"}
    body["spec"]["selector"] = {"matchLabels": labels}
    body["spec"]["template"]["metadata"]["labels"] = labels
    space.create(body)
    floor.order(rollout, "rollback")
    assert drive(rollout, *BACK).state == "rollback_failed", states(rollout)
    assert shore.statuses()[-1] == "failed"
    space.delete("deployments", "api")
    step = rollout.steps.get(kind="helm_rollback")
    floor.order(rollout, "retry", step=step)
    assert drive(rollout, *BACK).state == "rolled_back", why(rollout)
    assert floor.image("api") == f"registry.test/floor/api@{OLD}"


def killed_at(shore: Shore, rollout: Rollout, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the worker die, and helm with it, as soon as the release is half-way."""

    def die(_lease: object) -> None:
        if shore.statuses()[-1].startswith("pending"):
            raise KeyboardInterrupt

    with monkeypatch.context() as dying:
        dying.setattr(leases, "keep", die)
        with pytest.raises(KeyboardInterrupt):
            drive(rollout, *ENDS)
    Rollout.objects.filter(pk=rollout.pk).update(lease_until=None, lease_owner="")


HOOK: Json = {
    "apiVersion": "batch/v1",
    "kind": "Job",
    "metadata": {"name": "first", "annotations": {"helm.sh/hook": "pre-upgrade"}},
    "spec": {
        "backoffLimit": 0,
        "template": {
            "metadata": {"annotations": failing("CreateContainerConfigError")},
            "spec": {
                "restartPolicy": "Never",
                "containers": [{"name": "web", "image": f"registry.test/floor/api@{OLD}"}],
            },
        },
    },
}


@long
def test_a_helm_killed_half_way_is_found_again_and_settled(
    shore: Shore, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_chart(shore.charts, more=[HOOK])
    floor = shore.floor
    rollout = floor.start()
    killed_at(shore, rollout, monkeypatch)
    assert shore.statuses() == ["deployed", "pending-upgrade"]
    engine.advance(rollout.pk)
    step = rollout.steps.get(kind="helm_upgrade")
    # It might still be at work: nobody interferes before its time is over.
    assert (step.state, step.observed["code"]) == ("running", "helm_pending")
    assert shore.statuses() == ["deployed", "pending-upgrade"]
    monkeypatch.setattr(under, "PENDING_SECONDS", 0.0)
    monkeypatch.setattr(under, "HOOK_SECONDS", 2)
    Step.objects.filter(pk=step.pk).update(wake_at=None)
    drive(rollout, *ENDS)
    # Settled by a rollback, sent again, and failed for what it is: its hook never ends.
    assert rollout.state == "failed", states(rollout)
    assert [each.status for each in shore.helm.history("api")][-2:] == ["deployed", "failed"]
    floor.order(rollout, "rollback")
    drive(rollout, "rolled_back", "rollback_failed")
    assert rollout.state == "rolled_back", states(rollout)
    assert shore.statuses()[-1] == "deployed"


@long
def test_a_worker_that_dies_after_the_upgrade_makes_no_second_revision(
    shore: Shore, monkeypatch: pytest.MonkeyPatch
) -> None:
    floor = shore.floor
    rollout = floor.start()
    with monkeypatch.context() as dying:
        dying.setattr(under, "remembered_release", dies)
        with pytest.raises(KeyboardInterrupt):
            drive(rollout, *ENDS)
    Rollout.objects.filter(pk=rollout.pk).update(lease_until=None, lease_owner="")
    drive(rollout, *ENDS)
    assert rollout.state == "succeeded", why(rollout)
    assert shore.statuses() == ["superseded", "deployed"]


@long
@pytest.mark.parametrize("then", ["rollback", "release"])
def test_what_was_stopped_half_way_goes_on_only_with_what_helm_writes_next(
    shore: Shore, monkeypatch: pytest.MonkeyPatch, then: str
) -> None:
    floor, pods = shore.floor, 8
    service = floor.services["api"]
    service.spec["helm"] |= {"values": {"floor-production": {"replicas": pods}}}
    service.save(update_fields=["spec"])
    assert drive(floor.start("1.5.0"), *ENDS).state == "succeeded"
    write_chart(shore.charts, template_annotations=slow("1s"))
    rollout, new = floor.start(), floor.wanted("api", "2.0.0")
    wait_for(lambda: drive(rollout, "running") and images(floor)[new], what="the first new pods")
    order = asked(floor, rollout, "stop")
    assert (rollout.state, reached(order)) == ("stopped", [("Deployment", "hold", "reached")])
    assert at_rest(floor)[floor.wanted("api", "1.5.0")] > 0
    revisions = len(shore.statuses())
    write_chart(shore.charts)
    if then == "rollback":
        floor.order(rollout, "rollback")
    else:
        rollout = floor.start("3.0.0")
    with monkeypatch.context() as dying:
        dying.setattr(under, "let_go", dies)
        with pytest.raises(KeyboardInterrupt):
            drive(rollout, *ENDS, "rolled_back", "rollback_failed")
    Rollout.objects.filter(pk=rollout.pk).update(lease_until=None, lease_owner="")
    assert is_paused(floor)
    wanted = ("rolled_back", "1.5.0") if then == "rollback" else ("succeeded", "3.0.0")
    drive(rollout, *ENDS, "rolled_back", "rollback_failed", seconds=60)
    assert rollout.state == wanted[0], why(rollout)
    wait_for(lambda: images(floor) == {floor.wanted("api", wanted[1]): pods}, what="all pods of one kind")
    assert not is_paused(floor)
    assert len(shore.statuses()) == revisions + 1


@long
def test_what_somebody_has_paused_is_named_before_helm_writes(shore: Shore) -> None:
    floor = shore.floor
    pause = {"spec": {"paused": True}}
    floor.space.patch("deployments", "api", pause, kind="merge", fieldManager="kubectl-rollout")
    release = floor.release()
    wrong = {step.kind: step.error for step in plans.preview(release).errors}
    assert wrong.keys() == {"helm_check", "helm_upgrade"}
    assert f"kubectl rollout resume deployment/api -n {floor.space.name}" in wrong["helm_upgrade"]
    rollout = drive(floor.start(), *ENDS)
    assert (rollout.state, shore.statuses()) == ("failed", ["deployed"])


def dies(*_args: object, **_named: object) -> None:
    raise KeyboardInterrupt


@long
def test_somebody_elses_upgrade_in_between_holds_it(shore: Shore, monkeypatch: pytest.MonkeyPatch) -> None:
    look = HelmBackup.observe

    def backed_up_and_overtaken(kind: HelmBackup, work: Work) -> Outcome:
        outcome = look(kind, work)
        shore.deploy(f"sha256:{'1' * 64}")
        return outcome

    monkeypatch.setattr(HelmBackup, "observe", backed_up_and_overtaken)
    rollout = shore.floor.start()
    drive(rollout, *ENDS)
    assert rollout.state == "paused"
    assert rollout.pause is not None
    assert rollout.pause["reason"] == "drift"
    assert rollout.pause["args"]["object"] == "helm/api"
    assert shore.statuses() == ["superseded", "deployed"]


@long
@pytest.mark.parametrize("helm_binary", ["v4" if IS_REAL else ON_SERVER], indirect=True)
def test_a_field_of_somebody_else_is_named_before_the_start_or_taken_where_the_catalog_says_so(
    shore: Shore,
) -> None:
    floor, service = shore.floor, shore.floor.services["api"]
    scale_by_hand(shore)
    with translation.override("en"):
        [wrong] = plans.preview(floor.release()).errors
    assert wrong.kind == "helm_check"
    assert 'Deployment/api: Apply failed with 1 conflict: conflict with "kubectl-scale"' in wrong.error
    assert ".spec.replicas" in wrong.error
    service.spec["helm"]["forceConflicts"] = True
    service.save(update_fields=["spec"])
    rollout = drive(floor.start("3.0.0"), *ENDS)
    assert (rollout.state, replicas(shore)) == ("succeeded", 2), why(rollout)
    scale_by_hand(shore)
    floor.order(rollout, "rollback")
    drive(rollout, "rolled_back", "rollback_failed", "paused")
    assert (rollout.state, replicas(shore)) == ("rolled_back", 1), why(rollout)


def scale_by_hand(shore: Shore) -> None:
    shore.floor.space.patch("deployments", "api", {"spec": {"replicas": 5}}, fieldManager="kubectl-scale")


def replicas(shore: Shore) -> int:
    return int(shore.floor.space.get("deployments", "api")["spec"]["replicas"])


Spoil = Callable[[Shore, Settings], None]


def _elsewhere(shore: Shore, _settings: Settings) -> None:
    stray = config_map("stray", a="b")
    stray["metadata"]["namespace"] = "kube-system"
    write_chart(shore.charts, more=[stray])


def _unknown(shore: Shore, _settings: Settings) -> None:
    write_chart(
        shore.charts, more=[{"apiVersion": "acme.test/v1", "kind": "Wonder", "metadata": {"name": "w"}}]
    )


def _unpinned(shore: Shore, _settings: Settings) -> None:
    write_chart(shore.charts, containers=[{"name": "side", "image": "registry.test/side:latest"}])


def _unnamed(shore: Shore, _settings: Settings) -> None:
    shore.floor.services["api"].spec["workloads"][0]["name"] = "other"
    shore.floor.services["api"].save(update_fields=["spec"])


def _autoscaled(shore: Shore, _settings: Settings) -> None:
    shore.floor.space.create(autoscaler("api", minimum=1, maximum=3))


def _autoscaled_by_the_chart(shore: Shore, _settings: Settings) -> None:
    write_chart(shore.charts, more=[autoscaler("api", minimum=1, maximum=3)])


def _missing(_shore: Shore, settings: Settings) -> None:
    settings.HELM_BINARY = "/nowhere/helm"


@long
@pytest.mark.parametrize(
    ("spoil", "code", "words"),
    [
        (_missing, "helm_missing", "HELM_BINARY"),
        (_elsewhere, "helm_other_namespace", "ConfigMap/stray (kube-system)"),
        (_unknown, "helm_unknown_kind", "Wonder"),
        (_unpinned, "image_unpinned", "registry.test/side:latest"),
        (_unnamed, "helm_workloads_differ", "Deployment/api"),
        (_autoscaled, "helm_names_replicas", "Deployment/api"),
        (_autoscaled_by_the_chart, "helm_names_replicas", "Deployment/api"),
    ],
)
def test_what_cannot_go_out_is_named_before_anything_is_written(
    shore: Shore, settings: Settings, spoil: Spoil, code: str, words: str
) -> None:
    spoil(shore, settings)
    release = shore.floor.release()
    check = next(step for step in plans.preview(release).steps if step.kind == "helm_check")
    assert words in check.error
    assert check.error.startswith(str(texts.cause({"code": code, "args": {"names": words}}))[:20])
    assert len(shore.statuses()) == 1


@long
def test_what_an_application_of_argo_cd_may_undo_is_not_upgraded(shore: Shore) -> None:
    floor = shore.floor
    tracking = f"api:apps/Deployment:{floor.space.name}/api"
    floor.space.patch("deployments", "api", {"metadata": {"annotations": {TRACKING_ID: tracking}}})
    release = floor.release()
    check = next(step for step in plans.preview(release).steps if step.kind == "helm_check")
    assert "Argo CD" in check.error
    rollout = drive(floor.start(), *ENDS)
    failure = rollout.steps.get(kind="helm_check").failure
    assert (rollout.state, failure and failure["code"]) == ("failed", "argo_unread")
    assert len(shore.statuses()) == 1


@long
def test_an_autoscaler_that_comes_after_the_checks_keeps_the_upgrade_from_writing_its_size(
    shore: Shore,
) -> None:
    floor = shore.floor
    rollout = floor.start()
    wait_for(lambda: _checked(rollout), what="the check", seconds=60)
    floor.space.create(autoscaler("api", minimum=1, maximum=3))
    drive(rollout, *ENDS)
    failure = rollout.steps.get(kind="helm_upgrade").failure
    assert (rollout.state, failure and failure["code"]) == ("failed", "helm_names_replicas")
    assert floor.space.get("deployments", "api")["spec"]["replicas"] == 1
    assert len(shore.statuses()) == 1


def _checked(rollout: Rollout) -> bool:
    """Carry it on until nothing is left to be checked; what comes next has not been looked at."""
    with mock.patch.object(HelmUpgrade, "prepare", return_value=wait("made_up")):
        engine.advance(rollout.pk)
    return rollout.steps.get(kind="helm_check").state == "succeeded"
