"""The page of a service, on a cluster that answers and on one that does not."""

import pytest
from django.test import Client

from tests.cluster.api import Json
from tests.cluster.conftest import USES_CONTROL_PLANE
from tests.cluster.contract.autoscaling import autoscaler
from tests.cluster.engine.conftest import Lay
from tests.pages.rollouts.conftest import browser
from tests.portal.api import ApiClient
from tests.rollouts.floor import Floor
from tests.soak import long

PLACE = "/services/api/floor-production/"


def reader(floor: Floor) -> Client:
    """Somebody with no role at all, who reads English."""
    user = floor.shop.cast.outsider
    user.language = "en"
    user.save(update_fields=["language"])
    return browser(user)


def here(floor: Floor) -> Json:
    """The same by the API."""
    answer = ApiClient(floor.shop.cast.outsider).get(PLACE.rstrip("/"))
    assert answer.status_code == 200, answer.content
    found: Json = answer.json()
    return found


@long
def test_the_pods_and_the_bounds_of_their_autoscaler_are_shown(lay_floor: Lay) -> None:
    floor = lay_floor()
    floor.space.create(autoscaler("api", minimum=1, maximum=4))
    pod = floor.space.pods("api")[0]["metadata"]["name"]
    page = reader(floor).get(PLACE).content.decode()
    for text in (pod, "1–4", "Running", "1/1"):
        assert text in page
    seen = here(floor)
    assert [each["name"] for each in seen["pods"]] == [pod]
    assert seen["pods"][0]["health"] == "healthy"
    assert seen["workloads"][0]["autoscaler"] == {"min": 1, "max": 4}
    assert seen["cluster_error"] is None
    # A bare control plane measures nothing, and the page says so.
    assert seen["metrics"] is not USES_CONTROL_PLANE
    assert ("No metrics" in page) is USES_CONTROL_PLANE
    assert (seen["pods"][0]["memory_bytes"] is None) is USES_CONTROL_PLANE


@long
def test_a_workload_that_is_gone_is_said_to_be(lay_floor: Lay) -> None:
    floor = lay_floor()
    service = floor.services["api"]
    service.spec["workloads"][0]["name"] = "nowhere"
    service.save(update_fields=["spec"])
    assert "It does not exist in the cluster." in reader(floor).get(PLACE).content.decode()
    assert here(floor)["workloads"][0]["exists"] is False


@long
def test_a_cluster_that_is_away_leaves_what_was_seen_last(
    lay_floor: Lay, monkeypatch: pytest.MonkeyPatch
) -> None:
    floor = lay_floor()
    release = floor.release()
    cluster = floor.environment.cluster
    cluster.spec = {"kubeconfigRef": "env:NOT_THERE"}
    cluster.save(update_fields=["spec"])
    page = reader(floor).get(PLACE)
    assert page.status_code == 200
    text = page.content.decode()
    assert "The cluster does not answer." in text
    assert f"#{release.number}" in text
    assert here(floor)["cluster_error"]


def test_a_stranger_to_a_private_environment_finds_nothing(lay_floor: Lay) -> None:
    floor = lay_floor()
    client = ApiClient(floor.shop.cast.outsider)
    assert client.get("/services/api/elsewhere").status_code == 404
    assert client.get("/services/nothing/floor-production").status_code == 404
    assert reader(floor).get("/services/api/elsewhere/part/").status_code == 404
