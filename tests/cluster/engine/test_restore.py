"""A restore on a cluster: the named backup, its rows compared, and what nothing takes back."""

import json

import pytest

from portal import clock
from portal.integrations.kubernetes.client import connect
from portal.people.models import User
from releases import operations as release_operations
from releases.catalog import rights
from releases.rollouts import operations, overview
from releases.rollouts.findings.comparing import look
from releases.rollouts.models import Rollout
from releases.rollouts.rounds import read_view
from releases.schedules.models import Backup
from releases.schedules.recovery import recovery_of
from releases.schedules.restoring import request_restore
from tests.cluster.api import Json
from tests.cluster.engine.conftest import Lay
from tests.cluster.objects import cron_job
from tests.factories import approve_all
from tests.people import acting, person
from tests.portal.api import ApiClient
from tests.rollouts.floor import Floor, drive, pinned, why
from tests.soak import long

ENDS = ("failed", "succeeded", "paused")
RESTORE: Json = {"name": "restore", "cronJob": "api-restore", "purpose": "restore"}


def restored(lay_floor: Lay, *, said: object, rows: int | None = 120) -> tuple[Floor, Rollout]:
    """Let a restore be asked for, approved and carried out by a Job that says this of its work."""
    floor = lay_floor(objects=pinned())
    floor.space.create(cron_job("api-restore", pod_annotations={"practice/message": json.dumps(said)}))
    service, environment = floor.services["api"], floor.environment
    service.spec["jobs"] = [RESTORE]
    service.save(update_fields=["spec"])
    rights.grant()
    look(environment, read_view(connect(environment.cluster.spec), environment))
    Backup.objects.create(
        service=service, environment=environment, name="nightly", made_at=clock.now(), rows=rows
    )
    lead = acting(person("keeper", ("pl", "service:api")))
    asked = request_restore("api", environment.name, {"backup": "nightly", "confirm": "api"}, actor=lead)
    release = release_operations.submit_release(asked.number, actor=lead)
    approve_all(release)
    rollout = operations.start_rollout(release.number, actor=lead, confirmed="api")
    return floor, drive(rollout, *ENDS, seconds=60)


@long
def test_a_restore_with_the_rows_of_its_backup_succeeds_and_counts_as_a_recovery(lay_floor: Lay) -> None:
    floor, rollout = restored(lay_floor, said={"rows": 120, "rowsBefore": 7})
    assert rollout.state == "succeeded", why(rollout)
    step = rollout.steps.get(kind="restore_database")
    assert step.observed["args"] == {"name": "nightly", "rows": 120, "before": 7}
    [job] = floor.space.find("jobs")
    [container] = job["spec"]["template"]["spec"]["containers"]
    assert {"name": "PORTAL_BACKUP", "value": "nightly"} in container["env"]
    assert recovery_of(floor.services["api"], floor.environment).recoveries == 1
    assert overview.way_back(rollout) == []
    assert ["nightly" in each for each in overview.what_stays(rollout)] == [True]


@long
@pytest.mark.parametrize(
    ("said", "rows", "state", "code"),
    [
        ({"rows": 119}, 120, "failed", "rows_differ"),
        ({"done": True}, 120, "errored", "rows_unsaid"),
        ({"rows": 119}, None, "inconclusive", "rows_uncompared"),
    ],
)
def test_other_rows_fail_and_what_cannot_be_compared_asks_a_person(
    lay_floor: Lay, said: Json, rows: int | None, state: str, code: str
) -> None:
    _floor, rollout = restored(lay_floor, said=said, rows=rows)
    step = rollout.steps.get(kind="restore_database")
    assert (step.state, (step.failure or {})["code"]) == (state, code)
    assert rollout.state == ("failed" if state == "failed" else "paused")


@long
def test_what_is_left_to_a_person_is_restored_again_only_by_who_may_and_confirms(lay_floor: Lay) -> None:
    floor, rollout = restored(lay_floor, said={"rows": 119}, rows=None)
    step = rollout.steps.get(kind="restore_database")
    operator, lead = (ApiClient(User.objects.get(username=name)) for name in ("author", "keeper"))
    path = f"/rollouts/{rollout.pk}/steps/{step.pk}"
    assert operator.post(f"/rollouts/{rollout.pk}/resume").status_code == 409
    assert operator.post(f"{path}/retry", {"confirm": "api"}).status_code == 403
    assert lead.post(f"{path}/retry").status_code == 422
    drive(rollout, "paused")
    assert attempts(floor) == ["a1"]
    assert lead.post(f"{path}/retry", {"confirm": "api"}).status_code == 202
    drive(rollout, "paused", seconds=60)
    assert attempts(floor) == ["a1", "a2"]
    assert operator.post(f"{path}/skip", {"reason": "counted by hand"}).status_code == 202
    drive(rollout, "succeeded", seconds=60)
    assert attempts(floor) == ["a1", "a2"]


def attempts(floor: Floor) -> list[str]:
    """The ends of the names of the Jobs that there are, one per attempt."""
    return sorted(job["metadata"]["name"][-2:] for job in floor.space.find("jobs"))
