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
from portal.people.operations import deactivate_person
from releases import operations
from releases.catalog import rights
from releases.catalog.models import Connection, Plan
from releases.models import Release
from releases.pipeline import jobs
from releases.pipeline import operations as pipeline
from releases.pipeline.models import Arrival, Delivery
from releases.pipeline.operations import give_up_broken
from releases.rollouts.jobs import begin_queued
from releases.rollouts.models import Pin, QueuePlace, Rollout
from tests.factories import ENGINE, FakeRegistry, Shop, approve_all, make_environment
from tests.people import BY_THE_PORTAL
from tests.portal.api import ApiClient
from tests.releases.pipeline.shop import BUILD, PUSH, arrival, tagged, work
from tests.releases.pipeline.signing import github, send
from tests.soak import long

pytestmark = pytest.mark.django_db


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
@pytest.mark.parametrize(
    ("ref", "follows"),
    [
        ("refs/heads/release/2.8", True),
        ("refs/heads/release/2.8/hotfix", True),
        ("refs/heads/release", False),
        ("refs/heads/pre-release/2.8", False),
        ("refs/tags/release/2.8", False),
    ],
)
def test_staging_follows_the_branches_of_releases(ci: Shop, ref: str, follows: bool) -> None:
    follows_releases = {"triggers": [{"event": "push", "pattern": "release/*"}]}
    staging = make_environment(ci, "shop-staging", stage="staging", protected=False, spec=follows_releases)
    Plan.objects.get(name="shop-dev").environments.add(staging)
    ci.shopping.environments.add(staging)
    rights.grant()
    answer = send("shop-ci", {**BUILD, "ref": ref})
    work()

    assert answer.json()["arrivals"] == int(follows)
    assert [each.environment for each in Release.objects.filter(state="rolling_out")] == [staging] * follows


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
