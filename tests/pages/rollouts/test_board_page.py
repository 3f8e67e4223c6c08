"""A row of the board is drawn once for all who would read the same, and for nobody else."""

import re
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from portal import clock
from portal.live.publish import publish_now
from portal.people.models import User
from portal.ui.looks import state_look
from releases.catalog.models import Running
from releases.rollouts.board_rows import KEPT, RowSaid, drawn
from releases.rollouts.models import Rollout
from tests.factories import Shop, make_release, roll_out, runs
from tests.pages.rollouts.conftest import browser

# Who asks and what they may: 5; the frame: 2; what the board is about and what stands on it: 4.
MOST_QUESTIONS = 11


@pytest.fixture
def row(shop: Shop) -> Running:
    """What the board shows: one service, as it has run for three minutes."""
    found = runs(shop.shopping, shop.environment, "4.0.0")
    found.since = timezone.now() - timedelta(minutes=3, seconds=10)
    found.save(update_fields=["since"])
    return found


def reader(user: User, *, language: str = "en", time_zone: str = "") -> Client:
    """Somebody at their browser."""
    User.objects.filter(pk=user.pk).update(language=language, time_zone=time_zone)
    return browser(user)


def rows(client: Client) -> str:
    """The rows, without the frame around them."""
    return client.get("/board/part/").content.decode().partition("</table>")[0]


def test_a_row_that_says_the_same_is_drawn_once(shop: Shop, row: Running) -> None:
    client = reader(shop.cast.author)
    first = rows(client)
    before = drawn.cache_info().misses
    assert rows(client) == first
    assert drawn.cache_info().misses == before


def test_each_reads_it_in_their_language_and_zone(shop: Shop, row: Running) -> None:
    client = reader(shop.cast.author)
    assert "3 minutes ago" in rows(client)
    assert "3분 전" in rows(reader(shop.cast.author, language="ko"))
    assert f"({row.since:%H:%M} UTC)" in rows(reader(shop.cast.author, time_zone="UTC"))
    assert "UTC)" not in rows(reader(shop.cast.author))


def test_each_reads_the_stages_in_their_language(shop: Shop, row: Running) -> None:
    assert 'data-label="production"' in rows(reader(shop.cast.author))
    assert 'data-label="운영"' in rows(reader(shop.cast.author, language="ko"))


def test_no_more_rows_are_kept_than_ten_pages_hold() -> None:
    for number in range(KEPT + 1):
        drawn(RowSaid(number=number, service="shop", core=False, composable=False, cells=()), "en")
    assert drawn.cache_info().currsize == KEPT


def test_each_is_offered_what_they_may_do(shop: Shop, row: Running) -> None:
    row.seen["health"] = "degraded"
    row.save(update_fields=["seen"])
    box, button = 'name="service" value="shopping-service"', "/incidents/open/shopping-service/"
    offered = rows(reader(shop.cast.author))
    assert (box in offered, button in offered) == (True, True)
    refused = rows(reader(shop.cast.auditor))
    assert (box in refused, button in refused) == (False, False)
    assert box in rows(reader(shop.cast.author))


def test_time_goes_on_in_it(shop: Shop, row: Running) -> None:
    client = reader(shop.cast.author)
    assert "3 minutes ago" in rows(client)
    with clock.counting_on(clock.now() + timedelta(minutes=2)):
        assert "5 minutes ago" in rows(client)


def test_what_changes_stands_in_it_at_once(shop: Shop, row: Running) -> None:
    client = reader(shop.cast.author)
    assert "4.0.0" in rows(client)
    row.seen |= {"version": "4.1.0", "health": "degraded", "text": "0/2 ready"}
    row.save(update_fields=["seen"])
    changed = rows(client)
    assert ("4.0.0" in changed, "4.1.0" in changed, "0/2 ready" in changed) == (False, True, True)
    assert "hatched" not in changed
    row.seen_at = clock.now() - timedelta(minutes=4)
    row.save(update_fields=["seen_at"])
    assert "hatched" in rows(client)


def test_it_goes_on_from_what_last_happened(shop: Shop, row: Running) -> None:
    client = reader(shop.cast.author)
    topic = f"board.{shop.environment.name}"
    assert f'data-live-topic="{topic}" data-live-after="0"' in rows(client)
    for number in (1, 2):
        assert publish_now(topic, "practice.happened", {}) == number
    assert f'data-live-topic="{topic}" data-live-after="2"' in rows(client)


def test_a_quiet_board_asks_as_little_as_it_can(shop: Shop, row: Running) -> None:
    client = reader(shop.cast.author)
    client.get("/board/")
    with CaptureQueriesContext(connection) as asked:
        client.get("/board/")
    assert len(asked) <= MOST_QUESTIONS, [each["sql"][:100] for each in asked]


@pytest.mark.parametrize("state", ["running", "paused", "stopped", "failed", "rollback_failed"])
def test_a_rollout_looks_in_its_cell_as_it_does_everywhere(shop: Shop, row: Running, state: str) -> None:
    rollout = roll_out(make_release(shop, at="approved"), shop)
    Rollout.objects.filter(pk=rollout.pk).update(state=state)
    [cell] = re.findall(
        rf'href="/rollouts/{rollout.pk}/">.*?</div>', rows(reader(shop.cast.author)), re.DOTALL
    )
    look = state_look(state)
    assert f'class="pill pill-{look.tone} pill-plain" data-state="{state}"' in cell
    assert f"#shape-{look.shape}" in cell
