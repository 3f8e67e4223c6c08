"""The scripts in a real browser, under a strict content security policy."""

import json
import re
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

import pytest
from playwright.sync_api import Browser, Page, Route, WebSocketRoute, expect

from portal.ui.templatetags.ui import opens
from tests.chromium import chromium, window
from tests.soak import long
from tests.ui.test_pages import Reader, gallery

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("scripts")]

STATIC = Path(__file__).resolve().parents[2] / "static"
POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self' ws:"
KINDS = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
PART = (
    '<section id="part" hx-get="/part" hx-trigger="live" hx-swap="outerHTML" data-live-topic="rollout.7" '
    'data-live-after="{after}"><h2>drawn {drawn}</h2><button id="inside">x</button><input id="text" value="">'
    "</section>"
)
# Within a part that selects and swaps in its own way, as on the page of a rollout.
OPENERS = '<div id="panel-place"></div><p hx-select="#part" hx-swap="outerHTML">{links}</p>'
PANEL = (
    '<form class="panel" method="post" action="{path}" hx-post="{path}" hx-target="this" hx-swap="outerHTML">'
    '<h2 id="panel" tabindex="-1" data-decision>{path}</h2><input id="why" value="">'
    '<a id="back" href="/" data-panel-close>Back</a><button id="act">Act</button></form>'
)
FORM = '<form method="post" action="/slow"><button id="go">go</button></form>'


