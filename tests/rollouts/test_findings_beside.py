"""While a rollout goes on or waits for people, what somebody else changes of its services is found."""

from typing import Any

import pytest

from portal import clock
from portal.errors import Conflict
from portal.live.models import Event
from releases.catalog.models import Running
from releases.rollouts import queries
from releases.rollouts.findings import operations
from releases.rollouts.findings.comparing import look
from releases.rollouts.models import Finding, Rollout, Step
from releases.rollouts.running import View, expect_recorded, expect_release
from tests.factories import Shop, digest_for, make_release, roll_out
from tests.pages.rollouts.conftest import browser
from tests.people import acting
from tests.rollouts.test_findings import CALM, CHANGED, NEW, OLD, codes, only, scaler, seen, view, workload

Json = dict[str, Any]
EVIL = digest_for("shopping-service", "evil")
FOREIGN = view(workload(digest=EVIL), digest=EVIL)
NOT_OVER = (
    *(
        "running",
        "verifying",
        "awaiting_signoff",
        "switching",
        "paused",
        "stopping",
        "rolling_back",
        "failed",
    ),
)

__all__ = ["seen"]


@pytest.fixture(params=NOT_OVER)
def rollout(request: pytest.FixtureRequest, seen: Shop) -> Rollout:
    """One that has set the image, and waits for people; what ran before was released as well."""
    row = Running.objects.get()
    row.expected.pop("looked")
    row.save(update_fields=["expected"])
    made = roll_out(make_release(seen, at="approved"), seen)
    recorded(made, seen, OLD)
    step(made, "set_image", service=seen.shopping)
    Rollout.objects.update(state=request.param)
    return made


def recorded(rollout: Rollout, shop: Shop, digest: str) -> None:
    """What ran when the rollout began."""
    own = {"service": shop.shopping, "before": {"digests": {"app": [digest]}}}
    Step.objects.create(rollout=rollout, key="record", kind="record_running", **own)


def step(rollout: Rollout, kind: str, **more: Any) -> None:
    """A step of the rollout that has begun."""
    Step.objects.create(rollout=rollout, key=kind, kind=kind, intent={}, acted={}, **more)


@pytest.mark.parametrize("known", [CALM, CHANGED, view(workload(digest=NEW), digest=OLD)])
def test_what_ran_before_and_what_it_brings_are_no_finding(seen: Shop, rollout: Rollout, known: View) -> None:
    look(seen.environment, known)
    assert not Finding.objects.exists()


@pytest.mark.parametrize(
    ("later", "code"),
    [
        (FOREIGN, "image"),
        (view(workload(digest=NEW), digest=EVIL), "content"),
        (view(workload(digest=NEW, replicas=5), digest=NEW), "replicas"),
        (view(workload(digest=NEW, uid="u2"), digest=NEW), "recreated"),
        (view(), "missing"),
        (view(workload(digest=NEW), digest=NEW, app="other"), "selector"),
        (view(workload(digest=NEW), digest=NEW, scalers=[scaler(2, 8)]), "bounds"),
    ],
)
def test_what_its_steps_do_not_change_is_found_and_told_and_is_over_when_it_is_put_back(
    seen: Shop, rollout: Rollout, later: View, code: str
) -> None:
    look(seen.environment, later)
    look(seen.environment, later)
    assert (only().state, codes(only())) == ("open", [code])
    cell = queries.cell_of(seen.shopping, seen.environment)
    assert (cell.rollout, cell.finding) == (rollout, only())
    assert cell.drift is not None
    address = f"/findings/{only().pk}/"
    assert address in browser(seen.cast.author).get(f"/rollouts/{rollout.pk}/").content.decode()
    look(seen.environment, CHANGED)
    assert only().state == "ended"
    told = Event.objects.filter(topic=rollout.topic, kind__startswith="rollout.finding").order_by("number")
    assert [each.kind for each in told] == ["rollout.finding_opened", "rollout.finding_ended"]
    assert address not in browser(seen.cast.author).get(f"/rollouts/{rollout.pk}/").content.decode()


