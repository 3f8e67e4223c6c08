"""plate under the real helm: forward in its order, failing and back, and what the chart must not do."""

from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from portal.integrations.helm.charts import read_chart
from releases.rollouts import operations, plans
from tests.cluster.helm.conftest import NEW, OLD, OVER, Plate, digests_of
from tests.rollouts.floor import drive, states, why

ENDS = ("succeeded", "failed", "paused")


def test_plate_goes_out_in_its_order_is_verified_and_says_how_it_is_reached(plate: Plate) -> None:
    release = plate.release()
    preview = plans.preview(release)
    assert [(step.key, step.error) for step in preview.errors] == []
    shown = {step.service: step.differing for step in preview.steps if step.kind == "helm_upgrade"}
    assert any(each["field"] == "spec.replicas" for each in shown["plate-api"])
    assert plate.digests() == digests_of(OLD)
    rollout = drive(operations.start_rollout(release.number, actor=plate.actor), *ENDS, seconds=240)
    assert rollout.state == "succeeded", why(rollout)
    assert plate.digests() == digests_of(NEW)
    assert rollout.verdict is not None
    assert rollout.verdict["exact"] is True
    begun = rollout.steps.filter(kind="helm_upgrade").order_by("started_at")
    order = [step.service.name for step in begun if step.service]
    assert (order[0], order[-1]) == ("plate-cache", "plate-web")
    said = rollout.steps.get(kind="helm_status", service__name="plate-web").observed["args"]
    assert "plate-web.plate-prod:8080" in said["addresses"]
    kept = rollout.steps.get(kind="helm_backup", service__name="plate-api").before
    assert kept is not None
    assert digests_of(OLD)["plate-api"] in kept["manifest"]
    assert [each.status for each in plate.helm.history("plate-api")][-2:] == ["superseded", "deployed"]


@pytest.fixture
def broken(tmp_path: Path, settings: Settings) -> Path:
    """The same charts in a folder of the test's own; the web front's pods cannot start."""
    for name in NEW:
        chart = read_chart(str(OVER), f"plate/charts/{name}")
        for path, content in chart.files.items():
            place = tmp_path / "plate" / "charts" / name / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
    template = tmp_path / "plate/charts/plate-web/templates/deployment.yaml"
    text = template.read_text()
    head, found, rest = text.partition("    metadata:\n      labels:")
    assert found
    template.write_text(
        f"{head}    metadata:\n      annotations: {{practice/fail: ErrImagePull}}\n      labels:{rest}"
    )
    settings.HELM_CHARTS = str(tmp_path)
    return tmp_path


def test_the_last_wave_fails_and_every_service_goes_back_to_its_revision(plate: Plate, broken: Path) -> None:
    release = plate.release()
    rollout = drive(operations.start_rollout(release.number, actor=plate.actor), *ENDS, seconds=240)
    assert rollout.state == "failed", why(rollout)
    failure = rollout.steps.get(kind="wait_rollout", service__name="plate-web").failure
    assert failure is not None
    assert failure["code"] == "ErrImagePull"
    operations.give_order(rollout.pk, "rollback", actor=plate.actor)
    drive(rollout, "rolled_back", "rollback_failed", seconds=240)
    assert rollout.state == "rolled_back", states(rollout)
    assert plate.digests() == digests_of(OLD)
    for name in NEW:
        newest = plate.helm.history(name)[-1]
        assert (newest.status, newest.description.startswith("Rollback to")) == ("deployed", True)
    again = plans.preview(plate.release())
    assert [(step.key, step.error) for step in again.errors] == []


RANDOM = """apiVersion: v1
kind: Secret
metadata: {name: plate-api-session}
stringData:
  password: {{ randAlphaNum 20 | quote }}
"""


def test_a_password_that_is_random_each_time_is_named_and_never_shown(plate: Plate, broken: Path) -> None:
    (broken / "plate/charts/plate-api/templates/secret.yaml").write_text(RANDOM)
    preview = plans.preview(plate.release())
    check = next(step for step in preview.steps if step.key == "before.helm_check.plate-api")
    assert "Secret/plate-api-session stringData.password" in check.error
    upgrade = next(
        step for step in preview.steps if step.kind == "helm_upgrade" and step.service == "plate-api"
    )
    assert any(each["object"] == "Secret/plate-api-session" for each in upgrade.changes)


def test_a_field_that_cannot_change_fails_in_the_clusters_own_words(plate: Plate, broken: Path) -> None:
    template = broken / "plate/charts/plate-cache/templates/statefulset.yaml"
    template.write_text(template.read_text().replace("serviceName: plate-cache", "serviceName: other"))
    rollout = operations.start_rollout(plate.release().number, actor=plate.actor)
    drive(rollout, *ENDS, seconds=240)
    assert rollout.state == "failed", why(rollout)
    failure = rollout.steps.get(kind="helm_upgrade", service__name="plate-cache").failure
    assert failure is not None
    assert failure["code"] == "helm_failed"
    assert "updates to statefulset spec" in failure["message"]
    operations.give_order(rollout.pk, "rollback", actor=plate.actor)
    drive(rollout, "rolled_back", "rollback_failed", seconds=240)
    assert rollout.state == "rolled_back", states(rollout)
    assert plate.helm.history("plate-cache")[-1].status == "deployed"


EXTRA = """apiVersion: v1
kind: ConfigMap
metadata: {name: plate-api-extra}
data: {level: info}
"""


def extra(plate: Plate) -> list[dict[str, str]]:
    """What the object holds that leaves the chart, once for each time that it is there."""
    found = plate.space.find("configmaps")
    return [each["data"] for each in found if each["metadata"]["name"] == "plate-api-extra"]


def test_what_leaves_the_chart_is_shown_before_goes_by_helm_and_comes_back(
    plate: Plate, broken: Path
) -> None:
    template = broken / "plate/charts/plate-web/templates/deployment.yaml"
    template.write_text(template.read_text().replace("practice/fail", "practice/none"))
    added = broken / "plate/charts/plate-api/templates/extra.yaml"
    added.write_text(EXTRA)
    rollout = operations.start_rollout(plate.release().number, actor=plate.actor)
    assert drive(rollout, *ENDS, seconds=240).state == "succeeded", why(rollout)
    assert extra(plate) == [{"level": "info"}]
    added.unlink()
    release = plate.release(OLD)
    preview = plans.preview(release)
    assert [(step.key, step.error) for step in preview.errors] == []
    [shown] = [
        each
        for step in preview.steps
        if (step.kind, step.service) == ("helm_upgrade", "plate-api")
        for each in step.differing
        if each["object"] == "ConfigMap/plate-api-extra"
    ]
    assert (shown["before"], shown["after"]) == ("ConfigMap/plate-api-extra", "")
    assert extra(plate) == [{"level": "info"}]
    rollout = drive(operations.start_rollout(release.number, actor=plate.actor), *ENDS, seconds=240)
    assert (rollout.state, extra(plate)) == ("succeeded", []), why(rollout)
    operations.give_order(rollout.pk, "rollback", actor=plate.actor)
    drive(rollout, "rolled_back", "rollback_failed", "paused", seconds=240)
    assert (rollout.state, extra(plate)) == ("rolled_back", [{"level": "info"}]), why(rollout)
