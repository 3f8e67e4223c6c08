"""The pages of the top layer in a real browser: narrow, without scripts, by keyboard."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from playwright.sync_api import Locator, Page, Route, WebSocketRoute, expect

from portal import clock
from releases.catalog import rights
from releases.catalog.models import Environment
from releases.models import Release
from releases.rollouts.models import Order, Rollout
from releases.rollouts.operations import start_rollout
from releases.rollouts.pod_logs import Tail
from releases.rollouts.states import RolloutState, StepState
from releases.rollouts.views import logs
from releases.schedules.models import Schedule
from tests.browser.test_release_pages import DESKTOP, NARROW, PHONE, Visitors, browser, visitors, width_of
from tests.factories import Shop, make_release, runs
from tests.pages.rollouts.conftest import approved, registry, rollout, shop
from tests.people import acting
from tests.soak import long

__all__ = ["approved", "browser", "registry", "rollout", "shop", "visitors"]

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

AFTER_ALL = 1_000_000
LONG_NAME = "a-service-whose-name-is-forty-letters-lo"
FAILURE = {
    "code": "CrashLoopBackOff",
    "message": "back-off 5m0s restarting failed container=app pod=auth-service-5d8f7c9b4-x2k8q",
    "pod": "auth-service-5d8f7c9b4-x2k8q",
    "container": "app",
    "log": [f"2026-11-21T09:00:{second:02}Z cannot connect to the database" for second in range(20)],
}


@dataclass
class Board:
    """The open board with one service that runs; what happens is told to it by the test."""

    shop: Shop
    page: Page
    sockets: list[WebSocketRoute] = field(default_factory=list)

    def accept(self, socket: WebSocketRoute) -> None:
        self.sockets.append(socket)

    @property
    def tick(self) -> Locator:
        return self.page.locator("input[name=service][value=shopping-service]")

    @property
    def cell(self) -> Locator:
        return self.page.locator("a.board-cell[href*=shopping-service]")

    def move_on(self, version: str) -> None:
        """Let another version run, and say that something has happened."""
        found = runs(self.shop.shopping, self.shop.environment, version)
        topic = f"board.{self.shop.environment.name}"
        self.sockets[-1].send(json.dumps({"topic": topic, "events": [{"id": AFTER_ALL + found.pk}]}))


def fail(rollout: Rollout, shop: Shop) -> None:
    """Let a step of the rollout have failed with twenty lines of log."""
    step = rollout.steps.get(kind="wait_rollout", service=shop.auth)
    rollout.steps.filter(pk=step.pk).update(state=StepState.FAILED, failure=FAILURE)
    Rollout.objects.filter(pk=rollout.pk).update(state=RolloutState.FAILED)


def is_unscrolled(page: Page, selector: str) -> bool:
    """Whether the whole part stands above the bar in the first screen."""
    part, bar = page.locator(selector).first.bounding_box(), page.locator("#bar").bounding_box()
    assert part is not None
    assert bar is not None
    return part["y"] >= 0 and part["y"] + part["height"] <= bar["y"]


@long
@pytest.mark.parametrize("size", [PHONE, NARROW])
def test_nothing_of_the_top_layer_scrolls_sideways(
    shop: Shop, rollout: Rollout, visitors: Visitors, size: tuple[int, int]
) -> None:
    shop.auth.name = LONG_NAME
    shop.auth.save(update_fields=["name"])
    runs(shop.auth, shop.environment, "4.0.0-a-version-of-forty-letters-exactly-")
    fail(rollout, shop)
    ready = make_release(shop, at="approved")
    step = rollout.steps.get(kind="wait_rollout", service=shop.auth)
    visitor = visitors.enter(shop.cast.author, size)
    for path in (
        "/",
        "/board/",
        f"/services/{LONG_NAME}/{shop.environment.name}/",
        f"/releases/{ready.number}/start/",
        f"/rollouts/{rollout.pk}/",
        f"/rollouts/{rollout.pk}/stop/",
        f"/rollouts/{rollout.pk}/rollback/",
        f"/rollouts/{rollout.pk}/steps/{step.pk}/skip/",
    ):
        page = visitor.go(path)
        expect(page.locator("h1")).to_be_visible()
        assert width_of(page) <= size[0], path
    assert visitor.complaints == []


@long
def test_a_failed_rollout_shows_cause_words_and_choices_unscrolled(
    shop: Shop, rollout: Rollout, visitors: Visitors
) -> None:
    fail(rollout, shop)
    page = visitors.enter(shop.cast.author, DESKTOP).go(f"/rollouts/{rollout.pk}/")
    for part in (".failure p", ".failure-said", ".failure form", ".failure a.button-danger"):
        assert is_unscrolled(page, part), part


@long
def test_stop_is_reached_and_given_by_keyboard_alone(
    shop: Shop, rollout: Rollout, visitors: Visitors
) -> None:
    page = visitors.enter(shop.cast.author).go(f"/rollouts/{rollout.pk}/")
    for _press in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "bar-stop":
            break
    expect(page.locator("#bar-stop")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#panel")).to_be_focused()
    assert Order.objects.count() == 0
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#rollout")).to_contain_text("Stop asked")
    order = Order.objects.get()
    assert (order.kind, order.by) == ("stop", shop.cast.author)
    assert order.reason


@long
def test_starting_and_stopping_work_without_scripts(
    shop: Shop, approved: Release, visitors: Visitors
) -> None:
    page = visitors.enter(shop.cast.author, PHONE, scripts=False).go(f"/releases/{approved.number}/start/")
    page.get_by_role("button", name="Start rollout").click()
    rollout = Rollout.objects.get(release=approved)
    assert page.url.endswith(f"/rollouts/{rollout.pk}/")
    # Nothing pushes here: the page asks to be loaded again every ten seconds.
    assert 'http-equiv="refresh" content="10"' in page.content()
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#rollout")).to_contain_text("Pause asked")
    page.get_by_role("link", name="Stop").click()
    page.get_by_role("button", name="Errors seen").click()
    expect(page.locator("#rollout")).to_contain_text("Stop asked")
    given = Order.objects.order_by("pk").values_list("kind", "reason")
    assert list(given) == [("pause", ""), ("stop", "Errors seen")]


@long
def test_a_log_goes_on_while_the_page_around_it_is_drawn_anew(
    shop: Shop, rollout: Rollout, visitors: Visitors, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = ["listening"]
    rollout.steps.filter(kind="set_image", service=shop.auth).update(state=StepState.RUNNING)
    Rollout.objects.filter(pk=rollout.pk).update(state=RolloutState.RUNNING)

    def tail(*_of: object, **_more: object) -> Tail:
        return Tail(pod="auth-1", container="app", containers=("app",), previous=False, lines=tuple(said))

    monkeypatch.setattr(logs, "newest_tail", tail)
    visitor, sockets = visitors.enter(shop.cast.author), list[WebSocketRoute]()
    visitor.page.route_web_socket("**/ws/live", lambda socket: sockets.append(socket))  # noqa: PLW0108
    page = visitor.go(f"/rollouts/{rollout.pk}/")
    page.wait_for_selector('body[data-connection="live"]')
    log = page.locator("#log-lines")
    expect(log).to_have_text("listening\n")
    rollout.steps.filter(kind="set_image", service=shop.auth).update(observed={"code": "image_set"})
    sockets[-1].send(json.dumps({"topic": f"rollout.{rollout.pk}", "events": [{"id": AFTER_ALL}]}))
    expect(page.locator("#rollout dl")).to_contain_text("Image set")
    expect(log).to_have_text("listening\n")
    said.append("ready to serve requests")
    expect(log).to_contain_text("ready to serve", timeout=15_000)
    assert visitor.complaints == []


@pytest.fixture
def board(shop: Shop, visitors: Visitors) -> Iterator[Board]:
    """The board before somebody who may compose, with the server's end of its socket."""
    runs(shop.shopping, shop.environment, "4.0.0")
    visitor = visitors.enter(shop.cast.author)
    board = Board(shop=shop, page=visitor.page)
    visitor.page.route_web_socket("**/ws/live", board.accept)
    visitor.go("/board/")
    visitor.page.wait_for_selector('body[data-connection="live"]')
    yield board
    assert visitor.complaints == []


