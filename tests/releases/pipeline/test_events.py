"""CI events start what is automatic, through the same operations and the same rules as people do."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import translation
from pytest_django.fixtures import Settings

from approvals.calendar import operations as calendar
from portal import clock
from portal.audit.models import AuditEntry
from portal.outbox.models import Message
from portal.people.operations import create_person, deactivate_person, grant_role
from releases import operations
from releases.catalog import rights
from releases.catalog.models import Connection, Environment, Plan, Service
from releases.models import Release
from releases.pipeline import jobs
from releases.pipeline import operations as pipeline
from releases.pipeline.models import Arrival, Delivery
from releases.pipeline.operations import give_up_broken
from releases.rollouts.jobs import begin_queued
from releases.rollouts.models import Pin, QueuePlace, Rollout
from tests.factories import ENGINE, FakeRegistry, Shop, approve_all, roll_out
from tests.people import BY_THE_PORTAL
from tests.portal.api import ApiClient
from tests.releases.pipeline.signing import SECRET, github, send
from tests.soak import long

pytestmark = pytest.mark.django_db
WAVES = {"waves": [{"title": "All", "services": ["shopping-service"]}]}
BUILD = {
    "repository": "shop/shop",
    "ref": "refs/heads/main",
    "commit": "c0ffee00c0ffee00",
    "by": "author",
    "builds": [{"service": "shopping-service", "version": "2.8.0"}],
}

PUSH = (
    b'{"ref": "refs/heads/main", "after": "c0ffee00c0ffee00", "repository": {"full_name": "shop/shop"}, '
    b'"head_commit": {"id": "c0ffee00c0ffee00"}}'
)


@pytest.fixture
def ci(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """The shop with a development environment that follows main, and a CI system that may start it."""
    monkeypatch.setenv("CI_SECRET", SECRET)
    development = Environment.objects.create(
        name="shop-dev",
        system="shop",
        stage="development",
        cluster=shop.environment.cluster,
        cluster_group="production",
        namespace="shop-dev",
        protected=False,
        spec={"triggers": [{"event": "push", "pattern": "main"}]},
    )
    Plan.objects.create(name="shop-dev", spec=WAVES).environments.add(development)
    shop.shopping.environments.add(development)
    shop.shopping.spec["source"] = {"repository": "shop/shop", "version": "main-{short}"}
    shop.shopping.save()
    production = shop.environment
    production.spec = {"triggers": [{"event": "tag", "pattern": "v*", "approval": True}]}
    production.save()
    for kind in ("ci", "gitlab", "github"):
        spec = {
            "kind": kind,
            "secretRef": "env:CI_SECRET",
            "account": "robot",
            "repositories": ["shop/shop", "shop/other"],
        }
        Connection.objects.create(name=f"shop-{kind}", kind=kind, spec=spec)
    create_person("robot", actor=BY_THE_PORTAL, name="Robot")
    grant_role("robot", role="release_manager", scope="team:commerce", actor=BY_THE_PORTAL)
    rights.grant()
    return shop


def work() -> None:
    """What the sweep and the workers do until nothing is due."""
    while due := list(Arrival.objects.filter(state="waiting", wake_at__lte=clock.now())):
        for arrival in due:
            with translation.override("en"):
                jobs.work(arrival.pk)


def arrival() -> Arrival:
    return Arrival.objects.select_related("release").latest("pk")


@long
def test_a_build_of_main_rolls_out_to_development_by_itself(ci: Shop) -> None:
    answer = send("shop-ci", BUILD)
    work()

    made = arrival()
    assert (answer.status_code, answer.json()["arrivals"]) == (202, 1)
    assert (made.state, made.environment.name) == ("started", "shop-dev")
    assert made.release is not None
    assert (made.release.state, made.release.author.username) == ("rolling_out", "robot")
    assert made.release.items.get().version == "2.8.0"
    assert made.release.items.get().built_by == "author"
    assert Rollout.objects.get().started_by == made.release.author
    started = AuditEntry.objects.get(action="release.rolling_out")
    assert (started.actor, json.loads(started.body)["actor"]["door"]) == ("robot", "hook")


@long
def test_a_delivery_that_comes_again_starts_nothing_more(ci: Shop) -> None:
    first, again = send("shop-ci", BUILD), send("shop-ci", BUILD)
    work()
    late = send("shop-ci", BUILD)

    assert [each.status_code for each in (first, again, late)] == [202, 200, 200]
    assert first.json() == late.json()
    assert (Delivery.objects.count(), Release.objects.count()) == (1, 1)


@long
def test_the_same_job_twice_makes_one_release(ci: Shop) -> None:
    send("shop-ci", BUILD)
    pk = arrival().pk
    for _time in range(6):
        Arrival.objects.filter(pk=pk, state="waiting").update(wake_at=clock.now())
        jobs.work(pk)
        jobs.work(pk)

    assert (Release.objects.count(), Rollout.objects.count()) == (1, 1)


@pytest.mark.parametrize("connection", ["shop-ci", "shop-github", "nowhere", "shop-cluster"])
def test_without_a_signature_nobody_learns_or_starts_anything(ci: Shop, connection: str) -> None:
    answer = send(connection, BUILD, {})

    assert (answer.status_code, answer.json()["code"]) == (401, "bad_signature")
    assert not Delivery.objects.exists()


def test_what_was_signed_for_another_body_is_refused(ci: Shop) -> None:
    other = send("shop-ci", BUILD, key=b"another key")
    old = send("shop-ci", BUILD, at=1_700_000_000)

    assert (other.status_code, old.status_code) == (401, 401)


def test_the_second_secret_counts_while_they_are_exchanged(ci: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI_NEW", "something new")
    connection = Connection.objects.get(name="shop-ci")
    connection.spec |= {"secretRef": "env:CI_NEW", "oldSecretRef": "env:CI_SECRET"}
    connection.save()

    assert send("shop-ci", BUILD).status_code == 202


@pytest.mark.parametrize(
    "change",
    [
        {"repository": "shop/theirs"},
        {"repository": "shop/other"},
        {"ref": "refs/heads/feature"},
        {"ref": "refs/tags/main"},
        {"builds": [{"service": "payment-service", "version": "1"}]},
    ],
)
def test_another_repository_branch_or_service_starts_nothing(ci: Shop, change: dict[str, Any]) -> None:
    answer = send("shop-ci", {**BUILD, **change})

    assert (answer.status_code, answer.json()["arrivals"]) == (202, 0)


@long
def test_a_tag_is_submitted_to_production_and_waits_for_its_approval(ci: Shop) -> None:
    send("shop-ci", {**BUILD, "ref": "refs/tags/v2.8.0"})
    work()

    made = arrival()
    assert (made.state, made.environment) == ("submitted", ci.environment)
    assert made.release is not None
    assert made.release.state == "in_review"
    assert not Rollout.objects.exists()


@long
def test_no_event_passes_a_protected_environment_by_whatever_its_trigger_says(ci: Shop) -> None:
    ci.environment.spec = {"triggers": [{"event": "push", "pattern": "*"}]}
    ci.environment.save()
    send("shop-ci", BUILD)
    work()

    release = Release.objects.get(environment=ci.environment)
    assert (release.state, Rollout.objects.filter(release=release).count()) == ("in_review", 0)


@long
def test_a_push_waits_for_its_image(ci: Shop, registry: FakeRegistry) -> None:
    registry.gone.add(("shopping-service", "main-c0ffee00"))
    body = {
        "object_kind": "push",
        "ref": "refs/heads/main",
        "checkout_sha": BUILD["commit"],
        "user_username": "nobody-here",
        "project": {"path_with_namespace": "shop/shop"},
    }
    send("shop-gitlab", body)
    work()
    waiting = arrival()
    registry.gone.clear()
    Arrival.objects.update(wake_at=clock.now())
    work()

    assert (waiting.state, "no image of c0ffee00" in waiting.reason) == ("waiting", True)
    assert arrival().state == "started"
    assert arrival().release.items.get().version == "main-c0ffee00"  # type: ignore[union-attr]


def test_an_image_that_never_comes_is_given_up_with_its_reason(ci: Shop, registry: FakeRegistry) -> None:
    registry.gone.add(("shopping-service", "2.8.0"))
    send("shop-ci", BUILD)
    Arrival.objects.update(give_up_at=clock.now())
    work()

    assert (arrival().state, "There is no image" in arrival().reason) == ("refused", True)


@long
def test_a_newer_event_replaces_one_that_waits(ci: Shop, registry: FakeRegistry) -> None:
    registry.gone.add(("shopping-service", "2.8.0"))
    send("shop-ci", BUILD)
    newer = {**BUILD, "builds": [{"service": "shopping-service", "version": "2.9.0"}]}
    send("shop-ci", newer, delivery="d2")
    work()

    assert [each.state for each in Arrival.objects.order_by("pk")] == ["replaced", "started"]


def lies_there_as_well(service: Service) -> None:
    """Let the sources of another service lie in the repository of the events."""
    service.spec["source"] = {"repository": "shop/shop", "version": "main-{short}"}
    service.save()


def tagged(version: str, **more: Any) -> dict[str, Any]:
    """The build of a tag."""
    builds = [{"service": "shopping-service", "version": version}]
    return {**BUILD, "ref": f"refs/tags/v{version}", "builds": builds, **more}


def test_a_lower_tag_that_comes_late_does_not_replace_the_higher_one_that_is_pending(ci: Shop) -> None:
    send("shop-ci", tagged("2.8.0"))
    work()
    first = arrival().release
    assert first is not None
    send("shop-ci", tagged("2.7.4"), delivery="d2")
    work()

    late = arrival()
    first.refresh_from_db()
    assert (first.state, late.state, late.release) == ("in_review", "replaced", None)
    with translation.override("en"):
        assert late.said == (
            "v2.7.4 (c0ffee00) came late: v2.8.0 (c0ffee00) waits here already and is newer, "
            "as its version is higher."
        )
    send("shop-ci", tagged("2.9.0"), delivery="d3")
    work()
    first.refresh_from_db()
    assert (first.state, arrival().state) == ("superseded", "submitted")


@long
def test_one_that_is_composed_and_not_submitted_yet_waits_and_has_not_begun(ci: Shop) -> None:
    send("shop-ci", tagged("2.8.0"))
    first = arrival()
    jobs.work(first.pk)
    first.refresh_from_db()
    assert first.release is not None
    assert (first.state, first.release.state) == ("waiting", "draft")
    send("shop-ci", tagged("2.7.4"), delivery="d2")
    with translation.override("en"):
        assert (arrival().state, "waits here already" in arrival().said) == ("replaced", True)


@long
def test_where_both_events_say_when_they_happened_that_counts(ci: Shop) -> None:
    send("shop-ci", tagged("2.8.0", at="2025-11-23T10:00:00+09:00"))
    work()
    first = arrival().release
    assert first is not None
    send("shop-ci", tagged("2.9.0", at="2025-11-23T00:59:59Z"), delivery="d2")
    work()
    with translation.override("en"):
        assert (arrival().state, "as it happened later" in arrival().said) == ("replaced", True)
    send("shop-ci", tagged("2.7.4", at="2025-11-23T10:00:01+09:00"), delivery="d3")
    work()
    first.refresh_from_db()
    assert (first.state, arrival().state) == ("superseded", "submitted")


@long
def test_a_tag_that_waits_for_its_image_is_not_replaced_by_a_lower_one(
    ci: Shop, registry: FakeRegistry
) -> None:
    registry.gone.add(("shopping-service", "2.8.0"))
    send("shop-ci", tagged("2.8.0"))
    work()
    send("shop-ci", tagged("2.7.4"), delivery="d2")
    work()
    assert [each.state for each in Arrival.objects.order_by("pk")] == ["waiting", "replaced"]


@long
@pytest.mark.parametrize("tag", ["web-2.7.4", "nightly"])
def test_what_is_no_version_of_the_same_thing_is_newer_by_coming_later(ci: Shop, tag: str) -> None:
    ci.environment.spec = {"triggers": [{"event": "tag", "pattern": "*", "approval": True}]}
    ci.environment.save()
    send("shop-ci", tagged("2.8.0"))
    work()
    send("shop-ci", tagged("2.7.4", ref=f"refs/tags/{tag}"), delivery="d2")
    work()
    assert arrival().state == "submitted"


@long
def test_a_push_that_comes_late_does_not_replace_what_was_pushed_on_top_of_it(
    ci: Shop, registry: FakeRegistry
) -> None:
    registry.gone |= {("shopping-service", f"main-{commit * 4}") for commit in ("c0", "de")}
    project = {"path_with_namespace": "shop/shop"}
    older = {"object_kind": "push", "ref": "refs/heads/main", "project": project}
    older |= {"checkout_sha": "c0" * 20, "before": "ab" * 20}
    send("shop-gitlab", {**older, "checkout_sha": "de" * 20, "before": "c0" * 20})
    work()
    send("shop-gitlab", older, delivery="d2")
    work()
    assert [each.state for each in Arrival.objects.order_by("pk")] == ["waiting", "replaced"]
    with translation.override("en"):
        assert "as it was pushed on top of this" in arrival().said


@long
def test_a_branch_that_was_set_back_is_newer_than_what_was_withdrawn(
    ci: Shop, registry: FakeRegistry
) -> None:
    registry.gone |= {("shopping-service", f"main-{commit * 4}") for commit in ("c0", "de")}
    pushed = {
        "object_kind": "push",
        "ref": "refs/heads/main",
        "project": {"path_with_namespace": "shop/shop"},
    }
    send("shop-gitlab", {**pushed, "checkout_sha": "de" * 20, "before": "c0" * 20})
    work()
    send("shop-gitlab", {**pushed, "checkout_sha": "c0" * 20, "before": "de" * 20}, delivery="d2")
    work()
    assert [each.state for each in Arrival.objects.order_by("pk")] == ["replaced", "waiting"]


@long
@pytest.mark.parametrize("later", ["2.8.0-hotfix.1", "2.8.0+build.2", "2.8"])
def test_what_follows_a_release_under_any_name_is_not_taken_for_lower(ci: Shop, later: str) -> None:
    send("shop-ci", tagged("2.8.0"))
    work()
    send("shop-ci", tagged("2.7.4", ref=f"refs/tags/v{later}"), delivery="d2")
    work()
    assert arrival().state == "submitted"


@long
def test_a_candidate_that_comes_late_does_not_replace_its_release(ci: Shop) -> None:
    send("shop-ci", tagged("2.8.0"))
    work()
    send("shop-ci", tagged("2.7.4", ref="refs/tags/v2.8.0-rc.1"), delivery="d2")
    work()
    assert arrival().state == "replaced"


@long
@pytest.mark.parametrize("newer", [["payment-service"], ["payment-service", "shopping-service"]])
def test_what_comes_late_keeps_the_services_for_which_nothing_newer_waits(
    ci: Shop, registry: FakeRegistry, newer: list[str]
) -> None:
    lies_there_as_well(ci.payment)
    registry.gone |= {(name, version) for name in newer for version in ("2.8.0", "2.9.0")}
    registry.gone.add(("shopping-service", "2.8.0"))
    built = [{"service": name, "version": "2.9.0"} for name in newer]
    send("shop-ci", tagged("2.9.0", builds=built))
    work()
    older = [{"service": name, "version": "2.8.0"} for name in ("payment-service", "shopping-service")]
    send("shop-ci", tagged("2.8.0", builds=older), delivery="d2")
    work()
    late = arrival()
    assert Arrival.objects.order_by("pk")[0].state == "waiting"
    if len(newer) == 1:
        assert (late.state, late.services) == ("waiting", ["shopping-service"])
    else:
        assert late.state == "replaced"


def both(version: str, **more: Any) -> dict[str, Any]:
    """A build of two services."""
    names = ("payment-service", "shopping-service")
    return tagged(version, builds=[{"service": name, "version": version} for name in names], **more)


@long
def test_what_waits_leaves_to_a_newer_event_the_services_that_it_has_as_well(
    ci: Shop, registry: FakeRegistry
) -> None:
    lies_there_as_well(ci.payment)
    registry.gone.add(("shopping-service", "2.8.0"))
    send("shop-ci", both("2.8.0"))
    work()
    one = [{"service": "payment-service", "version": "2.9.0"}]
    send("shop-ci", tagged("2.9.0", builds=one), delivery="d2")
    work()
    older, newer = Arrival.objects.order_by("pk")
    assert (older.state, older.services, newer.state) == ("waiting", ["shopping-service"], "submitted")
    registry.gone.clear()
    Arrival.objects.update(wake_at=clock.now())
    work()
    older.refresh_from_db()
    assert older.release is not None
    assert older.release.items.get().service == ci.shopping
    assert newer.release is not None
    newer.release.refresh_from_db()
    assert newer.release.state == "in_review", "nothing replaced it"


@long
def test_services_that_a_newer_event_takes_in_the_very_moment_are_left_to_it(
    ci: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    lies_there_as_well(ci.payment)
    send("shop-ci", both("2.8.0"))
    older, twin_of = arrival(), pipeline._twin
    one = [{"service": "payment-service", "version": "2.9.0"}]

    def meanwhile(*asked: Any) -> Release | None:
        monkeypatch.setattr(pipeline, "_twin", twin_of)
        send("shop-ci", tagged("2.9.0", builds=one), delivery="d2")
        return twin_of(*asked)

    monkeypatch.setattr(pipeline, "_twin", meanwhile)
    jobs.work(older.pk)
    work()
    older.refresh_from_db()
    assert older.release is not None
    assert [each.service for each in older.release.items.all()] == [ci.shopping]


@pytest.mark.parametrize("later", ["rolling_out", "closed", "rolled_back"])
def test_what_happened_earlier_does_not_follow_what_has_gone_out(ci: Shop, later: str) -> None:
    send("shop-ci", {**BUILD, "at": "2026-01-02T10:00:00Z"})
    work()
    Release.objects.update(state=later)
    send("shop-ci", {**BUILD, "commit": "0ld", "at": "2026-01-02T09:00:00Z"}, delivery="d2")
    work()
    assert (arrival().state, Release.objects.count()) == ("replaced", 1)
    with translation.override("en"):
        assert "has begun to go out here already and is newer, as it happened later" in arrival().said
    send("shop-ci", {**BUILD, "commit": "new", "at": "2026-01-02T11:00:00Z"}, delivery="d3")
    work()
    assert arrival().state != "replaced"


@long
def test_a_fix_of_an_older_line_follows_a_higher_version_that_has_gone_out(ci: Shop) -> None:
    send("shop-ci", tagged("2.8.0"))
    work()
    first = arrival().release
    assert first is not None
    approve_all(first)
    roll_out(first, ci)
    Release.objects.update(state="closed")
    send("shop-ci", tagged("2.7.4"), delivery="d2")
    work()
    assert arrival().state == "submitted"


@pytest.mark.parametrize(
    "at", ["0001-01-01T00:00:00+09:00", "9999-12-31T23:59:59-14:00", "2199-01-01T00:00:00Z"]
)
def test_a_time_that_can_tell_nothing_is_left_aside(ci: Shop, at: str) -> None:
    assert send("shop-ci", tagged("2.8.0", at=at)).status_code == 202
    assert arrival().delivery.happened_at is None


@long
def test_github_says_of_each_push_when_it_was(ci: Shop, registry: FakeRegistry) -> None:
    registry.gone |= {("shopping-service", "main-c0ffee00"), ("shopping-service", "main-decade00")}

    def push(commit: str, at: int) -> bytes:
        repository = {"full_name": "shop/shop", "pushed_at": at}
        return json.dumps(
            {"ref": "refs/heads/main", "repository": repository, "head_commit": {"id": commit}}
        ).encode()

    for body in (push("decade00", 1_700_000_000), push("c0ffee00", 1_699_999_990)):
        send("shop-github", body, github(body))
        work()
    assert [each.state for each in Arrival.objects.order_by("pk")] == ["waiting", "replaced"]


def test_a_time_without_its_zone_is_named(ci: Shop) -> None:
    for at in ("2026-11-23T10:00:00", True):
        answer = send("shop-ci", tagged("2.8.0", at=at))
        assert (answer.status_code, answer.json()["missing"][0]["field"]) == (422, "at")


@long
def test_github_starts_it_as_well_and_the_same_under_another_id_starts_nothing_more(ci: Shop) -> None:
    first, again = (send("shop-github", PUSH, github(PUSH, delivery=name)) for name in ("g1", "g2"))
    work()

    assert (first.status_code, again.status_code) == (202, 200)
    assert arrival().state == "started"
    assert Release.objects.count() == 1


def long_ago() -> None:
    """Let everything that came have come a hundred days ago."""
    Delivery.objects.update(received_at=clock.now() - timedelta(days=100))


@long
def test_what_came_long_ago_is_forgotten_stays_in_the_record_and_is_not_taken_again(ci: Shop) -> None:
    send("shop-ci", BUILD)
    work()
    send("shop-github", PUSH, github(PUSH))
    work()
    long_ago()
    send("shop-ci", BUILD, delivery="today")
    work()
    jobs.forget_old_events()
    jobs.forget_old_events()
    replayed = send("shop-github", PUSH, github(PUSH, delivery="g9"))

    assert replayed.status_code == 200
    assert [each.delivery.delivery_id for each in Arrival.objects.all()] == ["today"]
    assert [each.event for each in Delivery.objects.exclude(delivery_id="today")] == [{}]
    forgotten = AuditEntry.objects.get(action="delivery.forgotten")
    assert json.loads(forgotten.body)["after"]["deliveries"] == 2
    assert AuditEntry.objects.filter(action="delivery.received").count() == 3
    assert AuditEntry.objects.filter(action__startswith="arrival.").count() == 3


@long
@pytest.mark.parametrize("kept", ["waiting", "setting"])
def test_what_waits_still_and_what_is_to_be_kept_is_not_forgotten(
    ci: Shop, settings: Settings, kept: str
) -> None:
    send("shop-ci", BUILD)
    if kept == "setting":
        settings.CI_EVENTS_KEEP_DAYS = 0
        work()
    long_ago()
    jobs.forget_old_events()

    assert arrival().state == ("waiting" if kept == "waiting" else "started")


@long
def test_a_freeze_plans_it_into_the_next_opening(ci: Shop) -> None:
    now = clock.now()
    calendar.add_freeze(
        actor=BY_THE_PORTAL,
        name="Year end",
        reason="Books",
        starts=now,
        ends=now + timedelta(hours=1),
    )
    send("shop-ci", BUILD)
    work()

    made = arrival()
    assert (made.state, "Year end" in made.reason) == ("scheduled", True)
    assert made.release is not None
    assert made.release.scheduled_at == now + timedelta(hours=1)


@long
def test_a_pin_holds_it_until_somebody_lifts_it(ci: Shop) -> None:
    send("shop-ci", BUILD)
    work()
    rollout = Rollout.objects.get()
    operations.follow(rollout.release, "rolling_back", actor=ENGINE)
    Rollout.objects.update(state="rolled_back")
    Pin.objects.create(
        service=ci.shopping, environment=rollout.environment, rollout=rollout, set_at=clock.now()
    )
    send("shop-ci", BUILD, delivery="d2")
    work()

    assert (arrival().state, "shopping-service" in arrival().reason) == ("refused", True)
    assert Pin.objects.get().lifted_at is None


@long
def test_it_waits_for_its_turn_while_the_same_service_rolls_out(ci: Shop) -> None:
    send("shop-ci", BUILD)
    work()
    send("shop-ci", {**BUILD, "commit": "decade00"}, delivery="d2")
    work()

    assert [each.state for each in Arrival.objects.order_by("pk")] == ["started", "queued"]
    assert QueuePlace.objects.get().release == arrival().release


@long
def test_a_freeze_that_is_met_in_the_queue_plans_it_into_the_next_opening_too(ci: Shop) -> None:
    send("shop-ci", BUILD)
    work()
    send("shop-ci", {**BUILD, "commit": "decade00"}, delivery="d2")
    work()
    now = clock.now()
    calendar.add_freeze(
        actor=BY_THE_PORTAL, name="Year end", reason="Books", starts=now, ends=now + timedelta(hours=1)
    )
    Rollout.objects.update(state="succeeded")

    begin_queued()

    made = arrival().release
    assert made is not None
    assert (made.state, made.scheduled_at) == ("scheduled", now + timedelta(hours=1))
    assert QueuePlace.objects.get().state == "cancelled"


@long
def test_a_stopped_line_that_is_met_in_the_queue_gives_it_back(ci: Shop) -> None:
    send("shop-ci", BUILD)
    work()
    send("shop-ci", {**BUILD, "commit": "decade00"}, delivery="d2")
    work()
    calendar.stop_line(actor=BY_THE_PORTAL, reason="Payments are lost")
    Rollout.objects.update(state="succeeded")

    begin_queued()

    place = QueuePlace.objects.get()
    assert (place.state, "Payments are lost" in place.reason) == ("given_back", True)
    assert Release.objects.get(pk=place.release_id).state == "approved"


@long
def test_one_that_waits_for_its_turn_is_said_to_by_whoever_follows_a_worker_that_died(
    ci: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    send("shop-ci", BUILD)
    work()
    send("shop-ci", {**BUILD, "commit": "decade00"}, delivery="d2")
    settle, waiting = pipeline._settle, arrival().pk

    def die(arrival_id: int, *_args: Any, **_words: Any) -> None:
        raise SystemExit(arrival_id)

    monkeypatch.setattr(pipeline, "_settle", die)
    with pytest.raises(SystemExit):
        work()
    monkeypatch.setattr(pipeline, "_settle", settle)
    Arrival.objects.filter(pk=waiting).update(wake_at=clock.now())
    work()

    assert (arrival().state, QueuePlace.objects.get().state) == ("queued", "queued")


@long
def test_the_same_tag_once_more_voids_no_approval(ci: Shop, registry: FakeRegistry) -> None:
    tag = {**BUILD, "ref": "refs/tags/v2.8.0"}
    send("shop-ci", tag)
    work()
    first = arrival().release
    assert first is not None
    approve_all(first)

    send("shop-ci", tag, delivery="d2")
    work()

    first.refresh_from_db()
    assert (first.state, arrival().release, arrival().state) == ("approved", first, "submitted")
    registry.move("shopping-service", "2.8.0")
    send("shop-ci", tag, delivery="d3")
    work()
    first.refresh_from_db()
    assert (first.state, arrival().release == first) == ("superseded", False), (
        "another image is another release"
    )


@long
@pytest.mark.parametrize(
    ("by", "told"), [("author", {"robot", "author"}), ("nobody-here", {"robot", "author", "lead", "pl"})]
)
def test_of_what_an_event_started_people_hear_that_it_failed(ci: Shop, by: str, told: set[str]) -> None:
    send("shop-ci", {**BUILD, "by": by})
    work()
    release = arrival().release
    assert release is not None

    operations.follow(release, "failed", actor=ENGINE)

    found = Message.objects.filter(key__contains=".trouble.failed").values_list("person__username", flat=True)
    assert set(found) == told


def test_an_account_without_the_right_starts_nothing(ci: Shop) -> None:
    robot = {"account": "outsider"}
    connection = Connection.objects.get(name="shop-ci")
    connection.spec |= robot
    connection.save()
    send("shop-ci", BUILD)
    work()

    assert arrival().state == "refused"
    assert not Release.objects.exists()


def test_why_nothing_started_is_said_to_each_reader_whatever_the_worker_speaks(
    ci: Shop, client: Client
) -> None:
    deactivate_person("robot", actor=BY_THE_PORTAL)
    send("shop-ci", BUILD)
    with translation.override("ko"):
        work()
    why = "The account of this connection is missing or closed."
    [listed] = ApiClient(ci.cast.author).get("/arrivals", accept_language="en").json()["items"]
    assert (listed["state"], listed["reason"]) == ("refused", why)
    client.force_login(ci.cast.author)
    assert why in client.get("/pipeline/", headers={"accept-language": "en"}).content.decode()


def test_a_closed_account_starts_nothing(ci: Shop) -> None:
    deactivate_person("robot", actor=BY_THE_PORTAL)
    send("shop-ci", BUILD)
    work()

    assert (arrival().state, Release.objects.count()) == ("refused", 0)


def test_what_breaks_off_again_and_again_is_refused_with_its_number(ci: Shop) -> None:
    send("shop-ci", BUILD)
    Arrival.objects.update(tries=2)
    give_up_broken(arrival().pk, "Quote 7.", actor=BY_THE_PORTAL)
    early = arrival().state
    Arrival.objects.update(tries=3)
    give_up_broken(arrival().pk, "Quote 7.", actor=BY_THE_PORTAL)

    assert (early, arrival().state, arrival().reason) == ("waiting", "refused", "Quote 7.")


@pytest.mark.parametrize("body", [b"no json", b"[]", b'{"a": 1}', b"[" * 50_000])
def test_what_is_no_event_is_named_and_not_kept(ci: Shop, body: bytes) -> None:
    answer = send("shop-ci", body)

    assert (answer.status_code, Delivery.objects.count()) == (422, 0)


def test_a_large_body_is_refused_before_it_is_looked_at(ci: Shop) -> None:
    assert send("shop-ci", b"x" * 1_000_001).status_code == 413


def test_too_many_from_one_address_are_asked_to_wait(ci: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("releases.pipeline.api.MOST_A_MINUTE", 2)

    assert [send("shop-ci", BUILD, {}).status_code for _time in range(4)] == [401, 401, 429, 429]


@long
def test_page_and_api_show_what_came_of_it_to_who_may_see_the_environment(ci: Shop, client: Client) -> None:
    send("shop-ci", BUILD)
    work()
    client.force_login(ci.cast.author)

    page = client.get("/pipeline/").content.decode()
    listed = ApiClient(ci.cast.author).get("/arrivals").json()["items"]

    assert f"/releases/{arrival().release_id}/" in page
    assert [(each["ref"], each["state"], each["release"]) for each in listed] == [
        ("main", "started", arrival().release_id)
    ]
