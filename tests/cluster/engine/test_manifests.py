"""Manifests of a service: applied under the portal's name, never by force, verified, and taken back."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.utils import translation

from portal.errors import Conflict
from releases.models import Release
from releases.rollouts import engine, operations, plans
from releases.rollouts.models import Rollout
from releases.rollouts.steps import leftovers, manifests
from releases.rollouts.steps.kind import Work
from tests.cluster.api import Json
from tests.cluster.conftest import Cluster
from tests.cluster.engine.conftest import Lay
from tests.cluster.objects import config_map
from tests.factories import make_service
from tests.rollouts.floor import Floor, drive, why
from tests.soak import long

pytestmark = long
ENDS = ("failed", "succeeded", "paused")
BACK = ("rolled_back", "rollback_failed", "paused")
SETTINGS = "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: settings}}\ndata: {{level: {level}}}\n"
MADE = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: made}\ndata: {a: '1'}\n"
DEPLOYMENT = """apiVersion: apps/v1
kind: Deployment
metadata: {name: api}
spec:
  template:
    spec:
      containers:
        - {name: web, env: [{name: LEVEL, value: debug}]}
"""
WORKER = """apiVersion: apps/v1
kind: Deployment
metadata: {{name: worker}}
spec:
  selector: {{matchLabels: {{app: {label}}}}}
  template:
    metadata: {{labels: {{app: {label}}}}}
    spec:
      containers:
        - {{name: worker, image: "registry.test/worker:1"}}
"""
Write = Callable[..., None]


@pytest.fixture
def account(cluster: Cluster) -> Path:
    """Changes whatever a folder holds, which the account that is shipped does not (docs/production.md)."""
    return cluster.kubeconfig_path


@pytest.fixture
def write(tmp_path: Path, settings: Any) -> Write:
    """Writes the folder of the service's manifests: its files by name, without their suffix."""
    settings.MANIFESTS = str(tmp_path)
    folder = tmp_path / "api"
    folder.mkdir()

    def make(**files: str) -> None:
        for old in folder.iterdir():
            old.unlink()
        for name, text in files.items():
            (folder / f"{name}.yaml").write_text(text)

    return make


@pytest.fixture
def floor(lay_floor: Lay) -> Floor:
    """A floor whose plan applies the manifests of its one service before the image is set."""
    made = lay_floor()
    made.plan.spec["waves"][0]["before"] = [{"kind": "apply_manifests", "service": "api"}]
    made.plan.save(update_fields=["spec"])
    service = made.services["api"]
    service.spec = {**service.spec, "manifests": {"floor-production": "api"}}
    service.save(update_fields=["spec"])
    return made


def data_of(floor: Floor, name: str) -> Json | None:
    found = [each for each in floor.space.find("configmaps") if each["metadata"]["name"] == name]
    return dict(found[0]["data"]) if found else None


def env_of(floor: Floor) -> list[Json]:
    template = floor.space.get("deployments", "api")["spec"]["template"]
    return list(template["spec"]["containers"][0].get("env") or [])


def failure(rollout: Rollout) -> Json:
    return rollout.steps.get(kind="apply_manifests").failure or {}


def started(release: Release, floor: Floor) -> Rollout:
    return drive(operations.start_rollout(release.number, actor=floor.actor), *ENDS)


def test_they_are_applied_shown_before_and_taken_back(floor: Floor, write: Write) -> None:
    write(settings=SETTINGS.format(level="info"))
    first = drive(floor.start("2.0.0"), *ENDS)
    assert first.state == "succeeded", why(first)
    write(settings=SETTINGS.format(level="warn"), made=MADE, deployment=DEPLOYMENT)
    release = floor.release("3.0.0")
    preview = plans.preview(release)
    assert not preview.errors
    shown = {
        (change["object"], change["field"], change["before"], change["after"])
        for step in preview.changing
        for change in (step.changes if step.kind == "apply_manifests" else [])
    }
    assert ("configmap/settings", "data.level", "info", "warn") in shown
    assert ("configmap/made", "object", "", "configmap/made") in shown
    rollout = started(release, floor)
    assert rollout.state == "succeeded", why(rollout)
    assert (data_of(floor, "settings"), data_of(floor, "made")) == ({"level": "warn"}, {"a": "1"})
    assert env_of(floor) == [{"name": "LEVEL", "value": "debug"}]
    assert floor.image("api") == floor.wanted("api", "3.0.0")
    floor.order(rollout, "rollback")
    assert drive(rollout, *BACK).state == "rolled_back", why(rollout)
    assert (data_of(floor, "settings"), data_of(floor, "made"), env_of(floor)) == (
        {"level": "info"},
        None,
        [],
    )
    assert floor.image("api") == floor.wanted("api", "2.0.0")


