"""The page of the schedules: why the night's backup failed, and what is older than the first page."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from portal import clock
from releases.schedules.models import Backup, Schedule, ScheduledRun
from releases.schedules.views import SHOWN_BACKUPS, SHOWN_RUNS
from tests.factories import Shop

PAGE = "/environments/shop-production/schedules/"
FAILURE = {"code": "job_failed", "message": "disk is full", "log": ["dumping orders", "no space left"]}


def ran(shop: Shop, minutes_ago: int, **changes: Any) -> ScheduledRun:
    """A run that ended well so many minutes ago."""
    due = clock.now() - timedelta(minutes=minutes_ago)
    values = {"what": "health", "schedule": "health", "outcome": "succeeded", **changes}
    values.setdefault("spec", {"name": values["schedule"], "title": values["schedule"].title()})
    return ScheduledRun.objects.create(
        environment=shop.environment, due_at=due, started_at=due, ended_at=due, **values
    )


def shown(client: Client, address: str = PAGE) -> str:
    """A page in English."""
    return client.get(address, headers={"accept-language": "en"}).content.decode()


def part(page: str, name: str) -> str:
    """One section of it."""
    return page.partition(f'aria-labelledby="{name}"')[2].partition("</section>")[0]


@pytest.fixture
def client(shop: Shop) -> Client:
    """The browser of the project lead."""
    found = Client()
    found.force_login(shop.cast.pl)
    return found


def test_in_the_morning_it_says_why_the_backup_failed_whatever_else_ran(shop: Shop, client: Client) -> None:
    spec = {"name": "nightly", "what": "job", "title": "Nightly", "cron": "0 2 * * *", "service": "s"}
    Schedule.objects.create(environment=shop.environment, name="nightly", spec=spec, next_at=clock.now())
    ran(shop, 480, what="job", schedule="nightly", spec=spec, outcome="failed", failure=FAILURE)
    for minutes in range(1, 2 * SHOWN_RUNS):
        ran(shop, minutes)
    page = shown(client)
    for section in ("schedules", "runs"):
        assert "disk is full" in part(page, section)
        assert "no space left" in part(page, section)


def test_a_health_check_of_one_service_is_told_as_one_of_many(shop: Shop, client: Client) -> None:
    spec = {"name": "health", "what": "health", "cron": "*/5 * * * *"}
    Schedule.objects.create(environment=shop.environment, name="health", spec=spec, next_at=clock.now())
    ran(shop, 3, spec=spec, observed={"code": "services_healthy", "args": {"count": 1}})
    assert "All services are healthy: 1" in part(shown(client), "schedules")


def test_when_a_schedule_is_due_is_said_in_words_beside_its_line(shop: Shop, client: Client) -> None:
    spec = {"name": "nightly", "what": "job", "cron": "30 2 * * *", "timeZone": "Asia/Seoul", "service": "s"}
    Schedule.objects.create(environment=shop.environment, name="nightly", spec=spec, next_at=clock.now())
    when = " ".join(re.sub("<[^>]*>", " ", part(shown(client), "schedules")).split())
    assert "daily at 02:30 · 30 2 * * * Asia/Seoul" in when


def test_only_health_checks_that_say_something_are_among_the_runs(shop: Shop, client: Client) -> None:
    ran(shop, 3, schedule="usual")
    ran(shop, 2, schedule="mended", observed={"changed": {"new": [], "well": ["payment-service"]}})
    ran(shop, 1, schedule="broken", outcome="failed", failure={"code": "services_unhealthy"})
    runs = part(shown(client), "runs")
    assert [name in runs for name in ("Usual", "Mended", "Broken")] == [False, True, True]


def walked(client: Client, section: str, pattern: str) -> list[str]:
    """What stands in a section, over all of its pages."""
    found, address = [], PAGE
    while address:
        there = part(shown(client, address), section)
        found += re.findall(pattern, there)
        older = re.search(r'href="(\?[^"#]+)#\w+" rel="next"', there)
        address = PAGE + older[1] if older else ""
    return found


def test_older_runs_are_led_to_and_none_is_left_out(shop: Shop, client: Client) -> None:
    names = [f"run{number}" for number in range(SHOWN_RUNS + 2)]
    for number, name in enumerate(names):
        ran(shop, 100 - number, what="job", schedule=name)
    assert walked(client, "runs", r"Run\d+") == [name.title() for name in reversed(names)]


def test_older_backups_are_led_to_and_can_be_restored(shop: Shop, client: Client) -> None:
    shop.shopping.spec["jobs"] = [{"name": "restore", "cronJob": "restore", "purpose": "restore"}]
    shop.shopping.save(update_fields=["spec"])
    now = clock.now()
    # The first of all is written over every night: it is the newest of them.
    ages = [0, *range(SHOWN_BACKUPS + 1, 0, -1)]
    made = [
        Backup.objects.create(
            service=shop.shopping,
            environment=shop.environment,
            name=f"b{days}",
            made_at=now - timedelta(days=days),
        )
        for days in ages
    ]
    newest_first = [str(each.pk) for each in sorted(made, key=lambda each: each.made_at, reverse=True)]
    assert walked(client, "backups", r'id="restore-(\d+)"') == newest_first


@pytest.mark.parametrize("words", ["before=x", "before=9999999999999999999999", "backups_before=-1"])
def test_what_is_no_key_of_the_page_shows_the_newest(shop: Shop, client: Client, words: str) -> None:
    ran(shop, 1, what="job", schedule="nightly")
    assert "Nightly" in part(shown(client, f"{PAGE}?{words}"), "runs")
