"""The disk of everything is really full: the portal says so, keeps nothing by halves, and goes on."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import requests

from tests.bench import portal as people
from tests.embedded.processes import wait_for
from tests.embedded.whole import MANAGE, OURS, Portal
from tests.faults.small_disk import SmallDisk, small_disk
from tests.faults.test_everything import acts
from tests.soak import soak

VERSIONS = {"config-service": "v1.4.0", "auth-service": "v1.4.0"}
TITLE = "On a full disk"
MEGABYTES = 400
BEGIN_SECONDS = 120.0
FULL_SECONDS = 30.0
# A server that cannot start is tried again every 30 seconds at the latest.
BACK_SECONDS = 90.0


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "var", megabytes=MEGABYTES) as made:
        yield made


@pytest.fixture
def whole(disk: SmallDisk) -> Iterator[Portal]:
    """A portal whose data stand on that disk."""
    made = Portal(disk.folder)
    yield made
    if made.process is not None and made.process.poll() is None:
        made.stop()


def compose(asking: people.Portal, title: str) -> requests.Response:
    """Ask for a draft, in English, whatever comes of it."""
    (token,) = (each["token"] for each in asking.report["people"] if each["username"] == "jiho")
    items = [{"service": "blog-service", "version": "v1.4.0"}]
    return requests.post(
        f"{asking.report['url']}/api/v1/releases",
        json={"title": title, "environment": people.ENVIRONMENT, "items": items, "changes": [], "facts": {}},
        headers={"Authorization": f"Bearer {token}", "Accept-Language": "en"},
        timeout=30,
    )


def manage(report: dict[str, Any], *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the portal on its database."""
    env = {name: value for name, value in os.environ.items() if name not in OURS}
    env |= {"DATABASE_URL": report["database_url"], "REDIS_URL": report["redis_url"], "SECRET_KEY": "x" * 50}
    return subprocess.run(
        [sys.executable, str(MANAGE), *words], env=env, capture_output=True, text=True, check=False
    )


def fill_until_refused(asking: people.Portal, disk: SmallDisk) -> tuple[set[str], str]:
    """Go on composing on the full disk until it is refused; which were acknowledged, and the refusal."""
    kept: set[str] = set()
    answers: list[requests.Response] = []

    def refused() -> bool:
        disk.fill()
        title = f"{TITLE} {len(answers)}"
        answers.append(compose(asking, title))
        if answers[-1].status_code == 201:
            kept.add(title)
        return answers[-1].status_code == 503

    assert wait_for(refused, seconds=FULL_SECONDS), answers[-1].text
    return kept, str(answers[-1].json()["detail"])


def kill(report: dict[str, Any], kind: str) -> None:
    """`kill -9` of a part: it comes back only when there is room."""
    pids = report["pids"][kind]
    os.kill(pids[0] if isinstance(pids, list) else pids, signal.SIGKILL)


def titles(asking: people.Portal) -> list[str]:
    return [each["title"] for each in asking.call("jiho", "GET", "/releases?limit=100")["items"]]


@soak
def test_a_portal_whose_disk_is_full_says_so_and_goes_on_when_there_is_room(
    whole: Portal, disk: SmallDisk
) -> None:
    asking = people.Portal(process=None, ready_seconds=0, report=whole.start())  # type: ignore[arg-type]
    number = asking.approved_release(VERSIONS)
    rollout = asking.start(number)
    assert wait_for(lambda: bool(acts(asking.events(rollout))), seconds=BEGIN_SECONDS)
    kept, said = fill_until_refused(asking, disk)
    assert "disk of the database is full" in said
    with redis.Redis.from_url(asking.report["redis_url"]) as queue:
        queue.bgsave()
        assert wait_for(lambda: queue.info("persistence")["rdb_last_bgsave_status"] == "err")
        assert queue.set("still", "writes")
    kill(asking.report, "web")
    kill(asking.report, "postgres")
    disk.fill()
    assert not wait_for(lambda: whole.process is None or whole.process.poll() is not None, seconds=10)
    disk.make_room()

    def is_back() -> bool:
        try:
            asking.report.update(whole.report())
            return bool(asking.call("jiho", "GET", f"/rollouts/{rollout}")["state"] == "succeeded")
        except (requests.RequestException, people.Refused):
            return False

    assert wait_for(is_back, seconds=BACK_SECONDS), whole.log.read_text()[-3000:]
    events = asking.events(rollout)
    assert [event["id"] for event in events] == list(range(1, len(events) + 1))
    assert len(acts(events)) == len(set(acts(events))) == len(VERSIONS)
    assert {each for each in titles(asking) if each.startswith(TITLE)} == kept
    verified = manage(asking.report, "audit", "verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert whole.stop() == 0


@soak
def test_a_first_start_on_a_full_disk_says_so_and_spoils_nothing(whole: Portal, disk: SmallDisk) -> None:
    disk.fill()
    environment = {name: value for name, value in os.environ.items() if name not in OURS}
    refused = subprocess.run(
        [sys.executable, str(MANAGE), "run"],
        env={**environment, "PORTAL_DATA": str(disk.folder)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert refused.returncode == 1
    assert "make room there, then start again" in refused.stdout, refused.stdout + refused.stderr
    disk.make_room()
    assert whole.start()["people"]
