"""What is due begins once, late runs within their deadline, and misses are named."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from portal import clock
from portal.audit.models import AuditEntry
from portal.errors import TemporaryError
from portal.outbox.models import Message
from portal.people.models import RoleAssignment, User
from releases.catalog import rights
from releases.catalog.models import Environment, Service
from releases.rollouts.steps.kind import Outcome, StepKind, Work, done, wait
from releases.rollouts.steps.kinds import KINDS
from releases.schedules import jobs, work
from releases.schedules.due import judge
from releases.schedules.models import Schedule, ScheduledRun
from releases.schedules.wording import outcome_text
from tests.factories import Shop
from tests.people import person
from tests.portal.api import ApiClient
from tests.soak import long

Json = dict[str, Any]
HEALTH = {"name": "health", "cron": "*/5 * * * *", "what": "health", "deadlineSeconds": 240}


class Asked(StepKind):
    """The kind `health`, which answers what the test wants, by service."""

    name = "health"
    measures = True

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        self.asked: list[str] = []
        self.takes: Callable[[], None] = lambda: None

    def observe(self, work: Work) -> Outcome:
        assert work.step.service is not None
        self.asked.append(work.step.service.name)
        self.takes()
        answer = self.answers.get(work.step.service.name, done("healthy", args={"status": "UP"}))
        if isinstance(answer, BaseException):
            raise answer
        assert isinstance(answer, Outcome)
        return answer


@pytest.fixture
def health(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """What services say of themselves."""
    kind = Asked()
    monkeypatch.setitem(KINDS, "health", kind)
    return kind


@pytest.fixture
def scheduled(shop: Shop, health: Asked) -> Environment:
    """An environment whose health is asked every five minutes."""
    for service in (shop.shopping, shop.payment):
        service.spec["health"] = {"kind": "http", "service": service.name, "port": 80}
        service.save(update_fields=["spec"])
    shop.environment.spec["schedules"] = [HEALTH]
    shop.environment.save(update_fields=["spec"])
    jobs.start_what_is_due()
    return shop.environment


def sweep() -> None:
    """What the sweeper and a worker do."""
    jobs.start_what_is_due()
    ScheduledRun.objects.filter(outcome="").update(wake_at=clock.now())
    for pk in ScheduledRun.objects.filter(outcome="").values_list("pk", flat=True):
        work.carry_on(pk)


class Clock:
    """The database's clock, which stands at a minute of an hour that five minutes divide."""

    def __init__(self) -> None:
        self.present = datetime(2026, 12, 1, 0, 2, tzinfo=UTC)
        Schedule.objects.update(next_at=self.present.replace(minute=5))

    def go(self, minute: int, second: int = 0) -> None:
        """Let it be so many minutes past, and all be done that is due then."""
        self.present = self.present.replace(minute=minute, second=second)
        sweep()


