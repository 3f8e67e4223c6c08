"""Of two events for the same services the newer one counts, whichever comes first."""

import json
from typing import Any

import pytest
from django.utils import translation

from portal import clock
from releases.catalog.models import Service
from releases.models import Release
from releases.pipeline import jobs
from releases.pipeline import operations as pipeline
from releases.pipeline.models import Arrival
from tests.factories import FakeRegistry, Shop, approve_all, roll_out
from tests.releases.pipeline.shop import BUILD, arrival, pushed_to_gitlab, tagged, work
from tests.releases.pipeline.signing import github, send
from tests.soak import long

pytestmark = pytest.mark.django_db


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
    send("shop-gitlab", pushed_to_gitlab("de", before="c0"))
    work()
    send("shop-gitlab", pushed_to_gitlab("c0", before="ab"), delivery="d2")
    work()
    assert [each.state for each in Arrival.objects.order_by("pk")] == ["waiting", "replaced"]
    with translation.override("en"):
        assert "as it was pushed on top of this" in arrival().said


@long
def test_a_branch_that_was_set_back_is_newer_than_what_was_withdrawn(
    ci: Shop, registry: FakeRegistry
) -> None:
    registry.gone |= {("shopping-service", f"main-{commit * 4}") for commit in ("c0", "de")}
    send("shop-gitlab", pushed_to_gitlab("de", before="c0"))
    work()
    send("shop-gitlab", pushed_to_gitlab("c0", before="de"), delivery="d2")
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
