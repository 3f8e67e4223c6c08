"""Fields of a chart that somebody else has written: named or taken by Helm 4, taken by Helm 3 as ever."""

from django.utils import translation

from portal.integrations.helm.client import program_version
from releases.catalog.models import Service
from releases.rollouts import operations, plans, texts
from releases.rollouts.plans import Preview
from tests.cluster.helm.conftest import OLD, Plate, digests_of
from tests.rollouts.floor import drive, why

ENDS = ("succeeded", "failed", "paused")


def scaled_by_hand(plate: Plate) -> None:
    plate.space.patch("deployments", "plate-web", {"spec": {"replicas": 7}}, fieldManager="kubectl-scale")


def keep_to_own_fields(name: str = "plate-web") -> None:
    service = Service.objects.get(name=name)
    service.spec["helm"]["forceConflicts"] = False
    service.save(update_fields=["spec"])


def errors(preview: Preview) -> dict[str, str]:
    return {step.key: str(step.error) for step in preview.errors}


def test_a_foreign_field_is_named_before_the_start_and_stays_what_it_is(plate: Plate) -> None:
    scaled_by_hand(plate)
    keep_to_own_fields()
    release = plate.release()
    with translation.override("en"):
        found = errors(plans.preview(release))
    if program_version(plate.helm.binary) < (4,):
        assert found == {}
        return
    [key] = found
    assert key == "before.helm_check.plate-web"
    assert found[key].count("conflict with") == 1
    assert 'conflict with "kubectl-scale"' in found[key]
    assert "spec.replicas" in found[key]
    assert "`forceConflicts`" in found[key]
    rollout = operations.start_rollout(release.number, actor=plate.actor)
    assert drive(rollout, *ENDS, seconds=120).state == "failed", why(rollout)
    failure = rollout.steps.get(state="failed").failure
    assert failure is not None
    assert failure["code"] == "helm_conflict"
    assert str(texts.failure(failure))
    assert plate.space.get("deployments", "plate-web")["spec"]["replicas"] == 7
    assert plate.digests()["plate-cache"] == digests_of(OLD)["plate-cache"]


def test_where_the_catalog_allows_it_helm_takes_the_field_forward_and_back(plate: Plate) -> None:
    scaled_by_hand(plate)
    rollout = operations.start_rollout(plate.release().number, actor=plate.actor)
    assert drive(rollout, *ENDS, seconds=240).state == "succeeded", why(rollout)
    front = plate.space.get("deployments", "plate-web")
    assert front["spec"]["replicas"] != 7
    scaled_by_hand(plate)
    operations.give_order(rollout.pk, "rollback", actor=plate.actor)
    drive(rollout, "rolled_back", "rollback_failed", "paused", seconds=240)
    assert rollout.state == "rolled_back", why(rollout)
    assert plate.digests()["plate-web"] == digests_of(OLD)["plate-web"]
