"""Behind a rollout that did not end well nothing of its services begins by itself; people settle it."""

import json
from datetime import timedelta

import pytest

from portal import clock
from portal.audit.models import AuditEntry
from portal.errors import Conflict
from portal.outbox.models import Message
from releases import operations as release_operations
from releases.catalog.models import Environment
from releases.models import Release
from releases.rollouts import jobs, operations, queueing
from releases.rollouts.models import QueuePlace, Rollout
from releases.rollouts.states import LEFT
from tests.factories import Shop, approve_all, runs
from tests.people import acting
from tests.portal.api import ApiClient
from tests.rollouts.waiting import ask, english, over, place, release_of
from tests.soak import long


@long
@pytest.mark.parametrize("state", sorted(LEFT))
def test_behind_what_did_not_end_well_nothing_begins_by_itself(planned: Shop, state: str) -> None:
    left = ask(planned, release_of(planned))
    second = release_of(planned, "shopping-service", "payment-service", version="2.9.0")
    third = release_of(planned, "payment-service", version="3.0.0")
    ask(planned, second)
    ask(planned, third)
    left = over(left, state)
    jobs.begin_queued()
    assert (place(second).state, place(third).state, Rollout.objects.count()) == ("queued", "queued", 1)
    shown = english(planned.cast.author)
    assert f"rollout {left.pk}, which" in shown.get(f"/releases/{second.pk}/").content.decode()
    assert f"/releases/{second.pk}/" in shown.get(f"/rollouts/{left.pk}/").content.decode()
    listed, _after = ApiClient(planned.cast.author).get("/queue").json()["items"]
    assert (listed["release"], listed["rollouts"]) == (second.pk, [left.pk])
    queueing.leave(place(second).pk, actor=acting(planned.cast.author))
    jobs.begin_queued()
    assert place(third).state == "begun", "of its services none was left so"
    operations.give_order(left.pk, "rollback", actor=acting(planned.cast.author))


@long
@pytest.mark.parametrize("state", ["succeeded", "rolled_back"])
def test_once_that_is_settled_it_goes_on_by_itself(planned: Shop, state: str) -> None:
    left = over(ask(planned, release_of(planned)), "running")
    second = release_of(planned, version="2.9.0")
    ask(planned, second)
    over(left, "failed")
    jobs.begin_queued()
    over(left, "running")
    jobs.begin_queued()
    assert place(second).state == "queued"
    over(left, state)
    jobs.begin_queued()
    assert place(second).state == "begun"


@long
def test_closing_what_failed_settles_it(planned: Shop) -> None:
    left = over(ask(planned, release_of(planned)), "failed")
    second = release_of(planned, version="2.9.0")
    QueuePlace.objects.create(
        release=second, environment=planned.environment, asked_by=planned.cast.author, asked_at=clock.now()
    )
    jobs.begin_queued()
    assert place(second).state == "queued"
    release_operations.close_release(left.release_id, actor=acting(planned.cast.author))
    jobs.begin_queued()
    assert place(second).state == "begun"


@long
def test_a_person_starts_it_by_hand_on_what_was_left(planned: Shop) -> None:
    left = ask(planned, release_of(planned))
    second = release_of(planned, version="2.9.0")
    ask(planned, second)
    left = over(left, "failed")
    shown = english(planned.cast.author)
    queue = shown.get("/queue/").content.decode()
    assert f'href="/releases/{second.pk}/start/"' in queue
    assert f'href="/rollouts/{left.pk}/">Rollout {left.pk} · #{left.release_id}</a>' in queue
    assert f"Rollout {left.pk} of these services did not end well" in (
        shown.get(f"/releases/{second.pk}/start/").content.decode()
    )
    outsider = english(planned.cast.outsider)
    assert "Start by hand" not in outsider.get("/queue/").content.decode()
    assert outsider.post(f"/releases/{second.pk}/start/").status_code == 403
    assert ApiClient(planned.cast.author).post(f"/releases/{second.pk}/start").status_code == 201
    assert (place(second).state, place(second).rollout) == ("begun", second.rollouts.get())
    third = release_of(planned, version="3.0.0")
    over(second.rollouts.get())
    assert isinstance(ask(planned, third), Rollout), "the newest of its services is what counts"


@long
def test_a_restart_settles_nothing_that_did_not_end_well(planned: Shop) -> None:
    left = over(ask(planned, release_of(planned)), "failed")
    runs(planned.shopping, planned.environment, "2.8.0")
    author, name = acting(planned.cast.author), planned.environment.name
    restart = release_operations.create_operation("shopping-service", name, {"kind": "restart"}, actor=author)
    approve_all(release_operations.submit_release(restart.pk, actor=author))
    over(ask(planned, restart))
    second = release_of(planned, version="2.9.0")
    at = clock.now() + timedelta(hours=1)
    release_operations.schedule_release(second.pk, actor=author, at=at)
    Release.objects.filter(pk=second.pk).update(scheduled_at=clock.now())

    jobs.start_due()

    assert not second.rollouts.exists(), "what failed stands half-way as before"
    release_operations.close_release(left.release_id, actor=author)
    release_operations.schedule_release(second.pk, actor=author, at=at)
    Release.objects.filter(pk=second.pk).update(scheduled_at=clock.now())
    jobs.start_due()
    assert second.rollouts.exists()


@long
def test_who_waits_for_a_person_keeps_no_room(planned: Shop) -> None:
    planned.environment.spec = {"concurrentRollouts": 1}
    planned.environment.save(update_fields=["spec"])
    left = ask(planned, release_of(planned))
    second, third = release_of(planned, version="2.9.0"), release_of(planned, "auth-service")
    ask(planned, second)
    ask(planned, third)
    over(left, "failed")
    jobs.begin_queued()
    assert (place(second).state, place(third).state) == ("queued", "begun")
    with pytest.raises(Conflict):
        ask(planned, second)


@long
def test_where_nothing_is_protected_the_next_one_mends(planned: Shop) -> None:
    Environment.objects.filter(pk=planned.environment.pk).update(protected=False)
    left = ask(planned, release_of(planned))
    second = release_of(planned, version="2.9.0")
    ask(planned, second)
    over(left, "failed")
    jobs.begin_queued()
    assert place(second).state == "begun"


@long
def test_a_scheduled_start_is_given_back_behind_what_did_not_end_well(planned: Shop) -> None:
    left = ask(planned, release_of(planned))
    second = release_of(planned, version="2.9.0")
    at = clock.now() + timedelta(hours=1)
    release_operations.schedule_release(second.pk, actor=acting(planned.cast.author), at=at)
    left = over(left, "stopped")
    shown = english(planned.cast.author).get(f"/releases/{second.pk}/").content.decode()
    assert f"Nothing starts by itself behind rollout {left.pk}" in shown
    Release.objects.filter(pk=second.pk).update(scheduled_at=clock.now())
    jobs.start_due()
    second.refresh_from_db()
    assert (second.state, QueuePlace.objects.exists(), second.rollouts.exists()) == ("approved", False, False)
    entry = AuditEntry.objects.get(action="release.approved", release=second.pk, actor="portal")
    assert str(left.pk) in json.loads(entry.body)["reason"]
    told = Message.objects.filter(key__contains="missed").values_list("person__username", flat=True)
    assert list(told) == ["author"]
    assert isinstance(ask(planned, second), Rollout), "a person may"