def test_what_another_has_written_is_a_conflict_that_names_them(floor: Floor, write: Write) -> None:
    floor.space.api.create(
        floor.space.path("configmaps"), config_map("settings", level="error"), fieldManager="somebody"
    )
    write(settings=SETTINGS.format(level="info"), made=MADE)
    with translation.override("en"):
        [error] = [each for each in plans.preview(floor.release()).errors if each.kind == "apply_manifests"]
    assert "somebody" in error.error
    rollout = drive(floor.start("3.0.0"), *ENDS)
    assert (rollout.state, failure(rollout)["code"]) == ("failed", "field_conflict")
    assert "somebody" in failure(rollout)["message"]
    assert (data_of(floor, "settings"), data_of(floor, "made")) == ({"level": "error"}, None)


def test_what_others_have_added_stays_on_the_way_back(floor: Floor, write: Write) -> None:
    floor.space.api.create(
        floor.space.path("configmaps"), config_map("settings", other="x"), fieldManager="somebody"
    )
    write(settings=SETTINGS.format(level="info"))
    rollout = drive(floor.start(), *ENDS)
    assert data_of(floor, "settings") == {"other": "x", "level": "info"}
    floor.order(rollout, "rollback")
    assert drive(rollout, *BACK).state == "rolled_back", why(rollout)
    assert data_of(floor, "settings") == {"other": "x"}


def test_a_folder_that_was_changed_after_the_approval_is_not_applied(floor: Floor, write: Write) -> None:
    write(settings=SETTINGS.format(level="info"))
    release = floor.release()
    write(settings=SETTINGS.format(level="debug"))
    with pytest.raises(Conflict):
        operations.start_rollout(release.number, actor=floor.actor)
    assert data_of(floor, "settings") is None


def test_a_manifest_that_names_the_releases_image_is_refused(floor: Floor, write: Write) -> None:
    write(deployment=DEPLOYMENT.replace("name: web,", "name: web, image: other:1,"))
    rollout = drive(floor.start(), *ENDS)
    assert (rollout.state, failure(rollout)["code"]) == ("failed", "manifest_names_image")


def test_a_field_that_never_changes_is_named_in_the_clusters_words_and_nothing_is_applied(
    floor: Floor, write: Write
) -> None:
    write(settings=SETTINGS.format(level="info"), worker=WORKER.format(label="worker"))
    first = drive(floor.start("2.0.0"), *ENDS)
    assert first.state == "succeeded", why(first)
    write(settings=SETTINGS.format(level="warn"), worker=WORKER.format(label="other"))
    release = floor.release("3.0.0")
    with translation.override("en"):
        [error] = plans.preview(release).errors
    assert error.kind == "apply_manifests"
    assert error.error.startswith("The cluster refuses the change")
    assert "spec.selector" in error.error
    assert "field is immutable" in error.error
    rollout = started(release, floor)
    assert (rollout.state, failure(rollout)["code"]) == ("failed", "invalid"), why(rollout)
    assert "field is immutable" in failure(rollout)["message"]
    assert data_of(floor, "settings") == {"level": "info"}
    assert floor.image("api") == floor.wanted("api", "2.0.0")


def test_what_was_written_while_they_are_compared_is_no_foreign_change(
    floor: Floor, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[Json] = []

    def read_too_early(work: Work, wanted: Json) -> Json | None:
        body = leftovers.read(work, wanted)
        if body is None or wanted["metadata"]["name"] != "worker":
            return body
        reads.append(body)
        # The first one follows the act, the second one is compared.
        other = {"resourceVersion": "1", "annotations": {"a": "b"}} if len(reads) == 2 else {}
        return {**body, "metadata": {**body["metadata"], **other}}

    monkeypatch.setattr(manifests, "read", read_too_early)
    write(worker=WORKER.format(label="worker"))
    rollout = drive(floor.start("2.0.0"), *ENDS)
    assert (rollout.state, len(reads)) == ("succeeded", 3), why(rollout)


def left(floor: Floor, version: str) -> tuple[Release, str]:
    """A release, and what its dry run notes of the manifests."""
    release = floor.release(version)
    with translation.override("en"):
        planned = plans.preview(release)
    assert not planned.errors
    return release, " ".join(
        note for step in planned.steps if step.kind == "apply_manifests" for note in step.notes
    )


def test_what_the_folder_no_longer_holds_is_named_before_every_start_until_it_is_gone(
    floor: Floor, write: Write
) -> None:
    settings, worker = SETTINGS.format(level="info"), WORKER.format(label="worker")
    write(settings=settings, made=MADE, worker=worker)
    release, note = left(floor, "2.0.0")
    assert note == ""
    started(release, floor)
    write(settings=settings)
    release, note = left(floor, "3.0.0")
    assert "the cluster still has: configmap/made, deployment/worker." in note
    rollout = started(release, floor)
    assert rollout.state == "succeeded", why(rollout)
    assert data_of(floor, "made") == {"a": "1"}
    floor.space.delete("deployments", "worker")
    release, note = left(floor, "4.0.0")
    assert "the cluster still has: configmap/made." in note
    started(release, floor)
    floor.space.delete("configmaps", "made")
    assert left(floor, "5.0.0")[1] == ""


def test_what_another_services_folder_holds_or_may_hold_is_not_left_over(
    floor: Floor, write: Write, tmp_path: Path
) -> None:
    write(settings=SETTINGS.format(level="info"), made=MADE)
    started(floor.release("2.0.0"), floor)
    other = make_service("other", floor.shop.shopping.team, floor.environment)
    other.spec = {**other.spec, "manifests": {"floor-production": "other"}}
    other.save(update_fields=["spec"])
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "made.yaml").write_text(MADE)
    write(settings=SETTINGS.format(level="info"))
    assert left(floor, "3.0.0")[1] == ""
    (tmp_path / "other" / "made.yaml").write_text(SETTINGS.format(level="info").replace("settings", "else"))
    assert "configmap/made" in left(floor, "3.0.1")[1]
    (tmp_path / "other" / "made.yaml").write_text("{")
    assert left(floor, "3.0.2")[1] == ""


