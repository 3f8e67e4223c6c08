"""The applications behind Services answer HTTP on loopback."""

import ipaddress
import socket
from pathlib import Path

import pytest
import urllib3

from tests.cluster.objects import Space, deployment, failing, service, wait_for
from tests.practice.conftest import Practice, plain_get
from tests.soak import long

PORT = 18080


def _url(space: Space, path: str) -> str:
    seen = space.get("services", "web")
    address = seen["spec"]["clusterIP"]
    assert ipaddress.ip_address(address).is_loopback
    # The listener opens just behind the Service, as a proxy's rules do on a real node.
    wait_for(lambda: _listens(address), what="the listener")
    return f"http://{address}:{PORT}{path}"


def _listens(address: str) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((address, PORT)) == 0


def test_health_and_pages_answer(space: Space) -> None:
    space.create(service("web", selector={"app": "web"}, port=PORT))
    space.create(deployment("web", image="registry.practice/shop/web:1.1"))
    space.settle("web")
    code, _, body = plain_get(_url(space, "/actuator/health"))
    assert (code, body["status"]) == (200, "UP")
    assert "components" in body
    for path, wanted in (("/health", 200), ("/", 200), ("/api/v1/auth/health", 200), ("/nothing", 404)):
        assert plain_get(_url(space, path))[0] == wanted
    assert b"version 1.1" in plain_get(_url(space, "/"))[2]


@pytest.mark.parametrize("by", ["annotation", "label"])
def test_an_application_that_is_down_says_so(space: Space, by: str) -> None:
    space.create(service("web", selector={"app": "web"}, port=PORT))
    marks = {"practice/health": "DOWN"} if by == "annotation" else {}
    image = "registry.practice/shop/web:1.0" if by == "annotation" else "registry.practice/shop/web:1.3"
    space.create(deployment("web", image=image, pod_annotations=marks))
    space.settle("web")
    code, _, body = plain_get(_url(space, "/actuator/health"))
    assert (code, body["status"]) == (503, "DOWN")


def test_without_a_ready_pod_nobody_is_there(space: Space) -> None:
    space.create(service("web", selector={"app": "web"}, port=PORT))
    space.create(deployment("web", pod_annotations=failing("NeverReady")))
    wait_for(lambda: space.pods("web"), what="a pod")
    assert plain_get(_url(space, "/health"))[0] == 503


def test_a_service_that_is_gone_no_longer_listens(space: Space) -> None:
    space.create(service("web", selector={"app": "web"}, port=PORT))
    url = _url(space, "/health")
    assert plain_get(url)[0] == 503
    space.delete("services", "web")

    def refused() -> bool:
        try:
            plain_get(url)
        except urllib3.exceptions.HTTPError:
            return True
        return False

    assert wait_for(refused, what="the listener to close")


@long
def test_clusters_beside_each_other_answer_for_their_own(practice: Practice, tmp_path: Path) -> None:
    other = Practice(tmp_path)
    other.start()
    apis = [practice.api, other.api]
    try:
        for api in apis:
            Space(api, "default").create(service("twin", selector={"app": "twin"}, port=PORT))
        addresses = [Space(api, "default").get("services", "twin")["spec"]["clusterIP"] for api in apis]
        assert addresses[0] != addresses[1]
    finally:
        Space(apis[0], "default").delete("services", "twin")
        for api in apis:
            api.close()
        other.end()
