"""One watcher leads for a cluster; another takes over when the lead has run out, and only then."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, connections, transaction

from portal import clock
from portal.errors import PermanentError
from releases.rollouts import rounds
from releases.rollouts.models import WatchLead
from releases.rollouts.rounds import ROUND_SECONDS, Round
from releases.rollouts.watcher import RENEW_SECONDS, Watcher, take_lead
from tests.embedded.processes import wait_for
from tests.factories import Shop

HERE, THERE = "one:1", "two:2"
COMING = 4


def run_out(cluster: str) -> None:
    """Let the lead run out, as when its watcher died."""
    WatchLead.objects.filter(cluster=cluster).update(until=clock.now() - timedelta(seconds=1))


def waiting() -> int:
    """How many connections wait for a lock."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted")
        return int(cursor.fetchone()[0])


@pytest.mark.django_db
def test_who_leads_keeps_it_from_others_for_as_long_as_it_renews() -> None:
    assert take_lead("east", HERE)
    first = WatchLead.objects.get(cluster="east").until
    assert not take_lead("east", THERE)
    assert take_lead("east", HERE)
    lead = WatchLead.objects.get(cluster="east")
    assert (lead.owner, lead.until > first) == (HERE, True)
    assert lead.until <= clock.now() + WatchLead.LASTS


@pytest.mark.django_db
def test_a_lead_that_has_run_out_is_taken_over_and_not_given_back() -> None:
    assert take_lead("east", HERE)
    run_out("east")
    assert take_lead("east", THERE)
    assert not take_lead("east", HERE)


@pytest.mark.django_db
def test_each_cluster_has_a_lead_of_its_own() -> None:
    assert take_lead("east", HERE)
    assert take_lead("west", THERE)
    owners = dict(WatchLead.objects.values_list("cluster", "owner"))
    assert owners == {"east": HERE, "west": THERE}


@pytest.mark.django_db
def test_a_watcher_that_has_lost_its_lead_learns_of_it_when_it_renews(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Until then nobody else has it: it renews long before the lead runs out."""
    assert WatchLead.LASTS.total_seconds() / 2 > RENEW_SECONDS
    now = 1000.0
    monkeypatch.setattr("releases.rollouts.watcher.time.monotonic", lambda: now)
    watcher = Watcher()
    assert watcher.leads_for("east")
    run_out("east")
    assert take_lead("east", THERE)
    now += RENEW_SECONDS
    assert not watcher.leads_for("east")
    run_out("east")
    assert watcher.leads_for("east")


@pytest.mark.django_db
def test_of_two_at_a_quiet_cluster_one_keeps_its_lead_round_after_round(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing happens there, and every time that one wakes the other asks for the lead as well."""
    first, second = Watcher(), Watcher()
    first.owner, second.owner = HERE, THERE
    began, passed, led = clock.now(), 0.0, list[tuple[bool, str]]()
    for each in ("rounds.time.monotonic", "watcher.time.monotonic"):
        monkeypatch.setattr(f"releases.rollouts.{each}", lambda: passed)
    monkeypatch.setattr("releases.rollouts.watcher.clock.now", lambda: began + timedelta(seconds=passed))
    monkeypatch.setattr(rounds, "connect", _forbidden)
    monkeypatch.setattr(rounds, "refresh", lambda: None)  # the test's own is in a transaction
    cluster = shop.environment.cluster

    def wait(_round: Round, seconds: float) -> None:
        nonlocal passed
        passed += seconds
        led.append((second.leads_for(cluster.name), WatchLead.objects.get(cluster=cluster.name).owner))

    monkeypatch.setattr(Round, "_take_change", wait)
    turn = Round(first, cluster.pk, cluster.name)
    for _each in range(4):
        assert turn._go_round()
    assert passed >= 4 * ROUND_SECONDS
    assert set(led) == {(False, HERE)}


def _forbidden(_spec: Any) -> Any:
    raise PermanentError("no right", code="forbidden")


@pytest.mark.django_db(transaction=True)
def test_of_several_that_come_at_once_one_leads() -> None:
    assert take_lead("east", "dead:1")
    run_out("east")
    owners = [f"one:{number}" for number in range(COMING)]

    def take(owner: str) -> bool:
        try:
            return take_lead("east", owner)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(COMING) as pool:
        with transaction.atomic():
            WatchLead.objects.select_for_update().get(cluster="east")
            taken = pool.map(take, owners)
            assert wait_for(lambda: waiting() == COMING)
        leading = [owner for owner, leads in zip(owners, taken, strict=True) if leads]
    assert leading == [WatchLead.objects.get(cluster="east").owner]