@pytest.fixture
def time(scheduled: Environment, monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Two minutes past midnight, before anything is due."""
    found = Clock()
    monkeypatch.setattr(clock, "now", lambda: found.present)
    return found


def test_a_new_schedule_is_due_from_now_on_and_one_that_is_gone_no_more(scheduled: Environment) -> None:
    [row] = Schedule.objects.all()
    assert clock.now() < row.next_at <= clock.now() + timedelta(minutes=5)
    assert not ScheduledRun.objects.exists()
    scheduled.spec["schedules"] = []
    scheduled.save(update_fields=["spec"])
    jobs.start_what_is_due()
    assert not Schedule.objects.exists()


@pytest.mark.parametrize(
    ("change", "outcome", "why"),
    [({"title": "Health"}, "succeeded", ""), ({"cron": "30 * * * *"}, "missed", "changed")],
)
def test_what_was_due_is_not_lost_when_the_catalog_is_loaded(
    time: Clock, scheduled: Environment, change: Json, outcome: str, why: str
) -> None:
    scheduled.spec["schedules"] = [{**HEALTH, **change}]
    scheduled.save(update_fields=["spec"])

    time.go(6)

    [run] = ScheduledRun.objects.all()
    assert (run.due_at.minute, run.outcome) == (5, outcome)
    assert why in {"", run.observed.get("code")}
    assert Schedule.objects.get().spec == {**HEALTH, **change}


def test_a_due_time_is_one_run_however_often_it_is_swept(time: Clock, health: Asked) -> None:
    time.go(6)
    sweep()
    [run] = ScheduledRun.objects.all()
    assert (run.due_at.minute, run.outcome) == (5, "succeeded")
    assert health.asked == ["payment-service", "shopping-service"]
    assert Schedule.objects.get().next_at.minute == 10


def test_a_time_that_the_clock_tells_twice_is_one_run_and_holds_up_no_other(
    time: Clock, scheduled: Environment
) -> None:
    time.go(minute=6)
    time.present = time.present.replace(minute=2)
    # What the file says anew is due by the clock as it stands.
    scheduled.spec["schedules"] = [{**HEALTH, "deadlineSeconds": 120}, {**HEALTH, "name": "later"}]
    scheduled.save(update_fields=["spec"])
    sweep()
    time.go(minute=6)
    assert sorted(ScheduledRun.objects.values_list("schedule", flat=True)) == ["health", "later"]
    time.go(minute=11)
    assert ScheduledRun.objects.filter(schedule="health").count() == 2


def test_what_the_portal_slept_through_is_named_and_told_once(time: Clock) -> None:
    time.go(24, 30)
    runs = {run.due_at.minute: run.outcome for run in ScheduledRun.objects.all()}
    assert runs == {5: "missed", 10: "missed", 15: "missed", 20: "missed"}
    entry = AuditEntry.objects.get(action="schedule.missed")
    assert (entry.subject, json.loads(entry.body)["after"]["count"]) == ("shop-production/health", 4)
    told = {message.key.rpartition(":")[2] for message in Message.objects.filter(key__startswith="schedule.")}
    assert "pl" in told
    assert "outsider" not in told


times = st.lists(st.integers(0, 10_000), min_size=1, max_size=20, unique=True).map(sorted)


@long
@given(times, st.integers(0, 2_000), st.integers(1, 3_000), st.booleans())
def test_at_most_the_newest_time_begins_and_none_is_lost(
    minutes: list[int], passed: int, late: int, still_runs: bool
) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    due = [start + timedelta(minutes=each) for each in minutes]
    now = due[-1] + timedelta(seconds=passed)
    found = judge(due, now=now, late=timedelta(seconds=late), still_runs=still_runs)
    assert [each.at for each in found] == due
    assert all(each.outcome == "missed" for each in found[:-1])
    begins = passed <= late
    assert found[-1].outcome == ("" if begins and not still_runs else "skipped" if begins else "missed")


def test_none_begins_beside_one_that_still_runs(time: Clock, scheduled: Environment) -> None:
    jobs.start_what_is_due()
    time.present = time.present.replace(minute=5)
    jobs.start_what_is_due()
    time.present = time.present.replace(minute=10)
    jobs.start_what_is_due()
    runs = {run.due_at.minute: run.outcome for run in ScheduledRun.objects.all()}
    assert runs == {5: "", 10: "skipped"}
    assert AuditEntry.objects.filter(action="schedule.skipped").count() == 1


def test_a_service_that_turns_bad_is_told_once_and_again_when_it_is_well(time: Clock, health: Asked) -> None:
    bad = {"payment-service": wait("unhealthy", args={"status": "HTTP 503"})}
    for minute, answers in ((5, {}), (10, bad), (15, bad), (20, {})):
        health.answers = answers
        time.go(minute)
    outcomes = ScheduledRun.objects.order_by("due_at").values_list("outcome", flat=True)
    assert list(outcomes) == ["succeeded", "failed", "failed", "succeeded"]
    entries = AuditEntry.objects.filter(action__startswith="schedule.").order_by("number")
    assert list(entries.values_list("action", flat=True)) == ["schedule.failed", "schedule.succeeded"]
    assert Message.objects.filter(key__startswith="schedule.", key__endswith=":pl").count() == 2


def test_another_service_that_turns_bad_or_well_meanwhile_is_told_by_name(time: Clock, health: Asked) -> None:
    User.objects.filter(username="pl").update(language="en")
    bad = wait("unhealthy", args={"status": "HTTP 503"})
    silent = TemporaryError("The cluster is away.")
    payment, shopping = "payment-service", "shopping-service"
    for minute, answers in (
        (5, {payment: bad}),
        (10, {payment: bad, shopping: bad}),
        (15, {payment: bad, shopping: bad}),
        (20, {payment: silent, shopping: bad}),
        (25, {payment: silent}),
    ):
        health.answers = answers
        time.go(minute)
    told = Message.objects.filter(key__startswith="schedule.", key__endswith=":pl").order_by("id")
    assert [message.body for message in told] == [
        f"Not healthy: {payment}",
        f"Not healthy: {payment}, {shopping}. New: {shopping}",
        f"Not healthy: {shopping}. No answer: {payment}. New: {payment}",
        f"No answer: {payment}. Well again: {shopping}",
    ]
    entries = AuditEntry.objects.filter(action__startswith="schedule.").order_by("number")
    changes = [json.loads(entry.body)["after"] for entry in entries]
    assert [(each.get("new"), each.get("well")) for each in changes] == [
        (None, None),
        ([shopping], []),
        ([payment], []),
        ([], [shopping]),
    ]


def test_a_service_that_does_not_answer_is_not_measured_bad(time: Clock, health: Asked) -> None:
    health.answers = {
        "payment-service": TemporaryError("The cluster is away."),
        "shopping-service": wait("no_answer", args={"message": "refused"}, unmeasured=True),
    }
    time.go(5)
    run = ScheduledRun.objects.get()
    assert run.outcome == "errored"
    assert (run.failure or {})["code"] == "services_unmeasured"


def told() -> set[str]:
    """Who was sent something of a schedule."""
    return {each.key.rpartition(":")[2] for each in Message.objects.filter(key__startswith="schedule.")}


def test_who_brings_out_there_by_whatever_scope_is_told_of_trouble(time: Clock, health: Asked) -> None:
    person("by-place", ("release_manager", "environment:shop-production"))
    person("by-group", ("release_manager", "cluster_group:production"))
    person("everywhere", ("release_manager", "*"))
    person("elsewhere", ("release_manager", "environment:shop-staging"))
    health.answers = {"payment-service": wait("unhealthy", args={"status": "HTTP 503"})}
    time.go(5)
    assert {"by-place", "by-group", "everywhere", "pl"} <= told()
    assert not {"elsewhere", "director", "administrator"} & told()


def test_where_nobody_is_in_charge_the_administrators_are_told(
    time: Clock, shop: Shop, health: Asked
) -> None:
    RoleAssignment.objects.exclude(user=shop.cast.administrator).update(revoked_at=clock.now())
    health.answers = {"payment-service": wait("unhealthy", args={"status": "HTTP 503"})}
    time.go(5)
    assert told() == {"administrator"}


def test_of_a_private_environment_only_who_sees_it_is_told(
    time: Clock, scheduled: Environment, health: Asked
) -> None:
    person("everywhere", ("release_manager", "*"))
    scheduled.spec["visibility"] = "private"
    scheduled.save(update_fields=["spec"])
    health.answers = {"payment-service": wait("unhealthy", args={"status": "HTTP 503"})}
    time.go(5)
    assert "pl" in told()
    assert "everywhere" not in told()


SILENT = [f"silent-{number}" for number in range(6)]


@pytest.fixture
def silent(time: Clock, shop: Shop, health: Asked) -> Asked:
    """Six more services, none of which answers; each question takes five seconds."""
    for name in SILENT:
        spec = {"health": {"kind": "http", "service": name, "port": 80}}
        made = Service.objects.create(name=name, team=shop.shopping.team, spec=spec)
        shop.environment.services.add(made)
        health.answers[name] = wait("no_answer", args={"message": "timed out"}, unmeasured=True)

    def five_seconds() -> None:
        time.present += timedelta(seconds=5)

    health.takes = five_seconds
    return health


def to_the_end() -> None:
    """Look again and again, until nothing is left to do."""
    while ScheduledRun.objects.filter(outcome="").exists():
        sweep()


def test_many_that_do_not_answer_are_asked_once_each_a_few_at_a_look(time: Clock, silent: Asked) -> None:
    time.go(5)
    looks = [len(silent.asked)]
    while not ScheduledRun.objects.get().outcome:
        sweep()
        looks.append(len(silent.asked) - sum(looks))
    assert max(looks) <= 3, "a worker has other things to do"
    assert sorted(silent.asked) == sorted(["payment-service", "shopping-service", *SILENT])
    run = ScheduledRun.objects.get()
    assert run.outcome == "errored"
    assert outcome_text(run).endswith(": " + ", ".join(SILENT))


def test_a_look_that_died_loses_nothing_of_those_before(time: Clock, silent: Asked) -> None:
    time.go(5)
    heard = list(silent.asked)
    silent.answers[SILENT[-1]] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        to_the_end()
    silent.answers[SILENT[-1]] = done("healthy", args={"status": "UP"})
    to_the_end()
    assert all(silent.asked.count(name) == 1 for name in heard)
    assert ScheduledRun.objects.get().troubled.keys() == set(SILENT[:-1])


def test_who_was_not_asked_before_the_time_was_over_is_named(
    time: Clock, scheduled: Environment, shop: Shop, silent: Asked
) -> None:
    [row] = Schedule.objects.all()
    row.spec = scheduled.spec["schedules"][0] = {**HEALTH, "timeoutSeconds": 10}
    row.save(update_fields=["spec"])
    scheduled.save(update_fields=["spec"])
    time.go(5)
    to_the_end()
    run = ScheduledRun.objects.get()
    assert len(silent.asked) < len(SILENT)
    assert run.troubled.keys() == set(SILENT)
    client = Client()
    client.force_login(shop.cast.outsider)
    page = client.get("/environments/shop-production/schedules/", headers={"accept-language": "en"})
    assert f"{SILENT[-1]}: Not asked" in page.content.decode()


@long
def test_the_page_and_the_api_show_what_is_due_and_what_came_of_it(
    time: Clock, shop: Shop, health: Asked
) -> None:
    health.answers = {"payment-service": wait("unhealthy", args={"status": "HTTP 503"})}
    time.go(5)
    client = Client()
    client.force_login(shop.cast.outsider)
    page = client.get("/environments/shop-production/schedules/").content.decode()
    assert "*/5 * * * *" in page
    assert "HTTP 503" in page
    api = ApiClient(shop.cast.outsider)
    [schedule] = api.get("/environments/shop-production/schedules").json()["items"]
    assert (schedule["name"], schedule["last"]["outcome"]) == ("health", "failed")
    [run] = api.get("/environments/shop-production/scheduled-runs").json()["items"]
    assert "payment-service" in run["text"]


def test_who_may_not_see_the_environment_sees_no_schedules(scheduled: Environment, shop: Shop) -> None:
    scheduled.spec["visibility"] = "private"
    scheduled.save(update_fields=["spec"])
    rights.grant()
    api = ApiClient(shop.cast.outsider)
    for part in ("schedules", "scheduled-runs", "backups", "recovery"):
        assert api.get(f"/environments/shop-production/{part}").status_code == 404
