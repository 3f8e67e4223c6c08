"""A row of the board is drawn once for all who would read the same, and for nobody else."""

import re
from datetime import timedelta
from html import unescape

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from portal import clock
from portal.live.publish import publish_now
from portal.people.models import User
from portal.ui.looks import state_look
from releases.catalog import rights
from releases.catalog.models import Environment, Running
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
        drawn(
            RowSaid(
                number=number, service="shop", core=False, composable=False, first=False, here=True, cells=()
            ),
            "en",
        )
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


@pytest.fixture
def staged(shop: Shop, row: Running) -> Environment:
    """Shopping runs in staging as well, where it is in trouble; auth runs in production alone."""
    place = {
        "system": "shop",
        "stage": "staging",
        "cluster": shop.environment.cluster,
        "namespace": "staging",
    }
    staging = Environment.objects.create(name="shop-staging", **place)
    shop.shopping.environments.add(staging)
    rights.grant()
    seen = runs(shop.shopping, staging, "4.1.0")
    seen.seen |= {"health": "degraded", "text": "0/2 ready"}
    seen.save(update_fields=["seen"])
    runs(shop.auth, shop.environment, "2.0.0")
    return staging


def on_a_phone(client: Client, address: str) -> list[tuple[str, str]]:
    """The services and stages that a phone shows, in their order."""
    page = client.get(address).content.decode()
    shown = []
    for each in re.findall(r"<tr data-row>.*?</tr>", page, re.DOTALL):
        [name] = re.findall(r"([a-z]+-service)(?: <span|</span>|</th>)", each.partition("</th>")[0])
        shown += [(name, stage) for stage in re.findall(r'<td(?: class="hatched")? data-label="(\w+)"', each)]
    return shown


def switch(client: Client, address: str) -> list[tuple[str, str, int]]:
    """The stages that a phone can show, with their address and how much is in trouble there."""
    nav = client.get(address).content.decode().partition("board-switch")[2].partition("</nav>")[0]
    found = re.findall(r'href="(.*?)".*?>(\w+)(.*?)</a>', nav)
    return [
        (label, unescape(url), int("".join(re.findall(r"</svg>(\d+)", rest)) or 0))
        for url, label, rest in found
    ]


def test_a_phone_shows_one_stage_and_switches_by_a_link(shop: Shop, staged: Environment) -> None:
    client = reader(shop.cast.author)
    assert set(on_a_phone(client, "/board/")) == {
        ("shopping-service", "production"),
        ("auth-service", "production"),
        ("payment-service", "production"),
    }
    links = switch(client, "/board/")
    assert links == [("production", "?stage=production", 0), ("staging", "?stage=staging", 1)]
    assert on_a_phone(client, "/board/?stage=staging") == [("shopping-service", "staging")]
    page = client.get("/board/?stage=staging").content.decode()
    # What happens draws the same again, and so does another team.
    assert 'hx-get="/board/part/?stage=staging"' in page
    assert "team=commerce&amp;stage=staging" in page
    assert client.get("/board/?stage=nowhere").context["board"].stage == "production"


def test_what_a_filter_finds_is_on_a_phone(shop: Shop, staged: Environment) -> None:
    assert on_a_phone(reader(shop.cast.author), "/board/?show=degraded") == [("shopping-service", "staging")]


def test_a_phone_shows_what_is_in_trouble_first_and_once(shop: Shop, staged: Environment) -> None:
    rollout = roll_out(make_release(shop, at="approved"), shop)
    Rollout.objects.filter(pk=rollout.pk).update(state="paused")
    runs(shop.payment, shop.environment, "1.9.1")
    bad = Running.objects.get(service=shop.payment, environment=shop.environment)
    bad.seen |= {"health": "degraded"}
    bad.save(update_fields=["seen"])
    shown = on_a_phone(reader(shop.cast.author), "/board/")
    assert [name for name, _stage in shown] == ["payment-service", "shopping-service", "auth-service"]


@pytest.mark.parametrize("state", ["running", "paused", "stopped", "failed", "rollback_failed"])
def test_a_rollout_looks_in_its_cell_as_it_does_everywhere(shop: Shop, row: Running, state: str) -> None:
    rollout = roll_out(make_release(shop, at="approved"), shop)
    Rollout.objects.filter(pk=rollout.pk).update(state=state)
    # What is in trouble stands there once more, for phones.
    [cell] = set(
        re.findall(rf'href="/rollouts/{rollout.pk}/">.*?</div>', rows(reader(shop.cast.author)), re.DOTALL)
    )
    look = state_look(state)
    assert f'class="pill pill-{look.tone} pill-plain" data-state="{state}"' in cell
    assert f"#shape-{look.shape}" in cell


@pytest.mark.parametrize("state", ["running", "stopped", "failed"])
def test_the_service_s_own_page_shows_the_rollout_of_its_cell(shop: Shop, row: Running, state: str) -> None:
    rollout = roll_out(make_release(shop, at="approved"), shop)
    Rollout.objects.filter(pk=rollout.pk).update(state=state)
    client = reader(shop.cast.author)
    page = client.get(f"/services/shopping-service/{shop.environment.name}/").content.decode()
    link = f'<a href="/rollouts/{rollout.pk}/">Rollout {rollout.pk} · #{rollout.release_id}</a>'
    [shown] = re.findall(rf"{re.escape(link)}.*?</dd>", page, re.DOTALL)
    assert f'data-state="{state}"' in shown
