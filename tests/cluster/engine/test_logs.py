"""The end of a log: only of the service's own pods, masked, bounded; simulated nodes have none to give."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client

from releases.rollouts import pod_logs
from tests.cluster.api import Json
from tests.cluster.conftest import USES_CONTROL_PLANE
from tests.cluster.engine.conftest import Lay
from tests.cluster.objects import deployment, failing, wait_for
from tests.pages.rollouts.conftest import browser
from tests.portal.api import ApiClient
from tests.rollouts.floor import Floor
from tests.soak import long

SAID = "fatal: postgres://shop:hunter2hunter2@db:5432/shop refused <b>you</b>"


@pytest.fixture(autouse=True)
def _free_seats() -> Iterator[None]:
    pod_logs.SEATS.taken.clear()
    yield
    pod_logs.SEATS.taken.clear()


def reader(floor: Floor) -> Client:
    user = floor.shop.cast.outsider
    user.language = "en"
    user.save(update_fields=["language"])
    return browser(user)


def ask(floor: Floor, pod: str, **query: Any) -> Any:
    """Read a log by the API, as somebody with no role at all."""
    words = "&".join(f"{key}={value}" for key, value in query.items())
    path = f"/services/api/floor-production/pods/{pod}/log?{words}"
    return ApiClient(floor.shop.cast.outsider).get(path)


def page(floor: Floor, pod: str, *, part: str = "", query: str = "") -> Any:
    return reader(floor).get(f"/services/api/floor-production/pods/{pod}/log/{part}{query}")


def only_pod(floor: Floor) -> str:
    return str(floor.space.pods("api")[0]["metadata"]["name"])


def crashed(lay_floor: Lay) -> tuple[Floor, str]:
    """A floor whose pod writes an address with a password and dies, again and again."""
    crashing = deployment("api", pod_annotations=failing("CrashLoopBackOff", message=SAID))
    floor = lay_floor(objects={"api": crashing}, unsettled=("api",))

    def restarted() -> Json | None:
        for pod in floor.space.pods("api"):
            for each in (pod.get("status") or {}).get("containerStatuses") or []:
                if each.get("restartCount"):
                    return dict(pod)
        return None

    pod = wait_for(restarted, what="a pod that was restarted")
    return floor, str(pod["metadata"]["name"])


@long
@pytest.mark.skipif(USES_CONTROL_PLANE, reason="simulated nodes have no logs")
def test_the_lines_are_shown_masked_and_as_text(lay_floor: Lay) -> None:
    floor, pod = crashed(lay_floor)
    answer = ask(floor, pod, previous="true", lines=50)
    assert answer.status_code == 200, answer.content
    seen = answer.json()
    assert (seen["container"], seen["containers"], seen["previous"]) == ("web", ["web"], True)
    assert "fatal: postgres://•••@db:5432/shop refused <b>you</b>" in seen["lines"]
    text = page(floor, pod, query="?previous=1").content.decode()
    assert "hunter2" not in text
    assert "refused &lt;b&gt;you&lt;/b&gt;" in text


@long
@pytest.mark.skipif(USES_CONTROL_PLANE, reason="simulated nodes have no logs")
def test_who_follows_is_told_to_stop_after_a_while(lay_floor: Lay) -> None:
    floor = lay_floor()
    pod = only_pod(floor)
    following = page(floor, pod, query=f"?until={'9' * 11}").content.decode()
    assert "every 3s" in following
    assert "until=99999999999" not in following.partition("<main")[2]
    assert page(floor, pod, part="part/", query="?until=99999999999").status_code == 200
    ended = page(floor, pod, part="part/", query="?until=1")
    assert ended.status_code == 286
    assert "every 3s" not in ended.content.decode()


@long
def test_who_follows_a_pod_that_goes_away_keeps_its_last_lines(lay_floor: Lay) -> None:
    floor = lay_floor()

    gone = page(floor, "api-that-was", part="part/", query="?until=99999999999")

    assert (gone.status_code, gone["HX-Retarget"]) == (286, "#log-follows"), "the lines are not replaced"
    assert "api has no such pod any more" in gone.content.decode()
    assert page(floor, "api-that-was").status_code == 404
    assert reader(floor).get("/services/no/floor-production/pods/x/log/part/").status_code == 404


@pytest.mark.skipif(USES_CONTROL_PLANE, reason="simulated nodes have no logs")
def test_too_many_readers_are_asked_to_wait(lay_floor: Lay) -> None:
    floor = lay_floor()
    pod, person = only_pod(floor), floor.shop.cast.outsider.pk
    for number in range(pod_logs.MOST_OF_ONE):
        pod_logs.SEATS.take(person, f"other-{number}", "")
    refused = ask(floor, pod)
    assert (refused.status_code, refused.json()["code"]) == (409, "too_many_readers")
    assert "Too many logs" in page(floor, pod).content.decode()


def test_where_there_is_no_log_the_cluster_says_why(lay_floor: Lay) -> None:
    waiting = deployment("api", pod_annotations=failing("ErrImagePull"))
    floor = lay_floor(objects={"api": waiting}, unsettled=("api",))
    pod = str(wait_for(lambda: floor.space.pods("api"), what="a pod")[0]["metadata"]["name"])
    refused = ask(floor, pod)
    assert refused.status_code in {502, 503}
    shown = page(floor, pod)
    assert shown.status_code == 200
    assert "<pre" not in shown.content.decode().partition("<main")[2]


@long
def test_only_pods_of_the_service_are_read(lay_floor: Lay) -> None:
    floor = lay_floor()
    floor.space.create(deployment("stranger"))
    floor.space.settle("stranger")
    [stranger] = floor.space.pods("stranger")
    for name in (stranger["metadata"]["name"], "nothing", "..%2f..%2fsecrets%2fx", "A", "%00"):
        assert ask(floor, name).status_code == 404, name
        pod_logs.SEATS.taken.clear()
    assert page(floor, stranger["metadata"]["name"]).status_code == 404
    assert ask(floor, only_pod(floor), container="other").status_code == 404


@pytest.mark.parametrize("query", [{"lines": 0}, {"lines": 10**6}, {"lines": "x"}, {"more": 1}], ids=str)
def test_no_more_lines_than_are_bounded(lay_floor: Lay, query: dict[str, Any]) -> None:
    floor = lay_floor()
    assert ask(floor, only_pod(floor), **query).status_code == 422
