"""The board of 500 services in three environments: in a browser against the same page as a plain file, and
how soon a change in a cluster stands on the screen."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from statistics import median
from typing import Any

from portal.embedded.ports import free_port
from tests.bench.database import with_database
from tests.bench.portal import ENVIRONMENT, Portal, running_portal
from tests.bench.row import Row
from tests.embedded.processes import wait_for

SERVICES = 500
FEW = 20
ROUNDS = 15
CHANGES = 7
TIMES = 1.5
SCREEN_SECONDS = 1.0
BOARD, PLAIN = "/board/", "/plain/"
SERVICE = "blog-service"
LOADED = "() => performance.getEntriesByType('navigation')[0].loadEventEnd"


def run() -> list[Row]:
    """Measure the page on a database of its own, and the delay on a whole portal."""
    return [*with_database(_measure_page), *_measure_delay()]


def _measure_page() -> list[Row]:
    client, fill = _shop()
    fill(0, FEW)
    few = _count(client)
    fill(FEW, SERVICES)
    _analyze()
    queries = _count(client) - few
    body = client.get(BOARD).content
    with _served(body) as address, _browser(client, address) as page:
        times: dict[str, list[float]] = {BOARD: [], PLAIN: []}
        for _round in range(ROUNDS):
            for path, found in times.items():
                found.append(min(_load(page, address + path) for _each in range(2)))
    ratios = [board / plain for board, plain in zip(times[BOARD], times[PLAIN], strict=True)]
    ratio = median(times[BOARD]) / median(times[PLAIN])
    what = f"first page of {SERVICES} services in 3 environments"
    return [
        Row.of(f"{what}: loaded in the browser", times[BOARD], "ms"),
        Row.of("the same page as a plain file", times[PLAIN], "ms"),
        Row("board / plain file", ratio, "ratio", target=TIMES, runs=[round(each, 3) for each in ratios]),
        Row(f"queries: {SERVICES} services more than {FEW}", queries, "queries", target=0),
    ]


def _shop() -> tuple[Any, Callable[[int, int], None]]:
    """A client, and what adds services that run in three environments."""
    from django.test import Client  # noqa: PLC0415  needs settings

    from releases.catalog import rights  # noqa: PLC0415
    from releases.catalog.models import Environment  # noqa: PLC0415
    from tests.factories import make_service, make_shop, runs  # noqa: PLC0415

    shop = make_shop()
    places = [shop.environment]
    for stage in ("staging", "development"):
        place = {"system": "shop", "stage": stage, "cluster": shop.environment.cluster, "namespace": stage}
        places.append(Environment.objects.create(name=f"shop-{stage}", **place))

    def fill(begin: int, end: int) -> None:
        for number in range(begin, end):
            service = make_service(f"service-{number:03}", shop.payment.team, shop.environment)
            service.environments.set(places)
            for place in places:
                _look(runs(service, place, "2.7.4"), hours=7 * number + place.pk)
        rights.grant()

    client = Client()
    client.force_login(shop.cast.author)
    return client, fill


def _look(row: Any, *, hours: int) -> None:
    """Write of what runs what the watcher does, all of it as approved, since some hours."""
    name, labels = f"Deployment/{row.service.name}", {"app": row.service.name}
    workload = {"uid": row.service.name, "replicas": 2, "autoscaler": None}
    workload |= {key: row.seen[key] for key in ("images", "digests")}
    objects = {"workloads": {name: workload}, "selectors": {row.service.name: labels}}
    state = {"ready": 2, "wanted": 2, "health": "healthy", "text": "", "generation": 1}
    row.expected = {"digests": row.seen["digests"], **objects}
    row.seen |= state | objects
    row.since = row.seen_at - timedelta(hours=hours)
    row.save()


def _analyze() -> None:
    """Let the planner know of the rows, as a database that lives on its own does after a minute."""
    from django.db import connection  # noqa: PLC0415  needs settings

    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def _count(client: Any) -> int:
    from django.db import connection  # noqa: PLC0415  needs settings
    from django.test.utils import CaptureQueriesContext  # noqa: PLC0415

    client.get(BOARD)
    with CaptureQueriesContext(connection) as captured:
        client.get(BOARD)
    return len(captured)


@contextmanager
def _served(body: bytes) -> Iterator[str]:
    """Serve the portal as `run web` does and, beside it, the same page as it came."""
    import uvicorn  # noqa: PLC0415

    from portal.asgi import application  # noqa: PLC0415  needs settings
    from portal.embedded.management.commands.run import SWITCH_SECONDS, search_less  # noqa: PLC0415
    from portal.live.protocol import LiveProtocol  # noqa: PLC0415

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        if scope.get("path") != PLAIN:
            await application(scope, receive, send)
            return
        headers = [(b"content-type", b"text/html; charset=utf-8"), (b"cache-control", b"no-store")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    sys.setswitchinterval(SWITCH_SECONDS)
    search_less()
    port = free_port()
    told = uvicorn.Config(
        answer, port=port, ws=LiveProtocol, lifespan="off", log_config=None, log_level="warning"
    )
    server = uvicorn.Server(told)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    assert wait_for(lambda: server.started, seconds=30)
    try:
        yield f"http://testserver:{port}"
    finally:
        server.should_exit = True
        thread.join(30)


@contextmanager
def _browser(client: Any, address: str) -> Iterator[Any]:
    from django.conf import settings  # noqa: PLC0415  needs settings
    from playwright.sync_api import sync_playwright  # noqa: PLC0415

    from tests.chromium import find_chromium, window  # noqa: PLC0415

    cookie = client.cookies[settings.SESSION_COOKIE_NAME].value
    rules = "--host-resolver-rules=MAP testserver 127.0.0.1"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=find_chromium(), args=["--no-sandbox", "--disable-gpu", rules]
        )
        context = window(browser, 1440, 900)
        context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": cookie, "url": address}])
        yield context.new_page()
        browser.close()


def _load(page: Any, address: str) -> float:
    """Milliseconds until a page is loaded, asked for when the one before has come to rest.

    A page opens its socket as soon as it is there. No person asks for the next one at that very moment: the
    server would be busy with both, and the load of one page be measured together with the socket of another.
    """
    page.wait_for_load_state("networkidle")
    answer = page.goto(address, wait_until="load")
    assert answer.status == 200, (address, answer.status)
    return float(page.evaluate(LOADED))


def _measure_delay() -> list[Row]:
    """Change an image past the portal again and again, and put it back; look at the board all the while."""
    from tests.chromium import chromium, window  # noqa: PLC0415  needs playwright

    with running_portal() as portal, chromium() as browser:
        link = next(each["login_url"] for each in portal.report["people"] if each["username"] == "jiho")
        page = window(browser, 1440, 900).new_page()
        page.goto(link)
        page.click("main button")
        page.goto(portal.report["url"] + BOARD)
        cell = page.locator(f'td:has(a[href="/services/{SERVICE}/{ENVIRONMENT}/"])')
        cell.locator(".version").wait_for(timeout=60_000)
        delays = [_delay(portal, page, cell) for _change in range(CHANGES)]
    return [Row.of("change past the portal to the finding on the screen", delays, "s", target=SCREEN_SECONDS)]


def _delay(portal: Portal, page: Any, cell: Any) -> float:
    """Seconds from the cluster's answer until the cell says so; then everything as before."""
    mark = cell.locator('a[href^="/findings/"]:visible').first
    mark.wait_for(state="detached", timeout=60_000)
    page.wait_for_timeout(2_000)
    before = _set_image(portal, f"registry.practice/{SERVICE}:other-{time.time_ns()}")
    since = time.perf_counter()
    mark.wait_for(state="attached", timeout=60_000)
    seconds = time.perf_counter() - since
    _set_image(portal, before)
    return seconds


def _set_image(portal: Portal, image: str) -> str:
    """Write an image into the Deployment, and return the one before."""
    from portal.integrations.kubernetes.client import connect  # noqa: PLC0415  slow to import
    from portal.integrations.kubernetes.workloads import Reference  # noqa: PLC0415

    cluster = connect({"kubeconfigRef": f"file:{portal.kubeconfig}"})
    workload = cluster.workload(Reference("Deployment", NAMESPACE, SERVICE))
    (container,) = list(workload.images)[-1:]
    cluster.set_images(workload, {container: image}, annotations={})
    return workload.images[container]


NAMESPACE = "portal-universe"