@pytest.mark.parametrize(
    ("kind", "explained"),
    [
        ("scale", {"replicas", "bounds"}),
        ("switch_service", {"selector"}),
        ("restart", set()),
        ("helm_upgrade", {"replicas", "bounds", "selector", "recreated", "missing"}),
        ("a_kind_of_tomorrow", {"replicas", "bounds", "selector", "recreated", "missing"}),
    ],
)
def test_what_a_step_may_have_done_is_explained_by_it_and_no_image_is(
    seen: Shop, rollout: Rollout, kind: str, explained: set[str]
) -> None:
    # Such as the switch of several Services, it may belong to none of them.
    step(rollout, kind)
    looks = {
        "replicas": view(workload(replicas=5)),
        "bounds": view(workload(), scalers=[scaler(2, 8)]),
        "selector": view(workload(), app="other"),
        "recreated": view(workload(uid="u2")),
        "missing": view(),
        "image": FOREIGN,
    }
    for code, shown in looks.items():
        Finding.objects.all().delete()
        look(seen.environment, shown)
        assert Finding.objects.exists() is (code not in explained), code


def test_a_controller_that_leads_services_itself_explains_where_they_lead(
    seen: Shop, rollout: Rollout
) -> None:
    Step.objects.filter(kind="set_image").update(params={"workload": {"kind": "Rollout", "name": "x"}})
    look(seen.environment, view(workload(digest=NEW), digest=NEW, app="other"))
    assert not Finding.objects.exists()
    look(seen.environment, FOREIGN)
    assert Finding.objects.exists()


def test_a_tag_that_somebody_sets_is_found_beside_a_release_whose_digest_nobody_knows(
    seen: Shop, rollout: Rollout
) -> None:
    rollout.release.items.update(digest="")
    tagged = workload()
    tagged["spec"]["template"]["spec"]["containers"][0]["image"] = "registry.test/shopping:evil"
    look(seen.environment, view(tagged))
    assert codes(only()) == ["image"]


def test_a_step_is_no_surprise_to_who_looked_at_the_cluster_before_it_was_done(seen: Shop) -> None:
    rollout = roll_out(make_release(seen, at="approved"), seen)
    Rollout.objects.update(state="running")
    bigger = view(workload(replicas=5))
    step(rollout, "scale", service=seen.shopping)
    Step.objects.update(acted=None)
    look(seen.environment, bigger)
    assert not Finding.objects.exists()


def test_what_came_before_the_first_step_of_a_rollout_is_found_and_stays(seen: Shop) -> None:
    rollout = roll_out(make_release(seen, at="approved"), seen)
    Rollout.objects.update(state="running")
    look(seen.environment, FOREIGN)
    assert codes(only()) == ["image"]
    recorded(rollout, seen, EVIL)
    step(rollout, "set_image", service=seen.shopping)
    for shown in (FOREIGN, CHANGED):
        look(seen.environment, shown)
        assert only().state == "open", "a way back brings it back"


def test_what_was_found_before_it_stands_until_it_is_over_and_comes_back_with_it(seen: Shop) -> None:
    look(seen.environment, FOREIGN)
    before = only()
    rollout = roll_out(make_release(seen, at="approved"), seen)
    recorded(rollout, seen, EVIL)
    step(rollout, "set_image", service=seen.shopping)
    Rollout.objects.update(state="paused")
    look(seen.environment, CHANGED)
    assert (only().state, codes(only())) == ("open", codes(before)), "it may come back"
    step(rollout, "restore_image", service=seen.shopping, direction="back")
    expect_recorded(rollout)
    Rollout.objects.update(state="rolled_back", ended_at=clock.now())
    look(seen.environment, FOREIGN)
    assert Finding.objects.filter(state="open").count() == 1


