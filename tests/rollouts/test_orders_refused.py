"""Orders that are refused: what else moves the same services, ends that are final, and who may not ask."""

from dataclasses import replace

import pytest
from django.test import Client

from portal.audit.models import AuditEntry
from portal.errors import Conflict, NotAllowed, NotFound
from releases.catalog.models import Plan
from releases.catalog.rights import grant
from releases.models import Release
from releases.operations import close_release
from releases.rollouts import engine, operations
from releases.rollouts.models import Rollout
from tests.factories import Shop, make_release
from tests.people import acting
from tests.soak import long


def started(shop: Shop, service: str = "shopping-service") -> Rollout:
    """A rollout of one more release of a service; no worker runs."""
    waves = [{"title": "All", "services": [service]}]
    Plan.objects.filter(pk=shop.plan.pk).update(spec={"expectedMinutes": 30, "waves": waves})
    release = make_release(shop, at="approved", items=[{"service": service, "version": "2.8.0"}])
    return operations.start_rollout(release.number, actor=acting(shop.cast.author))


def only_one_at_once(shop: Shop) -> None:
    """The environment takes one rollout at once."""
    shop.environment.spec = {**shop.environment.spec, "concurrentRollouts": 1}
    shop.environment.save(update_fields=["spec"])


def failed(shop: Shop) -> Rollout:
    """A rollout that failed, and its release with it."""
    rollout = started(shop)
    Rollout.objects.filter(pk=rollout.pk).update(state="failed")
    Release.objects.filter(pk=rollout.release_id).update(state="failed")
    return rollout


@long
@pytest.mark.parametrize("kind", ["retry", "rollback"])
def test_a_rollout_at_its_end_does_not_go_on_beside_another_of_its_services(shop: Shop, kind: str) -> None:
    old = failed(shop)
    started(shop)
    step = old.steps.order_by("position").first()
    assert step is not None
    with pytest.raises(Conflict) as error:
        operations.give_order(old.pk, kind, actor=acting(shop.cast.author), step_id=step.pk)
    assert error.value.code == "queue"


@long
@pytest.mark.parametrize("kind", ["retry", "skip"])
def test_a_failed_one_goes_on_only_where_there_is_room(shop: Shop, client: Client, kind: str) -> None:
    only_one_at_once(shop)
    old = failed(shop)
    other = started(shop, "payment-service")
    step = old.steps.order_by("position").first()
    assert step is not None
    old.steps.filter(pk=step.pk).update(state="failed")
    actor = acting(shop.cast.author)
    with pytest.raises(Conflict) as error:
        operations.give_order(old.pk, kind, actor=actor, step_id=step.pk, reason="Known")
    assert error.value.code == "queue"
    assert "shop-production" in str(error.value.detail)
    client.force_login(shop.cast.author)
    page = client.get(f"/rollouts/{old.pk}/", headers={"accept-language": "en"}).content.decode()
    assert "shop-production takes no more rollouts at once" in page
    Rollout.objects.filter(pk=other.pk).update(state="succeeded")
    operations.give_order(old.pk, kind, actor=actor, step_id=step.pk, reason="Known")
    with pytest.raises(Conflict) as waits:
        started(shop, "auth-service")
    assert waits.value.code == "queue"


@long
def test_a_way_back_needs_no_room(shop: Shop) -> None:
    only_one_at_once(shop)
    old = failed(shop)
    started(shop, "payment-service")
    operations.give_order(old.pk, "rollback", actor=acting(shop.cast.author))
    assert old.orders.count() == 1


@long
def test_one_that_is_paused_has_its_room(shop: Shop) -> None:
    only_one_at_once(shop)
    paused = started(shop)
    Rollout.objects.filter(pk=paused.pk).update(state="paused")
    with pytest.raises(Conflict):
        started(shop, "payment-service")
    operations.give_order(paused.pk, "resume", actor=acting(shop.cast.author))
    assert paused.orders.count() == 1


def over(shop: Shop, *, state: str, service: str = "shopping-service") -> Rollout:
    """A rollout that changed its service and is over, and its release with it."""
    rollout = started(shop, service)
    rollout.steps.filter(kind="set_image").update(intent={"changes": []})
    Rollout.objects.filter(pk=rollout.pk).update(state=state)
    Release.objects.filter(pk=rollout.release_id).update(state="announced")
    return rollout


