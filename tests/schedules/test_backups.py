"""Backups that rollouts have made: each is known once, and under one name the newest counts."""

from datetime import timedelta

import pytest
from django.utils import translation

from portal import clock
from portal.audit.models import AuditEntry
from releases.catalog.models import Environment
from releases.models import Release
from releases.rollouts.models import Rollout, Step
from releases.rollouts.steps.kind import Work
from releases.rollouts.steps.run_job import RunJob
from releases.schedules import jobs, operations
from releases.schedules.models import Backup, ScheduledRun
from releases.schedules.wording import outcome_text
from tests.factories import Shop, make_release
from tests.portal.api import ApiClient


@pytest.fixture
def rollout(shop: Shop) -> Rollout:
    """A rollout of the shopping service."""
    return make_release(shop, at="rolling_out").rollouts.get()


def backed_up(rollout: Rollout, shop: Shop, *, hours_ago: int, rows: int) -> Step:
    """A step whose Job has made the backup that it always calls the same."""
    started = clock.now() - timedelta(hours=hours_ago)
    return Step.objects.create(
        rollout=rollout,
        key=f"backup-{hours_ago}",
        kind="run_job",
        service=shop.shopping,
        state="succeeded",
        params={"job": {"name": "backup", "purpose": "backup"}},
        acted={"job": f"backup-{hours_ago}"},
        observed={"report": {"name": "latest", "rows": rows}},
        started_at=started,
        ended_at=started + timedelta(minutes=1),
    )


def backups_recorded() -> int:
    return AuditEntry.objects.filter(action="backup.made").count()


def test_of_two_under_one_name_the_newest_stays_however_often_it_is_looked(
    shop: Shop, rollout: Rollout
) -> None:
    newer = backed_up(rollout, shop, hours_ago=2, rows=200)
    backed_up(rollout, shop, hours_ago=5, rows=100)
    for _time in range(3):
        jobs.keep_backups()
        backup = Backup.objects.get()
        assert (backup.name, backup.rows, backup.made_at) == ("latest", 200, newer.started_at)
    assert backups_recorded() == 2


def test_one_of_a_release_does_not_replace_the_one_of_the_night_after(shop: Shop, rollout: Rollout) -> None:
    backed_up(rollout, shop, hours_ago=5, rows=100)
    place = {"service": shop.shopping, "environment": shop.environment}
    nightly = Backup.objects.create(**place, name="latest", made_at=clock.now(), rows=300)
    jobs.keep_backups()
    nightly.refresh_from_db()
    assert (nightly.rows, nightly.step) == (300, None)
    assert backups_recorded() == 0


def test_a_name_of_several_lines_is_none(shop: Shop, rollout: Rollout) -> None:
    step = backed_up(rollout, shop, hours_ago=2, rows=200)
    Step.objects.filter(pk=step.pk).update(observed={"report": {"name": "latest\nall-the-others"}})
    jobs.keep_backups()
    assert Backup.objects.get().name == "backup-2"


def test_of_what_a_job_says_nothing_is_kept_but_what_is_asked_for() -> None:
    told = {"name": "latest", "rows": 2, "sizeBytes": 3}
    work = Work(step=Step(), release=Release(), environment=Environment(), items=())
    ended = RunJob().succeeded(work, "backup-1", {**told, "connection": "db://u:Zq9hunter2@db/x"})
    assert ended.observed["report"] == told


def test_the_api_lists_the_newest_first_and_one_that_was_written_over_by_its_age_now(
    shop: Shop, rollout: Rollout
) -> None:
    place = {"service": shop.shopping, "environment": shop.environment}
    ages = {"latest": 60, "monday": 50, "tuesday": 40}
    for name, hours in ages.items():
        Backup.objects.create(**place, name=name, made_at=clock.now() - timedelta(hours=hours), rows=1)
    api, path = ApiClient(shop.cast.author), "/environments/shop-production/backups?limit=2"
    assert [each["name"] for each in api.get(path).json()["items"]] == ["tuesday", "monday"]
    backed_up(rollout, shop, hours_ago=2, rows=200)
    jobs.keep_backups()
    first = api.get(path).json()
    assert [(each["name"], each["rows"]) for each in first["items"]] == [("latest", 200), ("tuesday", 1)]
    rest = api.get(f"{path}&cursor={first['next']}").json()
    assert ([each["name"] for each in rest["items"]], rest["next"]) == (["monday"], None)


def test_none_is_made_by_the_clock_while_the_database_is_restored(shop: Shop, rollout: Rollout) -> None:
    step = Step.objects.create(rollout=rollout, key="r", kind="restore_database", service=shop.shopping)
    now = clock.now()
    run = ScheduledRun.objects.create(
        service=shop.shopping,
        environment=shop.environment,
        schedule="nightly",
        what="job",
        spec={"name": "nightly", "job": {"name": "backup", "cronJob": "backup", "purpose": "backup"}},
        due_at=now,
        wake_at=now,
    )

    assert not operations.begin(run, now)

    run.refresh_from_db()
    assert (run.started_at, run.outcome) == (None, "")
    with translation.override("en"):
        assert outcome_text(run) == f"It waits until rollout {step.rollout_id} has restored the database"
    assert run.wake_at is not None
    Rollout.objects.update(state="succeeded")
    assert operations.begin(run, run.wake_at)