class Site(ThreadingHTTPServer):
    """Serves the gallery with one live part and one slow form, and counts what was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.answer_now = threading.Event()
        self.drawn = self.posted = 0
        html = gallery("en", user=Reader())
        links = (f'<a id="{name}" {opens(f"/panel/{name}")}>{name}</a>' for name in ("stop", "skip"))
        live = OPENERS.format(links=" ".join(links)) + PART.format(after=3, drawn=0) + FORM
        self.page = html.replace('<div class="stack">', f'<div class="stack">{live}', 1)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Answer(BaseHTTPRequestHandler):
    """One request of the browser."""

    def log_message(self, *_args: object) -> None:
        """Keep the test's output quiet."""

    def do_GET(self) -> None:
        site = cast(Site, self.server)
        path = self.path.partition("?")[0]
        if path.startswith("/static/"):
            file = STATIC / path.removeprefix("/static/")
            self.reply(file.read_bytes(), kind=KINDS[file.suffix])
        elif path == "/part":
            site.drawn += 1
            self.reply(PART.format(after=4 + site.drawn, drawn=site.drawn).encode())
        elif path.startswith("/panel/"):
            self.reply(PANEL.format(path=path).encode())
        else:
            self.reply(site.page.encode())

    def do_POST(self) -> None:
        site = cast(Site, self.server)
        site.posted += 1
        if self.path.startswith("/panel/"):
            self.reply(b"", more={"HX-Trigger-After-Swap": "acted"})
            return
        site.answer_now.wait(0.5)
        self.send_response(204)
        self.end_headers()

    def reply(
        self, body: bytes, *, kind: str = "text/html; charset=utf-8", more: Mapping[str, str] | None = None
    ) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", POLICY)
        for name, value in (more or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


class Socket:
    """The server's end of /ws/live, played by the test."""

    def __init__(self) -> None:
        self.routes: list[WebSocketRoute] = []
        self.heard: list[dict[str, Any]] = []
        self.refuses = False

    def accept(self, route: WebSocketRoute) -> None:
        if self.refuses:
            route.close()
            return
        self.routes.append(route)
        route.on_message(lambda message: self.heard.append(json.loads(message)))

    def tell(self, *events: dict[str, Any]) -> None:
        self.routes[-1].send(json.dumps({"topic": "rollout.7", "events": list(events)}))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture
def site() -> Iterator[Site]:
    server = Site()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield server
    server.answer_now.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def socket() -> Socket:
    return Socket()


@pytest.fixture
def page(browser: Browser, site: Site, socket: Socket) -> Iterator[Page]:
    context = window(browser, 1440, 900)
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    page.route_web_socket("**/ws/live", socket.accept)
    page.clock.install()
    page.goto(site.address)
    yield page
    context.close()
    assert complaints == []


def wait_for_subscription(page: Page) -> None:
    page.wait_for_selector('.connection[data-state="live"]')


def run_until(page: Page, selector: str, *, step_ms: int = 500) -> None:
    """Let the page's clock run until it shows; what the server's end sends takes its time to arrive."""
    for _again in range(400):
        page.clock.run_for(step_ms)
        if page.locator(selector).count():
            return
        page.wait_for_timeout(25)
    raise AssertionError(selector)


def focused(page: Page) -> str:
    return str(page.evaluate("document.activeElement.id || document.activeElement.hash"))


def test_a_part_is_drawn_again_when_its_topic_moves(page: Page, site: Site, socket: Socket) -> None:
    wait_for_subscription(page)
    assert socket.heard == [{"subscribe": "rollout.7", "after": 3}]
    socket.tell({"id": 4}, {"id": 5, "kind": "step.failed", "text": "web failed"})
    run_until(page, "text=drawn 1")
    assert page.inner_text("#alarm") == "web failed"


def test_an_event_seen_before_draws_nothing(page: Page, site: Site, socket: Socket) -> None:
    wait_for_subscription(page)
    socket.tell({"id": 4})
    run_until(page, "text=drawn 1")
    socket.tell({"id": 4})
    page.clock.run_for(500)
    socket.tell({"id": 6})
    run_until(page, "text=drawn 2")
    assert site.drawn == 2


def test_of_a_stream_of_events_the_first_is_drawn_at_once_and_the_rest_once_a_second(
    page: Page, site: Site, socket: Socket
) -> None:
    wait_for_subscription(page)
    page.clock.pause_at(page.evaluate("Date.now() + 1000") / 1000)  # a slow machine's seconds must not count
    socket.tell({"id": 4})
    run_until(page, "text=drawn 1", step_ms=10)
    for number in range(5, 13):
        socket.tell({"id": number})
        page.wait_for_timeout(10)
        page.clock.run_for(50)
    assert site.drawn == 1
    run_until(page, "text=drawn 2", step_ms=130)
    assert site.drawn == 2


def test_focus_stays_on_a_button_inside_a_live_part(page: Page, socket: Socket) -> None:
    wait_for_subscription(page)
    page.focus("#inside")
    socket.tell({"id": 4})
    run_until(page, "text=drawn 1")
    assert focused(page) == "inside"


def test_typed_text_is_spared_until_it_is_gone(page: Page, site: Site, socket: Socket) -> None:
    wait_for_subscription(page)
    page.fill("#text", "typed")
    socket.tell({"id": 4})
    run_until(page, "#part[data-live-held]")
    assert page.input_value("#text") == "typed"
    assert site.drawn == 0
    page.fill("#text", "")
    page.evaluate("document.activeElement.blur()")
    run_until(page, "text=drawn 1")


def test_text_typed_while_the_answer_is_on_its_way_is_spared(page: Page, socket: Socket) -> None:
    asked: list[Route] = []
    page.route("**/part", lambda route: asked.append(route), times=1)  # noqa: PLW0108  Playwright marks it
    wait_for_subscription(page)
    socket.tell({"id": 4})
    page.clock.run_for(1_000)
    page.wait_for_timeout(200)
    page.fill("#text", "typed")
    asked[0].continue_()
    run_until(page, "#part[data-live-held]")
    assert page.input_value("#text") == "typed"
    page.fill("#text", "")
    page.evaluate("document.activeElement.blur()")
    run_until(page, "text=drawn 2")


def test_a_new_socket_asks_for_what_was_missed(page: Page, socket: Socket) -> None:
    wait_for_subscription(page)
    socket.tell({"id": 9})
    run_until(page, "text=drawn 2")  # the first answer is older than 9, so it is asked for once more
    socket.routes[0].close()
    page.wait_for_timeout(500)
    run_until(page, '.connection[data-state="live"]')
    assert socket.heard[-1] == {"subscribe": "rollout.7", "after": 9}


def test_a_lost_connection_is_said_after_5_seconds_and_polled_after_30(
    page: Page, site: Site, socket: Socket
) -> None:
    wait_for_subscription(page)
    socket.refuses = True
    socket.routes[0].close()
    page.wait_for_timeout(500)
    page.clock.run_for(7_000)
    assert page.inner_text(".connection") == "Reconnecting"
    page.clock.run_for(45_000)
    assert page.inner_text(".connection").endswith("s old")
    assert page.locator(".stale").is_visible()
    expect(page.locator("#part h2")).not_to_have_text("drawn 0")
    assert site.drawn >= 1


@long
def test_keys_move_and_help_but_rest_in_fields(page: Page) -> None:
    page.keyboard.press("j")
    assert focused(page) == "#row-142"
    page.keyboard.press("j")
    page.keyboard.press("k")
    assert focused(page) == "#row-142"
    page.keyboard.press("/")
    assert focused(page) == "search"
    page.keyboard.press("j")
    assert page.input_value("#search") == "j"
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("a")
    assert focused(page) == "panel"
    page.keyboard.press("?")
    assert page.locator("#help").is_visible()


def test_keys_can_be_switched_off(page: Page) -> None:
    page.keyboard.press("?")
    page.uncheck("#keys-on")
    page.keyboard.press("Escape")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("j")
    assert focused(page) != "#row-142"


def test_the_theme_is_remembered_for_the_server(page: Page) -> None:
    page.click(".header .menu summary")
    page.click(".header [data-theme-choice=dark]")
    assert page.get_attribute("html", "data-theme") == "dark"
    assert {"theme": "dark"} in [{c["name"]: c["value"]} for c in page.context.cookies()]
    page.keyboard.press("Escape")
    assert not page.locator(".header .menu-sheet").is_visible()


def test_a_form_pressed_twice_is_sent_once_and_shown_busy(page: Page, site: Site) -> None:
    press = "document.getElementById('go').click()"
    page.evaluate(f"setTimeout(() => {{ {press}; {press}; }}, 0)")
    page.clock.run_for(10)
    assert page.get_attribute("#go", "aria-busy") == "true"
    site.answer_now.set()
    page.wait_for_timeout(100)
    assert site.posted == 1


def open_panel(page: Page, name: str) -> None:
    page.click(f"#{name}")
    page.wait_for_selector(f"#panel:text-is('/panel/{name}')")


def test_panels_take_each_others_place_and_give_the_focus_back(page: Page) -> None:
    for name in ("stop", "skip"):
        open_panel(page, name)
        expect(page.locator("#panel-place #panel")).to_be_focused()
    assert page.locator("#panel-place .panel").count() == 1
    page.fill("#why", "typed")
    page.keyboard.press("Escape")
    assert page.input_value("#why") == "typed"
    page.fill("#why", "")
    page.keyboard.press("Escape")
    assert (page.locator("#panel-place .panel").count(), focused(page)) == (0, "skip")
    open_panel(page, "stop")
    page.click("#back")
    assert (page.locator("#panel-place .panel").count(), focused(page)) == (0, "stop")


def test_an_act_on_the_page_it_leads_to_reloads_nothing_but_the_live_parts(page: Page, site: Site) -> None:
    open_panel(page, "stop")
    page.click("#act")
    page.wait_for_selector("text=drawn 1")
    assert (page.locator("#panel-place .panel").count(), focused(page)) == (0, "stop")
    assert site.posted == 1


@long
def test_relative_times_stay_true(page: Page) -> None:
    before = page.inner_text("a[href='#row-142'] time [data-relative]")
    page.clock.run_for(120_000)
    assert before == "2 minutes ago"
    assert page.inner_text("a[href='#row-142'] time [data-relative]") == "4 minutes ago"


@long
def test_the_time_left_counts_on_until_it_is_late(page: Page) -> None:
    assert page.inner_text("time[data-left]") == "About 2 min left"
    page.clock.run_for(60_000)
    assert page.inner_text("time[data-left]") == "About 1 min left"
    page.clock.run_for(120_000)
    assert page.inner_text("time[data-left]") == "2 min late"


@long
def test_paper_is_black_on_white_with_whole_digests_and_nothing_to_press(page: Page) -> None:
    page.click(".header .menu summary")
    page.click(".header [data-theme-choice=dark]")
    page.emulate_media(media="print")
    for part in (".header", ".actionbar", ".tabs", ".button"):
        assert not page.locator(part).first.is_visible(), part
    drawn = "element => getComputedStyle(element, '::after').content"
    digest = page.locator(".digest > span").first
    assert digest.get_attribute("title") in digest.evaluate(drawn)
    colour = page.evaluate("getComputedStyle(document.body).color")
    assert max(int(part) for part in re.findall(r"\d+", colour)[:3]) < 64


@long
def test_nothing_scrolls_sideways(browser: Browser, site: Site) -> None:
    context = window(browser, 1440, 844)
    page = context.new_page()
    page.goto(site.address)
    for width in (320, 390, 768, 1024):
        page.set_viewport_size({"width": width, "height": 844})
        assert page.evaluate("document.documentElement.scrollWidth") == width
    context.close()