def test_it_is_explained_meanwhile_and_neither_adopted_nor_put_back_by_a_release(
    seen: Shop, rollout: Rollout
) -> None:
    look(seen.environment, FOREIGN)
    lead = acting(seen.cast.team_lead)
    with pytest.raises(Conflict):
        operations.adopt(only().pk, actor=lead, reason="It is right", mark=only().mark)
    with pytest.raises(Conflict):
        operations.put_back(only().pk, actor=acting(seen.cast.author))
    page = browser(seen.cast.team_lead).get(f"/findings/{only().pk}/").content.decode()
    assert f"/rollouts/{rollout.pk}/" in page
    assert "adopt-link" not in page
    operations.explain(only().pk, actor=lead, reason="A hotfix on the phone", mark=only().mark)
    look(seen.environment, FOREIGN)
    assert only().state == "explained"


MOVED = view(workload(digest=NEW, replicas=5), digest=NEW, app="other")


@pytest.mark.parametrize(
    ("kinds", "left"),
    [
        (("set_image",), ["replicas", "selector"]),
        (("set_image", "scale"), ["selector"]),
        (("set_image", "switch_service"), ["replicas"]),
        (("helm_upgrade",), []),
    ],
)
@pytest.mark.parametrize("end", ["succeeded", "stopped"])
def test_a_release_approves_only_what_its_steps_may_have_changed(
    seen: Shop, kinds: tuple[str, ...], left: list[str], end: str
) -> None:
    look(seen.environment, view(workload(replicas=5), app="other"))
    assert codes(only()) == ["replicas", "selector"]
    rollout = roll_out(make_release(seen, at="approved"), seen)
    for kind in kinds:
        step(rollout, kind, service=seen.shopping)
    if end == "succeeded":
        expect_release(rollout)
    Rollout.objects.update(state=end)

    look(seen.environment, MOVED)
    look(seen.environment, MOVED)

    assert only().state == ("open" if left else "ended")
    assert (codes(only()) if left else []) == left
    look(seen.environment, CHANGED)
    again = [code for code in ("replicas", "selector") if code not in left]
    assert [codes(each) for each in Finding.objects.filter(state="open")] == ([again] if again else [])


def test_what_is_done_by_hand_where_a_step_was_skipped_was_approved(seen: Shop) -> None:
    rollout = roll_out(make_release(seen, at="approved"), seen)
    step(rollout, "set_image", service=seen.shopping)
    Step.objects.create(rollout=rollout, key="s", kind="scale", state="skipped", service=seen.shopping)
    expect_release(rollout)
    Rollout.objects.update(state="succeeded")
    look(seen.environment, view(workload(digest=NEW, replicas=5), digest=NEW))
    assert not Finding.objects.exists()
    look(seen.environment, view(workload(digest=NEW, replicas=6), digest=NEW))
    assert codes(only()) == ["replicas"]


def test_after_a_release_another_reference_is_found_before_its_pods_are_there(seen: Shop) -> None:
    rollout = roll_out(make_release(seen, at="approved"), seen)
    step(rollout, "set_image", service=seen.shopping)
    expect_release(rollout)
    Rollout.objects.update(state="succeeded")
    look(seen.environment, CHANGED)
    assert "images" in Running.objects.get().expected["workloads"]["Deployment/shopping-service"]
    look(seen.environment, view(workload(digest=EVIL), digest=NEW))
    assert codes(only()) == ["image"]


def test_where_no_digest_is_known_another_reference_is_found_and_what_ran_before_is_not(seen: Shop) -> None:
    row = Running.objects.get()
    for each in (row.expected, row.expected["workloads"]["Deployment/shopping-service"]):
        each["digests"] = []
    row.save(update_fields=["expected"])
    rollout = roll_out(make_release(seen, at="approved"), seen)
    step(rollout, "set_image", service=seen.shopping)
    ran = {"before": {"images": {"app": "registry.practice/shop/earlier:1"}}, "service": seen.shopping}
    Step.objects.create(rollout=rollout, key="record", kind="record_running", **ran)
    Rollout.objects.update(state="paused")
    earlier = workload()
    earlier["spec"]["template"]["spec"]["containers"][0]["image"] = "registry.practice/shop/earlier:1"
    for shown in (CHANGED, view(earlier), view(workload(), digest=EVIL)):
        look(seen.environment, shown)
        assert not Finding.objects.exists()
    look(seen.environment, FOREIGN)
    assert codes(only()) == ["image"]


