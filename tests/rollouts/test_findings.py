"""Unapproved changes: found once, followed while they last, settled by whoever answers for the service."""

from collections.abc import Mapping
from typing import Any

import pytest
from pytest_django import DjangoAssertNumQueries

from portal import clock
from portal.audit.models import AuditEntry
from portal.errors import Conflict, Invalid, NotAllowed, NotFound
from portal.integrations.registry.client import Resolved
from portal.outbox.models import Message
from portal.people.models import User
from releases import operations as release_operations
from releases.catalog import versions
from releases.catalog.models import Running, Service
from releases.models import Item, Release
from releases.rollouts import queries
from releases.rollouts.findings import operations
from releases.rollouts.findings.comparing import look
from releases.rollouts.findings.people import waiting_for
from releases.rollouts.kept import kept_in
from releases.rollouts.models import Finding, Rollout, Step
from releases.rollouts.running import View, expect_recorded, expect_release, write_running
from tests.factories import Shop, approve_all, digest_for, make_release, roll_out
from tests.pages.rollouts.conftest import browser
from tests.people import acting, person
from tests.soak import long

Json = dict[str, Any]
OLD, NEW = digest_for("shopping-service", "2.7.4"), digest_for("shopping-service", "2.8.0")
IMAGE = "registry.practice/shop/shopping-service"


def workload(
    name: str = "shopping-service", *, digest: str = OLD, replicas: int = 2, uid: str = "u1"
) -> Json:
    """A Deployment that has come to rest; `kubectl-set` wrote its image."""
    labels = {"app": name}
    wrote: Json = {"f:spec": {"f:replicas": {}, "f:template": {"f:spec": {"f:containers": {}}}}}
    managed = {"manager": "kubectl-set", "time": "2026-11-21T05:00:00Z", "fieldsV1": wrote}
    counts = {"replicas": replicas, "readyReplicas": replicas, "updatedReplicas": replicas}
    return {
        "kind": "Deployment",
        "metadata": {
            "name": name,
            "namespace": "shop",
            "uid": uid,
            "generation": 1,
            "creationTimestamp": "2026-11-21T04:00:00Z",
            "managedFields": [managed],
        },
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "app", "image": f"{IMAGE}@{digest}"}]},
            },
        },
        "status": {**counts, "availableReplicas": replicas, "observedGeneration": 1},
    }


def pod(digest: str, name: str = "shopping-service") -> Json:
    """A pod whose node reports this digest."""
    status = {"name": "app", "imageID": f"{IMAGE}@{digest}"}
    return {
        "metadata": {"labels": {"app": name}},
        "spec": {"containers": [{"name": "app"}]},
        "status": {"containerStatuses": [status]},
    }


def service(labels: Mapping[str, str]) -> Json:
    """The Service in front of the shopping service."""
    return {"metadata": {"name": "shopping"}, "spec": {"selector": dict(labels)}}


def scaler(low: int, high: int) -> Json:
    """An autoscaler of the shopping service."""
    target = {"kind": "Deployment", "name": "shopping-service"}
    spec = {"scaleTargetRef": target, "minReplicas": low, "maxReplicas": high}
    return {"metadata": {"name": "shopping"}, "spec": spec}


def view(*bodies: Json, digest: str = OLD, scalers: list[Json] | None = None, **labels: str) -> View:
    """The namespace with these workloads, each with one pod of the digest."""
    return View(
        {(each["kind"], each["metadata"]["name"]): each for each in bodies},
        [pod(digest)],
        autoscalers=scalers or [],
        services=[service(labels or {"app": "shopping-service"})],
    )


CALM = view(workload())
CHANGED = view(workload(digest=NEW), digest=NEW)


@pytest.fixture
def seen(shop: Shop) -> Shop:
    """The shop, of whose services only one runs, and was seen."""
    shop.payment.environments.clear()
    shop.auth.environments.clear()
    look(shop.environment, CALM)
    return shop


def only() -> Finding:
    """The one finding there is."""
    return Finding.objects.select_related("service", "environment").get()