@long
def test_a_tick_on_the_board_survives_what_happens_meanwhile(board: Board) -> None:
    board.tick.check()
    board.move_on("4.1.0")
    board.page.locator("[form=compose]").focus()  # a list waits while somebody is in one of its fields
    expect(board.cell).to_contain_text("4.1.0")
    expect(board.tick).to_be_checked()
    board.page.keyboard.press("Enter")
    expect(board.page.locator("#service-shopping-service")).to_be_checked()


@long
def test_a_tick_made_while_the_board_is_being_fetched_survives_it(board: Board) -> None:
    asked: list[Route] = []
    board.page.route("**/board/part/*", lambda route: asked.append(route), times=1)  # noqa: PLW0108  Playwright marks it
    with board.page.expect_request("**/board/part/*"):
        board.move_on("4.1.0")
    board.tick.check()
    with board.page.expect_response("**/board/part/*"):
        asked[0].continue_()
    board.page.locator("[form=compose]").click()
    expect(board.page.locator("#service-shopping-service")).to_be_checked()


@long
@pytest.mark.parametrize("scripts", [True, False])
def test_a_phone_shows_one_environment_with_its_trouble_first(
    shop: Shop, visitors: Visitors, *, scripts: bool
) -> None:
    place = {
        "system": "shop",
        "stage": "staging",
        "cluster": shop.environment.cluster,
        "namespace": "staging",
    }
    staging = Environment.objects.create(name="shop-staging", **place)
    shop.shopping.environments.add(staging)
    rights.grant()
    runs(shop.shopping, staging, "4.1.0")
    for service, health in ((shop.auth, "healthy"), (shop.shopping, "degraded")):
        found = runs(service, shop.environment, "4.0.0")
        found.seen["health"] = health
        found.save(update_fields=["seen"])
    visitor = visitors.enter(shop.cast.author, PHONE, scripts=scripts)
    page = visitor.go("/board/")
    cells = page.locator("a.board-cell:visible")
    first = f"/services/shopping-service/{shop.environment.name}/"
    expect(cells.first).to_have_attribute("href", first)
    assert page.locator(f'a[href="{first}"]:visible').count() == 1
    link = page.get_by_role("navigation", name="Environment").get_by_role("link", name="staging")
    link.focus()
    page.keyboard.press("Enter")
    expect(cells).to_have_count(1)
    expect(cells).to_contain_text("4.1.0")
    page.set_viewport_size({"width": DESKTOP[0], "height": DESKTOP[1]})
    expect(page.get_by_role("navigation", name="Environment")).to_be_hidden()
    expect(page.locator(f'a[href="{first}"]:visible')).to_have_count(1)
    assert visitor.complaints == []


