"""The switches for trouble."""

import time

import pytest
import urllib3

from tests.cluster.api import Refused
from tests.cluster.objects import Space, config_map, deployment, wait_for
from tests.practice.conftest import Practice

pytestmark = pytest.mark.usefixtures("no_faults")


def _switch(space: Space, **wanted: object) -> None:
    space.api.replace("practice/faults", wanted)


def test_the_next_requests_are_refused(space: Space) -> None:
    _switch(space, answers=[{"code": 429, "count": 1, "retry_after": 2}, {"code": 503, "count": 1}])
    answer = space.api.ask("GET", space.path("configmaps"))
    assert (answer.code, answer.headers["retry-after"], answer.body["reason"]) == (
        429,
        "2",
        "TooManyRequests",
    )
    assert space.api.ask("GET", space.path("configmaps")).code == 503
    assert space.api.ask("GET", space.path("configmaps")).code == 200


def test_answers_come_late(space: Space) -> None:
    _switch(space, latency_seconds=0.3)
    before = time.monotonic()
    space.find("configmaps")
    assert time.monotonic() - before >= 0.3


def test_watches_are_cut_in_the_middle(space: Space) -> None:
    space.create(config_map("settings"))
    events = space.api.watch(space.path("configmaps"), seconds=10, fieldSelector="metadata.name=settings")
    assert next(events)["type"] == "ADDED"
    _switch(space, cut_watches=True)
    with pytest.raises(urllib3.exceptions.ProtocolError):
        next(events)


def test_watches_are_told_that_they_are_too_late(space: Space) -> None:
    space.create(config_map("settings"))
    events = space.api.watch(space.path("configmaps"), seconds=10, fieldSelector="metadata.name=settings")
    assert next(events)["type"] == "ADDED"
    _switch(space, expire_watches=True)
    last = next(events)
    assert (last["type"], last["object"]["code"], last["object"]["reason"]) == ("ERROR", 410, "Expired")


def test_controllers_stop_and_go_on(space: Space) -> None:
    _switch(space, controllers_stopped=True)
    space.create(deployment("web"))
    time.sleep(0.3)
    assert space.find("replicasets") == []
    _switch(space, controllers_stopped=False)
    assert space.settle("web")["status"]["readyReplicas"] == 1


def test_pods_die_after_a_while(space: Space) -> None:
    _switch(space, pods_die_after_seconds=0.2)
    space.create(deployment("web"))
    wait_for(
        lambda: any(
            pod["status"]["containerStatuses"][0]["restartCount"]
            for pod in space.pods("web")
            if "containerStatuses" in pod["status"]
        ),
        what="a restart",
    )


def test_switches_are_for_administrators(space: Space, practice: Practice) -> None:
    nobody = space.api.as_user(None)
    with pytest.raises(Refused) as refused:
        nobody.get("practice/faults")
    assert refused.value.code == 403
    assert practice.process is not None