def codes(finding: Finding) -> list[str]:
    """What differs."""
    return [each["code"] for each in finding.differences]


def cell(shop: Shop) -> queries.BoardCell:
    """What the board says."""
    return queries.cell_of(shop.shopping, shop.environment)


def test_the_first_sight_is_no_finding_and_neither_is_the_same_again(seen: Shop) -> None:
    look(seen.environment, CALM)
    assert not Finding.objects.exists()
    assert cell(seen).drift is None


def test_a_look_asks_once_and_writes_only_what_differs(
    seen: Shop, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    make_release(seen, items=[{"service": "shopping-service", "version": "2.7.4"}])
    look(seen.environment, CALM)
    rested = Running.objects.get().seen_at
    with django_assert_num_queries(1):
        look(seen.environment, CALM)
    assert Running.objects.get().seen_at == rested
    ends = workload()
    ends["status"]["readyReplicas"] = 1
    roll_out(make_release(seen, at="approved"), seen)
    with django_assert_num_queries(2):  # what it touches comes with the end of this test's transaction
        look(seen.environment, view(ends))
    row = Running.objects.get()
    assert (row.seen["ready"], row.seen["health"]) == (1, "degraded")
    assert row.seen_at != rested


def test_the_same_image_under_a_new_name_is_called_by_it_once_it_was_rolled_out(seen: Shop) -> None:
    make_release(seen, items=[{"service": "shopping-service", "version": "2.7.4"}])
    later = workload()
    later["metadata"]["generation"] = 2
    look(seen.environment, view(later))
    assert Running.objects.get().seen["version"] == "2.7.4"
    Item.objects.update(version="2.7.4-final")
    look(seen.environment, view(later))
    assert Running.objects.get().seen["version"] == "2.7.4"
    later["metadata"]["generation"] = 3
    look(seen.environment, view(later))
    assert Running.objects.get().seen["version"] == "2.7.4-final"


@pytest.mark.parametrize(
    ("later", "code", "manager"),
    [
        (CHANGED, "image", "kubectl-set"),
        (view(workload(), digest=NEW, app="shopping-service"), None, ""),
        (view(workload(replicas=5)), "replicas", "kubectl-set"),
        (view(workload(uid="u2")), "recreated", ""),
        (view(), "missing", ""),
        (view(workload(), app="other"), "selector", ""),
        (view(workload(replicas=4), scalers=[scaler(2, 8)]), "bounds", ""),
    ],
)
def test_what_nobody_approved_is_found_once_with_who_wrote_it(
    seen: Shop, later: View, code: str | None, manager: str
) -> None:
    look(seen.environment, later)
    look(seen.environment, later)
    if code is None:  # a pinned reference that was never released says by itself what it is
        assert not Finding.objects.exists()
        return
    finding = only()
    assert codes(finding) == [code]
    assert finding.differences[0]["manager"] == manager
    shown = cell(seen)
    assert shown.finding == finding
    assert shown.drift is not None
    assert AuditEntry.objects.filter(action="finding.opened").count() == 1


def test_an_autoscaler_may_scale_within_its_bounds(seen: Shop) -> None:
    Finding.objects.all().delete()
    Running.objects.update(expected={})
    look(seen.environment, view(workload(), scalers=[scaler(2, 8)]))
    look(seen.environment, view(workload(replicas=6), scalers=[scaler(2, 8)]))
    assert not Finding.objects.exists()


def test_people_may_scale_within_what_the_catalog_says(seen: Shop) -> None:
    seen.shopping.spec["scale"] = {"min": 1, "max": 4}
    seen.shopping.save(update_fields=["spec"])
    look(seen.environment, view(workload(replicas=4)))
    assert not Finding.objects.exists()
    look(seen.environment, view(workload(replicas=5)))
    assert codes(only()) == ["replicas"]


def test_what_was_not_looked_at_differs_from_nothing(seen: Shop) -> None:
    look(seen.environment, View(CALM.workloads, CALM.pods))
    assert not Finding.objects.exists()


@long
def test_a_node_that_runs_other_content_than_was_released_is_found(seen: Shop) -> None:
    released = make_release(seen, at="rolling_out")
    rollout = Rollout.objects.get(release=released)
    expect_release(rollout)
    Rollout.objects.update(state="succeeded")
    look(seen.environment, CHANGED)
    assert not Finding.objects.exists()
    look(seen.environment, view(workload(digest=NEW), digest=digest_for("shopping-service", "evil")))
    assert codes(only()) == ["content"]


@pytest.mark.parametrize(
    ("found", "later"),
    [
        # It never came: what ran goes on, and its arrival by another hand is nobody's.
        ([OLD], [(CALM, False), (CHANGED, True)]),
        # Half of it came before it was skipped: both were approved.
        ([NEW, OLD], [(CALM, False), (CHANGED, False)]),
        # It runs all the same.
        ([NEW], [(CHANGED, False), (CALM, True)]),
    ],
)
def test_what_is_expected_of_a_service_that_was_skipped_is_what_was_found(
    seen: Shop, found: list[str], later: list[tuple[View, bool]]
) -> None:
    rollout = roll_out(make_release(seen, at="approved"), seen)
    name = seen.shopping.name
    Step.objects.create(rollout=rollout, key="x", kind="set_image", service=seen.shopping, state="skipped")
    ok = found == [NEW]
    row = {"service": name, "ok": ok, "expected": {"app": [NEW]}, "found": {"app": found}, "skipped": {}}
    rollout.verdict = {"exact": ok, "services": [row]}
    expect_release(rollout)
    Rollout.objects.update(state="succeeded")
    look(seen.environment, CHANGED if ok else CALM)
    assert not Finding.objects.exists()
    for shown, is_found in later:
        look(seen.environment, shown)
        assert Finding.objects.exists() is is_found


@long
def test_a_rollout_explains_what_it_brings_and_what_it_left_half_way(seen: Shop) -> None:
    rollout = roll_out(make_release(seen, at="approved"), seen)
    look(seen.environment, CHANGED)
    assert not Finding.objects.exists()
    Step.objects.create(rollout=rollout, key="x", kind="set_image", service=seen.shopping, intent={})
    Rollout.objects.update(state="stopped")
    look(seen.environment, CHANGED)
    assert not Finding.objects.exists(), "what it put there half-way was approved"
    look(seen.environment, view(workload(digest=OLD), digest=digest_for("shopping-service", "evil")))
    assert Finding.objects.exists()


EVIL = digest_for("shopping-service", "evil")
FOREIGN = view(workload(digest=EVIL), digest=EVIL)


@long
@pytest.mark.parametrize("went_out", [True, False])
def test_an_unapproved_image_is_not_approved_by_coming_back_with_a_rollback(
    seen: Shop, went_out: bool
) -> None:
    look(seen.environment, FOREIGN)
    rollout = Rollout.objects.get(release=make_release(seen, at="rolling_out"))
    place: Json = {"rollout": rollout, "service": seen.shopping, "intent": {}}
    Step.objects.create(key="r", kind="record_running", before={"digests": {"app": [EVIL]}}, **place)
    Step.objects.create(key="s", kind="set_image", **place)
    if went_out:
        expect_release(rollout)
        Rollout.objects.update(state="succeeded")
        look(seen.environment, CHANGED)
        assert only().state == "ended"
    Step.objects.create(key="b", kind="restore_image", direction="back", **place)
    expect_recorded(rollout)
    Rollout.objects.update(state="rolled_back")

    look(seen.environment, FOREIGN)

    assert Finding.objects.filter(state="open").count() == 1
    look(seen.environment, CALM)
    assert not Finding.objects.filter(state="open").exists(), "what was approved last is back"


@long
def test_a_restart_explains_no_change_that_was_found_before_it(seen: Shop) -> None:
    moved = view(workload(replicas=5), app="other")
    look(seen.environment, moved)
    operated(seen, {"kind": "restart"})

    look(seen.environment, moved)

    assert (only().state, codes(only())) == ("open", ["replicas", "selector"])
    operated(seen, {"kind": "scale", "replicas": 5})
    look(seen.environment, moved)
    assert (only().state, codes(only())) == ("open", ["selector"]), "its size was approved since"


def operated(shop: Shop, data: Json) -> None:
    """An operation on the shopping service that went well."""
    actor = acting(shop.cast.author)
    made = release_operations.create_operation("shopping-service", "shop-production", data, actor=actor)
    approve_all(release_operations.submit_release(made.pk, actor=actor))
    rollout = roll_out(made, shop)
    Step.objects.create(rollout=rollout, key="x", kind=data["kind"], service=shop.shopping, intent={})
    expect_release(rollout)
    Rollout.objects.filter(pk=rollout.pk).update(state="succeeded")


def test_a_difference_is_followed_and_ends_by_itself(seen: Shop) -> None:
    look(seen.environment, CHANGED)
    first = only()
    look(seen.environment, view(workload(digest=NEW, replicas=5), digest=NEW))
    assert codes(only()) == ["image", "replicas"]
    assert only().mark != first.mark
    look(seen.environment, CALM)
    finding = only()
    assert (finding.state, finding.settled_by) == ("ended", None)
    assert finding.ended_at is not None
    assert cell(seen).finding is None
    look(seen.environment, CHANGED)
    assert Finding.objects.count() == 2


def test_a_service_that_leaves_the_environment_takes_its_finding_along(seen: Shop) -> None:
    look(seen.environment, CHANGED)
    seen.shopping.environments.clear()
    look(seen.environment, CHANGED)
    assert only().state == "ended"


def test_the_team_lead_is_asked_and_the_pl_is_told(seen: Shop) -> None:
    look(seen.environment, CHANGED)
    told = set(Message.objects.filter(kind="finding").values_list("person__username", flat=True))
    assert told == {"lead", "pl"}
    assert waiting_for(seen.cast.team_lead) == [only()]
    assert waiting_for(seen.cast.pl) == []
    assert waiting_for(seen.cast.director) == [], "only where a team has no lead"


def test_where_a_team_has_no_lead_the_director_settles(seen: Shop) -> None:
    seen.cast.team_lead.assignments.update(revoked_at=clock.now())
    look(seen.environment, CHANGED)
    assert waiting_for(seen.cast.director) == [only()]


def settle(shop: Shop, who: User, how: str = "adopt", **more: str) -> Finding:
    """Settle the one finding."""
    values = {"reason": "Incident 12", "mark": only().mark, **more}
    return getattr(operations, how)(only().pk, actor=acting(who), **values)  # type: ignore[no-any-return]


def test_adopted_it_is_what_should_run(seen: Shop) -> None:
    look(seen.environment, CHANGED)
    finding = settle(seen, seen.cast.team_lead)
    assert (finding.state, finding.settled_by, finding.reason) == (
        "adopted",
        seen.cast.team_lead,
        "Incident 12",
    )
    look(seen.environment, CHANGED)
    assert Finding.objects.count() == 1
    assert cell(seen).drift is None
    look(seen.environment, CALM)
    assert Finding.objects.filter(state="open").count() == 1, "the way back is a change as well"


def test_explained_it_asks_nobody_and_another_change_asks_again(seen: Shop) -> None:
    look(seen.environment, view(workload(digest=NEW, replicas=5), digest=NEW))
    settle(seen, seen.cast.team_lead, "explain")
    look(seen.environment, CHANGED)
    assert only().state == "explained", "a part of it is gone, nothing was added"
    assert waiting_for(seen.cast.team_lead) == []
    assert cell(seen).drift is not None
    look(seen.environment, view(workload(digest=NEW, uid="u2"), digest=NEW))
    assert list(Finding.objects.order_by("pk").values_list("state", flat=True)) == ["ended", "open"]


def test_put_back_makes_a_draft_of_what_was_approved(seen: Shop) -> None:
    make_release(seen, items=[{"service": "shopping-service", "version": "2.7.4"}])
    look(seen.environment, CHANGED)
    release = operations.put_back(only().pk, actor=acting(seen.cast.author))
    assert (release.state, [item.digest for item in release.items.all()]) == ("draft", [OLD])
    assert only().put_back_by == release
    with pytest.raises(Conflict):
        operations.put_back(only().pk, actor=acting(seen.cast.author))
    Release.objects.update(state="withdrawn")
    assert operations.put_back(only().pk, actor=acting(seen.cast.author)) != release


def test_two_who_put_it_back_at_once_make_one_draft(seen: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    make_release(seen, items=[{"service": "shopping-service", "version": "2.7.4"}])
    look(seen.environment, CHANGED)
    before, colleague = Release.objects.count(), iter([acting(seen.cast.team_lead)])
    resolve = versions.resolve

    def resolve_meanwhile(service: Service, version: str) -> Resolved:
        """The colleague is done while the registry is asked for the first."""
        for other in colleague:
            operations.put_back(only().pk, actor=other)
        return resolve(service, version)

    monkeypatch.setattr(versions, "resolve", resolve_meanwhile)
    page = browser(seen.cast.author)
    answer = page.post(f"/findings/{only().pk}/put-back/", {"once": "a"})
    assert Release.objects.count() == before + 1
    assert answer["Location"] == f"/releases/{only().put_back_by_id}/"
    late = page.post(f"/findings/{only().pk}/put-back/", {"once": "b"})
    assert late["Location"] == f"/releases/{only().put_back_by_id}/"


def test_what_no_release_puts_back_says_so(seen: Shop) -> None:
    look(seen.environment, view(workload(replicas=5)))
    with pytest.raises(Conflict, match=r"replicas|복제"):
        operations.put_back(only().pk, actor=acting(seen.cast.author))


def test_a_person_settles_what_they_saw_once_and_says_why(seen: Shop) -> None:
    look(seen.environment, CHANGED)
    lead = seen.cast.team_lead
    with pytest.raises(Conflict) as refused:
        settle(seen, lead, mark="0" * 64)
    assert refused.value.code == "stale_digest"
    with pytest.raises(Invalid):
        settle(seen, lead, reason=" ")
    settle(seen, lead)
    with pytest.raises(Conflict):
        settle(seen, lead)


def test_what_came_after_what_a_person_saw_is_not_adopted_with_it(seen: Shop) -> None:
    look(seen.environment, CHANGED)
    # As the watcher has just written it, a moment before it changes the finding.
    write_running(seen.environment, kept_in(seen.environment), FOREIGN)

    with pytest.raises(Conflict) as refused:
        settle(seen, seen.cast.team_lead)

    assert refused.value.code == "stale_digest"
    assert NEW not in Running.objects.get(service=seen.shopping).expected["digests"]


@long
def test_nothing_is_adopted_while_something_rolls_out(seen: Shop) -> None:
    look(seen.environment, CHANGED)
    roll_out(make_release(seen, at="approved"), seen)
    with pytest.raises(Conflict):
        settle(seen, seen.cast.team_lead)


MAY: dict[str, set[str]] = {"adopt": {"team_lead"}, "explain": {"team_lead"}}


@pytest.mark.parametrize("how", sorted(MAY))
def test_only_those_in_the_table_settle(seen: Shop, how: str) -> None:
    look(seen.environment, CHANGED)
    through = set()
    for name, user in vars(seen.cast).items():
        try:
            settle(seen, user, how)
        except NotAllowed:
            continue
        through.add(name)
        Finding.objects.update(state="open")
    assert through == MAY[how]


def test_who_may_not_see_the_place_finds_nothing(seen: Shop) -> None:
    look(seen.environment, CHANGED)
    stranger = person("stranger")
    seen.environment.environmentgrouppermission_set.all().delete()
    with pytest.raises(NotFound):
        settle(seen, stranger)