@long
def test_on_a_phone_a_long_value_stands_where_the_short_ones_do(shop: Shop, visitors: Visitors) -> None:
    for name, cron in (("short", "0 2 * * *"), ("long", "30 4 * * 0")):
        spec = {"name": name, "what": "health", "cron": cron, "timeZone": "Asia/Seoul"}
        Schedule.objects.create(environment=shop.environment, name=name, spec=spec, next_at=clock.now())
    page = visitors.enter(shop.cast.author, PHONE).go(f"/environments/{shop.environment.name}/schedules/")
    values = page.locator('td[data-label="When"] .cell-value').all()
    boxes = [box for each in values if (box := each.bounding_box())]
    assert len({round(box["x"] + box["width"]) for box in boxes}) == 1


@long
def test_a_button_of_the_bar_keeps_its_line_beside_why_it_is_off(
    shop: Shop, rollout: Rollout, visitors: Visitors
) -> None:
    rollout.steps.filter(kind="set_image").update(intent={"changes": []})
    Rollout.objects.filter(pk=rollout.pk).update(state=RolloutState.STOPPED)
    newer = make_release(shop, at="approved", items=[{"service": "auth-service", "version": "4.2.0"}])
    replacing = start_rollout(newer.number, actor=acting(shop.cast.author))
    replacing.steps.filter(kind="set_image").update(intent={"changes": []})
    Rollout.objects.filter(pk=replacing.pk).update(state=RolloutState.SUCCEEDED)
    page = visitors.enter(shop.cast.author, PHONE).go(f"/rollouts/{rollout.pk}/")
    button = page.locator("#bar-rollback")
    expect(button).to_have_attribute("aria-disabled", "true")
    box = button.bounding_box()
    assert box is not None
    assert box["height"] < 60
    assert width_of(page) <= PHONE[0]


@long
def test_the_focus_stays_on_a_link_of_the_board(board: Board) -> None:
    board.cell.focus()
    board.move_on("4.1.0")
    expect(board.cell).to_contain_text("4.1.0")
    expect(board.cell).to_be_focused()