@long
def test_what_a_newer_release_has_replaced_is_not_rolled_back(shop: Shop, client: Client) -> None:
    old, new = over(shop, state="succeeded"), over(shop, state="succeeded")
    with pytest.raises(Conflict) as error:
        operations.give_order(old.pk, "rollback", actor=acting(shop.cast.author))
    assert f"#{new.release_id}" in str(error.value.detail)
    assert not old.orders.exists()
    client.force_login(shop.cast.author)
    page = client.get(f"/rollouts/{old.pk}/", headers={"accept-language": "en"}).content.decode()
    bar = page[page.index('id="bar-rollback"') :]
    assert 'aria-disabled="true"' in bar[:120]
    assert f"Release #{new.release_id} has changed these services since" in bar
    assert f'href="/rollouts/{old.pk}/rollback' not in page
    asked = client.get(f"/rollouts/{old.pk}/rollback/", headers={"accept-language": "en"})
    assert asked.status_code == 409
    assert "button button-danger" not in asked.content.decode()
    operations.give_order(new.pk, "rollback", actor=acting(shop.cast.author))


def test_a_newer_version_of_what_was_only_looked_at_holds_no_rollback(shop: Shop) -> None:
    old = over(shop, state="stopped")
    asked = old.steps.get(kind="set_image")
    asked.pk, asked.key, asked.kind, asked.service, asked.intent = (
        None,
        "health",
        "health",
        shop.payment,
        None,
    )
    asked.save()
    over(shop, state="succeeded", service="payment-service")
    operations.give_order(old.pk, "rollback", actor=acting(shop.cast.author))
    assert old.orders.get().kind == "rollback"


@long
@pytest.mark.parametrize("state", ["failed", "stopped", "rollback_failed"])
def test_a_newer_rollout_counts_however_it_ended(shop: Shop, state: str) -> None:
    old, _new = over(shop, state="succeeded"), over(shop, state=state)
    with pytest.raises(Conflict):
        operations.give_order(old.pk, "rollback", actor=acting(shop.cast.author))


@long
def test_what_was_rolled_back_or_changed_nothing_replaces_nothing(shop: Shop) -> None:
    old, _back, idle = (over(shop, state=state) for state in ("succeeded", "rolled_back", "stopped"))
    idle.steps.update(intent=None)
    operations.give_order(old.pk, "rollback", actor=acting(shop.cast.author))
    assert old.orders.count() == 1


@long
def test_a_start_waits_for_a_rollback_that_was_asked_for(shop: Shop) -> None:
    old = failed(shop)
    operations.give_order(old.pk, "rollback", actor=acting(shop.cast.author))
    with pytest.raises(Conflict) as error:
        started(shop)
    assert error.value.code == "queue"


@long
def test_a_closed_release_is_not_carried_on(shop: Shop) -> None:
    old = failed(shop)
    close_release(old.release_id, actor=acting(shop.cast.author))
    step = old.steps.order_by("position").first()
    assert step is not None
    with pytest.raises(Conflict):
        operations.give_order(old.pk, "retry", actor=acting(shop.cast.author), step_id=step.pk)


@long
@pytest.mark.parametrize("kind", ["retry", "rollback"])
def test_what_was_asked_before_the_release_was_closed_is_not_carried_out_after_it(
    shop: Shop, kind: str
) -> None:
    old, actor = failed(shop), acting(shop.cast.author)
    step = old.steps.order_by("position").first()
    assert step is not None
    old.steps.filter(pk=step.pk).update(state="failed")
    order = operations.give_order(old.pk, kind, actor=actor, step_id=step.pk)
    close_release(old.release_id, actor=actor)

    engine.advance(old.pk)

    old.refresh_from_db()
    order.refresh_from_db()
    assert (old.state, order.outcome) == ("failed", "refused: wrong_state")
    assert Release.objects.get(pk=old.release_id).state == "closed"


@long
def test_a_refused_order_leaves_one_entry_and_no_order(shop: Shop) -> None:
    rollout = started(shop)
    with pytest.raises(NotAllowed):
        operations.give_order(rollout.pk, "stop", actor=acting(shop.cast.outsider))
    entries = AuditEntry.objects.filter(action="order.refused", release=rollout.release_id)
    assert [entry.actor for entry in entries] == ["outsider"]
    assert not rollout.orders.exists()


def test_a_narrow_token_learns_nothing_of_a_rollout_its_owner_may_not_see(shop: Shop) -> None:
    rollout = started(shop)
    shop.environment.spec = {**shop.environment.spec, "visibility": "private"}
    shop.environment.save(update_fields=["spec"])
    grant()
    narrow = replace(acting(shop.cast.outsider, door="api"), token="rp_1", scopes=frozenset({"read"}))
    with pytest.raises(NotFound):
        operations.give_order(rollout.pk, "stop", actor=narrow)
