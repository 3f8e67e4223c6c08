"""The client: nothing is repeated silently, errors keep the server's words, writes name what they rest on."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import urllib3
from django.utils import translation

from portal import trace
from portal.errors import PermanentError, TemporaryError
from portal.integrations.kubernetes import client, server
from portal.integrations.kubernetes.client import Answered, Cluster, Right
from portal.integrations.kubernetes.connection import Access
from portal.integrations.kubernetes.workloads import (
    Reference,
    Workload,
    changed_fields,
    last_change_of,
    last_manager,
)
from tests.portal.integrations.answering import never_ending, trickling_headers
from tests.rollouts.scripted_server import Script, scripted_cluster

WEB = Reference("Deployment", "shop", "web")


def deployment(**metadata: Any) -> dict[str, Any]:
    containers = [{"name": "web", "image": "shop/web:1"}, {"name": "side", "image": "mesh:1"}]
    init = [{"name": "migrate", "image": "shop/web:1"}]
    return {
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "shop", "resourceVersion": "41", **metadata},
        "spec": {"replicas": 2, "template": {"spec": {"containers": containers, "initContainers": init}}},
    }


@pytest.fixture
def served() -> Iterator[tuple[Cluster, Script]]:
    with scripted_cluster() as made:
        yield made


@pytest.fixture
def endless() -> Iterator[Callable[[float], Cluster]]:
    """Servers whose answers never end; as fast as they are taken, or a byte after each pause (seconds)."""
    with ExitStack() as running:

        def begin(pause: float) -> Cluster:
            port = running.enter_context(never_ending(pause))
            return Cluster(Access(server=f"http://127.0.0.1:{port}"))

        yield begin


def status(code: int, reason: str, message: str) -> dict[str, Any]:
    return {"kind": "Status", "code": code, "reason": reason, "message": message}


@pytest.mark.parametrize(
    ("code", "named"),
    [(401, "unauthorized"), (403, "forbidden"), (404, "missing"), (422, "invalid"), (410, "expired")],
)
def test_a_refusal_is_permanent_and_keeps_the_servers_words(
    served: tuple[Cluster, Script], code: int, named: str
) -> None:
    cluster, script = served
    script.say(code, status(code, "Any", "the server's own words"))
    with pytest.raises(PermanentError) as refusal:
        cluster.workload(WEB)
    assert (refusal.value.code, refusal.value.detail) == (named, "the server's own words")
    assert len(script.asked) == 1


def test_what_a_refusal_repeats_of_a_secret_is_masked(served: tuple[Cluster, Script]) -> None:
    cluster, script = served
    script.say(422, status(422, "Invalid", 'env[0]: Invalid value: "password=Zq9hunter2": too long'))
    script.say(400, "proxy says: Authorization: Bearer Zq9hunter2hunter2")
    for _answer in range(2):
        with pytest.raises(PermanentError) as refusal:
            cluster.workload(WEB)
        assert "Zq9" not in str(refusal.value.detail)
        assert "•••" in str(refusal.value.detail)


def passed_on(cluster: Cluster) -> Answered | None:
    """What a pod answers through the server."""
    return cluster.ask_pod("shop", "web-1", port=8080, path="/health", seconds=1)


@pytest.mark.parametrize(
    ("code", "body"),
    [(200, {"status": "UP"}), (503, {"status": "DOWN"}), (401, {"error": "log in"})],
)
def test_what_a_pod_answers_is_its_answer_whatever_the_code(
    served: tuple[Cluster, Script], code: int, body: Any
) -> None:
    cluster, script = served
    script.say(code, body)
    assert passed_on(cluster) == Answered(code, body)


@pytest.mark.parametrize(("code", "reason"), [(503, "ServiceUnavailable"), (404, "NotFound")])
def test_a_pod_that_the_server_does_not_reach_has_not_answered(
    served: tuple[Cluster, Script], code: int, reason: str
) -> None:
    cluster, script = served
    script.say(code, {**status(code, reason, "connection refused"), "apiVersion": "v1"})
    assert passed_on(cluster) is None


def test_a_server_that_passes_nothing_on_refuses(served: tuple[Cluster, Script]) -> None:
    cluster, script = served
    script.say(403, {**status(403, "Forbidden", "cannot get pods/proxy"), "apiVersion": "v1"})
    with pytest.raises(PermanentError) as refusal:
        passed_on(cluster)
    assert (refusal.value.code, refusal.value.detail) == ("forbidden", "cannot get pods/proxy")


def test_no_row_is_given_what_it_cannot_keep(served: tuple[Cluster, Script]) -> None:
    cluster, script = served
    said = "died \x00 of \ud800 it \U0001f600"
    script.say(200, deployment(annotations={"note": said}))
    script.say(422, status(422, "Invalid", said))
    script.say(200, {"status": said})
    assert cluster.workload(WEB).annotations == {"note": "died \ufffd of \ufffd it \U0001f600"}
    with pytest.raises(PermanentError) as refusal:
        cluster.workload(WEB)
    assert refusal.value.detail == "died \ufffd of \ufffd it \U0001f600"
    assert passed_on(cluster) == Answered(200, {"status": "died \ufffd of \ufffd it \U0001f600"})


def test_json_without_end_is_no_answer(served: tuple[Cluster, Script]) -> None:
    cluster, script = served
    script.say(200, "[" * 100_000)
    with pytest.raises(TemporaryError) as trouble:
        cluster.workload(WEB)
    assert trouble.value.code == "unreachable"
    assert passed_on(cluster) == Answered(200, None)


def test_a_pod_that_answers_without_end_is_cut_off(endless: Callable[[float], Cluster]) -> None:
    assert passed_on(endless(0.0)) == Answered(200, None)


def test_a_pod_that_trickles_has_not_answered(
    endless: Callable[[float], Cluster], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "CONNECT_SECONDS", 0.5)
    assert passed_on(endless(0.05)) is None


def test_a_server_that_trickles_or_never_ends_does_not_answer(
    endless: Callable[[float], Cluster], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "MOST_BYTES", 1_000_000)
    monkeypatch.setattr(server, "HURRIED_READ_SECONDS", 0.2)
    for pause in (0.0, 0.05):
        cluster = endless(pause).hurried()
        with pytest.raises(TemporaryError) as trouble:
            cluster.workload(WEB)
        assert trouble.value.code == "unreachable"


def test_a_server_whose_headers_trickle_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "HURRIED_READ_SECONDS", 0.2)
    with trickling_headers(0.05) as (port, whole):
        with pytest.raises(TemporaryError) as trouble:
            Cluster(Access(server=f"http://127.0.0.1:{port}")).hurried().workload(WEB)
        assert not whole.is_set()
    assert trouble.value.code == "unreachable"


@pytest.mark.parametrize("said", ["404 page not found", "the server could not find the requested resource"])
def test_a_kind_that_the_cluster_does_not_know_is_told_from_a_missing_object(
    served: tuple[Cluster, Script], said: str
) -> None:
    cluster, script = served
    script.say(404, status(404, "NotFound", said))
    with translation.override("en"), pytest.raises(PermanentError) as refusal:
        cluster.workload(Reference("Rollout", "shop", "web"))
    assert refusal.value.code == "missing"
    with translation.override("en"):
        assert "does not know this kind of object" in str(refusal.value.detail)


@pytest.mark.parametrize(
    ("code", "named"),
    [
        (409, "conflict"),
        (429, "too_many_requests"),
        (500, "server_error"),
        (503, "unavailable"),
        (504, "unavailable"),
    ],
)
def test_what_may_heal_is_temporary_and_asked_once(
    served: tuple[Cluster, Script], code: int, named: str
) -> None:
    cluster, script = served
    script.say(code, status(code, "Any", "words"))
    with pytest.raises(TemporaryError) as trouble:
        cluster.workload(WEB)
    assert trouble.value.code == named
    assert len(script.asked) == 1


def test_retry_after_is_heeded(served: tuple[Cluster, Script]) -> None:
    cluster, script = served
    script.say(429, status(429, "TooManyRequests", "slow down"), Retry_After="7")
    with pytest.raises(TemporaryError) as trouble:
        cluster.workload(WEB)
    assert 7 <= trouble.value.retry_in <= 7.5


def test_an_answer_that_is_cut_is_no_answer(served: tuple[Cluster, Script]) -> None:
    cluster, script = served
    script.cut()
    with pytest.raises(TemporaryError) as trouble:
        cluster.workload(WEB)
    assert trouble.value.code == "unreachable"


@pytest.mark.parametrize("body", ["<html>proxy</html>", "[1]", ""])
def test_an_answer_that_is_no_object_is_no_answer(served: tuple[Cluster, Script], body: str) -> None:
    cluster, script = served
    script.say(200, body)
    with pytest.raises(TemporaryError):
        cluster.workload(WEB)


def test_nobody_there_is_unreachable() -> None:
    with scripted_cluster() as (cluster, _script):
        pass
    with pytest.raises(TemporaryError) as trouble:
        cluster.workload(WEB)
    assert trouble.value.code == "unreachable"


class Silence:
    """A server to which every call waits for so long, in vain; time passes only by that."""

    def __init__(self, seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds = seconds
        self.now = 1000.0
        self.asked = 0
        monkeypatch.setattr("portal.integrations.kubernetes.server.time.monotonic", lambda: self.now)
        self.cluster = Cluster(Access(server="https://cluster.test"))
        monkeypatch.setattr(self.cluster._manager, "urlopen", self.call)

    def call(self, *_args: Any, **_named: Any) -> None:
        self.asked += 1
        self.now += self.seconds
        raise urllib3.exceptions.ConnectTimeoutError("no answer")

    def ask(self) -> TemporaryError:
        with pytest.raises(TemporaryError) as error:
            self.cluster.workload(WEB)
        return error.value


def test_a_silent_server_takes_a_tenth_of_the_time_of_who_asks_it(monkeypatch: pytest.MonkeyPatch) -> None:
    silence = Silence(3.0, monkeypatch)
    first = silence.ask()
    again = silence.ask()
    assert (again.code, again.detail) == ("unreachable", first.detail)
    assert silence.asked == 1
    silence.now += 26.9
    silence.ask()
    assert silence.asked == 1
    silence.now += 0.2
    silence.ask()
    assert silence.asked == 2


@pytest.mark.parametrize("seconds", [0.5, 3.0, 8.0, 11.0])
def test_one_dead_cluster_of_several_costs_the_others_a_tenth_of_their_time(
    monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    silence, rounds = Silence(seconds, monkeypatch), 0
    ends = silence.now + 3600
    while silence.now < ends:
        silence.ask()
        # A round of another cluster's rollout, by the same worker.
        silence.now, rounds = silence.now + 0.1, rounds + 1
    # The first wait, which may be a lost packet, is followed by less, and the last one by nothing yet.
    assert rounds * 0.1 >= 3600 * 0.9 - 2 * seconds


def test_one_call_in_vain_keeps_nobody_from_a_cluster_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    silence = Silence(8.0, monkeypatch)
    silence.ask()
    silence.now += 30.1
    silence.ask()
    assert silence.asked == 2


def test_a_server_that_refuses_at_once_is_asked_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    silence = Silence(0.0, monkeypatch)
    silence.ask()
    silence.ask()
    assert silence.asked == 2


def test_the_patch_names_the_version_the_containers_and_the_manager(served: tuple[Cluster, Script]) -> None:
    cluster, script = served
    script.say(200, deployment(resourceVersion="42"))
    images = {"web": "shop/web@sha256:2", "migrate": "shop/web@sha256:2"}
    seen = Workload(deployment())
    cluster.set_images(seen, images, annotations={"portal/step": "7.x.1"}, dry_run=True)
    asked = script.asked[0]
    assert (asked.method, asked.path) == ("PATCH", WEB.path)
    assert asked.headers["content-type"] == "application/strategic-merge-patch+json"
    assert asked.headers["authorization"] == "Bearer t0ken"
    assert asked.query == {
        "fieldManager": ["release-portal"],
        "fieldValidation": ["Strict"],
        "dryRun": ["All"],
    }
    assert asked.body["metadata"] == {"resourceVersion": "41", "annotations": {"portal/step": "7.x.1"}}
    assert asked.body["spec"]["template"]["spec"] == {
        "initContainers": [{"name": "migrate", "image": "shop/web@sha256:2"}],
        "containers": [{"name": "web", "image": "shop/web@sha256:2"}],
    }
    assert "replicas" not in asked.body["spec"]


def test_the_server_learns_of_which_click_a_call_came(served: tuple[Cluster, Script]) -> None:
    cluster, script = served
    script.say(200, deployment())
    script.say(200, deployment())
    with trace.following("ab" * 16):
        cluster.workload(WEB)
    cluster.workload(WEB)
    assert script.asked[0].headers["user-agent"] == f"release-portal trace/{'ab' * 16}"
    assert script.asked[1].headers["user-agent"] == "release-portal"


def test_a_container_that_is_not_there_is_never_sent(served: tuple[Cluster, Script]) -> None:
    cluster, script = served
    with pytest.raises(PermanentError, match="app"):
        cluster.set_images(Workload(deployment()), {"app": "shop/web:2"}, annotations={})
    assert script.asked == []


@pytest.mark.parametrize("annotations", [None, {"team": "shop"}])
def test_the_way_back_is_one_conditional_patch(
    served: tuple[Cluster, Script], annotations: dict[str, str] | None
) -> None:
    cluster, script = served
    script.say(200, deployment())
    more = {} if annotations is None else {"annotations": annotations}
    template: dict[str, Any] = {"spec": {"containers": []}}
    cluster.restore_template(Workload(deployment(**more)), template, annotations={"portal/step": "7"})
    sent = script.asked[0]
    assert sent.headers["content-type"] == "application/json-patch+json"
    version, restored, mark = sent.body
    assert version == {"op": "replace", "path": "/metadata/resourceVersion", "value": "41"}
    assert restored == {"op": "replace", "path": "/spec/template", "value": template}
    expected = ("/metadata/annotations", {"portal/step": "7"})
    if annotations is not None:
        expected = ("/metadata/annotations/portal~1step", "7")  # type: ignore[assignment]
    assert (mark["op"], mark["path"], mark["value"]) == ("add", *expected)


@pytest.mark.parametrize(("now", "error"), [(3, TemporaryError), (2, PermanentError)])
def test_a_size_is_refused_as_a_conflict_only_where_somebody_has_scaled(
    served: tuple[Cluster, Script], now: int, error: type[Exception]
) -> None:
    cluster, script = served
    words = "the server rejected our request due to an error in our request"
    script.say(422, status(422, "Invalid", words))
    found = deployment(uid="u")
    script.say(200, {**found, "spec": {**found["spec"], "replicas": now}})
    with pytest.raises(error) as refused:
        cluster.resize("deployments", deployment(uid="u"), 5, annotations={"portal/step": "7"})
    expected = ("conflict", words) if error is TemporaryError else ("invalid", words)
    assert (refused.value.code, str(refused.value.detail)) == expected  # type: ignore[attr-defined]
    uid, size, wanted, mark = script.asked[0].body
    assert (uid["op"], size["op"], size["value"], wanted["value"]) == ("test", "test", 2, 5)
    assert mark == {"op": "add", "path": "/metadata/annotations", "value": {"portal/step": "7"}}


def test_a_right_is_asked_of_the_cluster(served: tuple[Cluster, Script]) -> None:
    cluster, script = served
    script.say(201, {"status": {"allowed": True}})
    assert cluster.may(Right(verb="patch", resource="deployments", group="apps"), namespace="shop")
    attributes = script.asked[0].body["spec"]["resourceAttributes"]
    assert attributes == {"namespace": "shop", "verb": "patch", "group": "apps", "resource": "deployments"}


def test_differences_are_told_by_name_and_path() -> None:
    before = deployment()["spec"]
    after = deployment()["spec"]
    after["template"]["spec"]["containers"][1]["image"] = "mesh:2"
    after["replicas"] = 5
    assert changed_fields(before, after) == [
        ("replicas", 2, 5),
        ("template.spec.containers[side].image", "mesh:1", "mesh:2"),
    ]


def test_the_last_writer_of_a_field_is_named() -> None:
    managed = [
        {"manager": "helm", "time": "2026-01-01T00:00:00Z", "fieldsV1": {"f:spec": {"f:template": {}}}},
        {"manager": "hands", "time": "2026-01-02T00:00:00Z", "fieldsV1": {"f:spec": {"f:replicas": {}}}},
        {"manager": "robot", "subresource": "status", "fieldsV1": {"f:spec": {"f:replicas": {}}}},
    ]
    assert last_manager(Workload(deployment(managedFields=managed)), "replicas") == "hands"
    assert last_manager(Workload(deployment()), "replicas") == ""


def test_of_two_who_wrote_in_one_second_the_one_who_has_the_image_wrote_it() -> None:
    def wrote(manager: str, container: dict[str, Any]) -> dict[str, Any]:
        spec = {"f:template": {"f:spec": {"f:containers": {'k:{"name":"web"}': container}}}}
        return {"manager": manager, "fieldsV1": {"f:spec": spec}, "time": "2026-11-23T04:30:00Z"}

    managed = [wrote("kubectl-set", {"f:image": {}}), wrote("kubectl-create", {".": {}, "f:name": {}})]
    for order in (managed, managed[::-1]):
        found = deployment(managedFields=order)
        assert last_change_of(found, "template.spec.containers.*.image")[0] == "kubectl-set"