def test_what_one_before_it_brought_is_no_finding_beside_a_newer_one(seen: Shop) -> None:
    first = roll_out(make_release(seen, at="approved"), seen)
    step(first, "set_image", service=seen.shopping)
    step(first, "scale", service=seen.shopping)
    Rollout.objects.update(state="failed")
    second = make_release(seen, items=[{"service": "shopping-service", "version": "2.9.0"}], at="approved")
    roll_out(second, seen)
    Rollout.objects.filter(release=second).update(state="paused")
    look(seen.environment, view(workload(digest=NEW, replicas=5), digest=NEW))
    assert not Finding.objects.exists()
    look(seen.environment, FOREIGN)
    assert codes(only()) == ["image"]


def test_a_release_that_follows_at_once_explains_what_nobody_took_account_of_yet(seen: Shop) -> None:
    first = roll_out(make_release(seen, at="approved"), seen)
    step(first, "scale", service=seen.shopping)
    Rollout.objects.update(state="stopped")
    second = roll_out(make_release(seen, at="approved"), seen)
    step(second, "set_image", service=seen.shopping)
    expect_release(second)
    Rollout.objects.filter(pk=second.pk).update(state="succeeded")
    look(seen.environment, view(workload(digest=NEW, replicas=5), digest=NEW))
    assert not Finding.objects.exists()


@pytest.mark.parametrize("explained", [True, False])
def test_what_it_has_covered_stands_beside_what_is_new_and_is_approved_by_no_way_back(
    seen: Shop, explained: bool
) -> None:
    look(seen.environment, FOREIGN)
    if explained:
        lead = acting(seen.cast.team_lead)
        operations.explain(only().pk, actor=lead, reason="A hotfix", mark=only().mark)
    rollout = roll_out(make_release(seen, at="approved"), seen)
    recorded(rollout, seen, EVIL)
    step(rollout, "set_image", service=seen.shopping)
    Rollout.objects.update(state="paused")
    look(seen.environment, view(workload(digest=NEW, replicas=5), digest=NEW))
    standing = Finding.objects.exclude(state="ended").get()
    assert (standing.state, codes(standing)) == ("open", ["image", "replicas"])
    look(seen.environment, CHANGED)
    assert codes(Finding.objects.exclude(state="ended").get()) == ["image"]
    step(rollout, "restore_image", service=seen.shopping, direction="back")
    expect_recorded(rollout)
    Rollout.objects.update(state="rolled_back", ended_at=clock.now())
    look(seen.environment, FOREIGN)
    assert Finding.objects.filter(state="open").count() == 1


def test_what_was_put_back_meanwhile_and_no_step_covers_is_over(seen: Shop) -> None:
    look(seen.environment, view(workload(replicas=5)))
    rollout = roll_out(make_release(seen, at="approved"), seen)
    step(rollout, "set_image", service=seen.shopping)
    Rollout.objects.update(state="paused")
    look(seen.environment, CHANGED)
    assert only().state == "ended"


def test_what_a_look_leaves_out_is_not_expected_from_then_on(seen: Shop) -> None:
    rollout = roll_out(make_release(seen, at="approved"), seen)
    step(rollout, "helm_upgrade", service=seen.shopping)
    expect_release(rollout)
    Rollout.objects.update(state="succeeded")
    watched = view(workload(digest=NEW), digest=NEW)
    look(seen.environment, View(watched.workloads, watched.pods, is_whole=False))
    look(seen.environment, view(workload(digest=NEW), digest=NEW, scalers=[scaler(2, 8)], app="other"))
    assert not Finding.objects.exists()
    look(seen.environment, view(workload(digest=NEW), digest=NEW, scalers=[scaler(2, 9)], app="other"))
    assert codes(only()) == ["bounds"]
