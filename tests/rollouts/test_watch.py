"""List and watch: what a collection looks like survives cut, expired and silent watches."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from portal.errors import PermanentError, TemporaryError
from portal.integrations.kubernetes import watch
from portal.integrations.kubernetes.client import Listing
from portal.integrations.kubernetes.watch import CollectionWatch

Json = dict[str, Any]


def pod(uid: str, version: str = "1") -> Json:
    return {"metadata": {"uid": uid, "name": uid, "resourceVersion": version}}


class FakeCluster:
    """Gives listings and streams in their order; a stream may end in an error."""

    def __init__(self, listings: list[Listing], streams: list[list[Json | Exception]]) -> None:
        self.listings = listings
        self.streams = streams
        self.asked: list[str] = []
        self.spent = threading.Event()

    def find(self, _plural: str, _namespace: str, *, fields: str = "") -> Listing:
        self.asked.append("list")
        return self.listings.pop(0) if len(self.listings) > 1 else self.listings[0]

    def watch(self, _path: str, *, version: str, seconds: int, fields: str = "") -> Iterator[Json]:
        self.asked.append(version)
        if not self.streams:
            self.spent.set()
            raise TemporaryError("silent")
        for event in self.streams.pop(0):
            if isinstance(event, Exception):
                raise event
            yield event


def run(cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch) -> tuple[CollectionWatch, list[str]]:
    """Run the loop until the script is spent; gives what was told."""
    monkeypatch.setattr(watch, "BACKOFF_SECONDS", (0.001,))
    told: list[str] = []
    made = CollectionWatch(cluster, "pods", "shop", seen=lambda kind, _body: told.append(kind))  # type: ignore[arg-type]
    thread = threading.Thread(target=made.run)
    thread.start()
    assert cluster.spent.wait(timeout=5)
    made.end()
    thread.join(timeout=5)
    assert not thread.is_alive()
    return made, told


def test_changes_are_followed_from_the_lists_version(monkeypatch: pytest.MonkeyPatch) -> None:
    stream: list[Json | Exception] = [
        {"type": "ADDED", "object": pod("b", "11")},
        {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "15"}}},
        {"type": "DELETED", "object": pod("a", "16")},
    ]
    cluster = FakeCluster([Listing([pod("a")], "10"), Listing([pod("b")], "20")], [stream])
    made, told = run(cluster, monkeypatch)
    assert cluster.asked[:3] == ["list", "10", "16"]
    assert told[:3] == ["LISTED", "ADDED", "DELETED"]
    assert set(made.objects) == {"b"}


@pytest.mark.parametrize(
    "ending",
    [
        {"type": "ERROR", "object": {"code": 410, "reason": "Expired"}},
        PermanentError("too old", code="expired"),
        TemporaryError("cut", code="unreachable"),
        PermanentError("no right to watch", code="forbidden"),
    ],
)
def test_after_any_bad_end_everything_is_listed_again(
    monkeypatch: pytest.MonkeyPatch, ending: Json | Exception
) -> None:
    cluster = FakeCluster([Listing([pod("a")], "10"), Listing([pod("c")], "30")], [[ending]])
    made, told = run(cluster, monkeypatch)
    assert cluster.asked[:4] == ["list", "10", "list", "30"]
    assert told.count("LISTED") >= 2
    assert set(made.objects) == {"c"}


def test_a_watch_that_ends_in_order_goes_on_where_it_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    first: list[Json | Exception] = [{"type": "MODIFIED", "object": pod("a", "12")}]
    cluster = FakeCluster([Listing([pod("a")], "10")], [first, []])
    run(cluster, monkeypatch)
    assert cluster.asked[:4] == ["list", "10", "12", "12"]