def test_a_plan_that_prunes_deletes_what_is_the_portals_alone_and_gives_it_back(
    floor: Floor, write: Write
) -> None:
    floor.space.api.create(
        floor.space.path("configmaps"), config_map("shared", other="x"), fieldManager="somebody"
    )
    shared = SETTINGS.format(level="info").replace("settings", "shared")
    settings, worker = SETTINGS.format(level="info"), WORKER.format(label="worker")
    write(settings=settings, made=MADE, worker=worker, shared=shared, deployment=DEPLOYMENT)
    started(left(floor, "2.0.0")[0], floor)
    floor.plan.spec["waves"][0]["before"][0]["prune"] = True
    floor.plan.save(update_fields=["spec"])
    write(settings=settings)
    release, note = left(floor, "3.0.0")
    assert "not the portal's alone: configmap/shared, deployment/api." in note
    [step] = [each for each in plans.preview(release).steps if each.kind == "apply_manifests"]
    gone = [(each["object"], each["after"]) for each in step.differing if each["field"] == "object"]
    assert gone == [("configmap/made", ""), ("deployment/worker", "")]
    rollout = started(release, floor)
    assert rollout.state == "succeeded", why(rollout)
    workloads = [each["metadata"]["name"] for each in floor.space.find("deployments")]
    assert (data_of(floor, "made"), workloads) == (None, ["api"])
    assert data_of(floor, "shared") == {"other": "x", "level": "info"}
    floor.order(rollout, "rollback")
    assert drive(rollout, *BACK).state == "rolled_back", why(rollout)
    assert data_of(floor, "made") == {"a": "1"}
    [container] = floor.space.get("deployments", "worker")["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "registry.test/worker:1"


def test_what_somebody_has_made_anew_since_it_was_recorded_is_not_pruned(floor: Floor, write: Write) -> None:
    write(settings=SETTINGS.format(level="info"), made=MADE)
    started(floor.release("2.0.0"), floor)
    [apply] = floor.plan.spec["waves"][0]["before"]
    held = {"kind": "watch", "service": "api", "seconds": 1}
    floor.plan.spec["waves"][0]["before"] = [held, {**apply, "prune": True}]
    floor.plan.save(update_fields=["spec"])
    write(settings=SETTINGS.format(level="info"))
    rollout = operations.start_rollout(floor.release("3.0.0").number, actor=floor.actor)
    while not rollout.steps.filter(kind="record_manifests", state="succeeded").exists():
        engine.advance(rollout.pk)
    floor.space.delete("configmaps", "made")
    floor.space.create(config_map("made", a="2"))
    drive(rollout, *ENDS)
    assert (rollout.state, data_of(floor, "made")) == ("succeeded", {"a": "2"}), why(rollout)


def test_to_prune_takes_the_rights_to_delete_and_to_make_anew(
    floor: Floor, write: Write, cluster: Cluster, tmp_path: Path
) -> None:
    write(settings=SETTINGS.format(level="info"), worker=WORKER.format(label="worker"))
    started(floor.release("2.0.0"), floor)
    write(settings=SETTINGS.format(level="info"))
    floor.environment.cluster.spec = {"kubeconfigRef": f"file:{cluster.limited_kubeconfig(tmp_path)}"}
    floor.environment.cluster.save(update_fields=["spec"])
    assert "deployments" not in lacking(floor, "3.0.0")
    floor.plan.spec["waves"][0]["before"][0]["prune"] = True
    floor.plan.save(update_fields=["spec"])
    assert "create deployments, delete deployments" in lacking(floor, "3.0.1")


def lacking(floor: Floor, version: str) -> str:
    """What the dry run says of the rights of the portal's account."""
    return next(
        each.error for each in plans.preview(floor.release(version)).errors if each.kind == "access_check"
    )
