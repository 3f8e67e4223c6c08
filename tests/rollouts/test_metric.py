"""A gate on what Prometheus measures: good often enough, bad once, or unclear and asked of a person."""

import math
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import unquote_plus

import pytest
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from portal.errors import PermanentError, TemporaryError
from portal.integrations.http.client import Allow
from portal.integrations.prometheus.client import Server, values, worst
from portal.ui.charts import lay_spark
from releases.catalog.models import Connection
from releases.rollouts import engine
from releases.rollouts.graph import Node, build_graph
from releases.rollouts.models import Rollout, Step
from releases.rollouts.steps.metric import Bounds, Result, judge
from tests.factories import Shop, make_rollout
from tests.portal.integrations.answering import Given, answering
from tests.prometheus import running_prometheus

LOOPBACK = Allow.of(networks=["127.0.0.0/8"])
some = st.floats(-1e9, 1e9)


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real server."""
    with running_prometheus(tmp_path_factory.mktemp("prometheus")) as url:
        yield url


@given(value=some, limit=some)
def test_a_value_is_good_up_to_its_limit_and_bad_beyond(value: float, limit: float) -> None:
    assert judge(Bounds(most=limit), value).result == (Result.GOOD if value <= limit else Result.BAD)
    assert judge(Bounds(least=limit), value).result == (Result.GOOD if value >= limit else Result.BAD)


@given(value=st.floats(0, 1e6), other=st.floats(0, 1e6), times=st.floats(0.1, 10))
def test_a_comparison_never_passes_on_what_it_cannot_know(value: float, other: float, times: float) -> None:
    result = judge(Bounds(most_of=times), value, other=other).result
    if other == 0:
        assert result == (Result.GOOD if value == 0 else Result.UNCLEAR)
    else:
        assert result == (Result.GOOD if value / other <= times else Result.BAD)


@given(limit=some, traffic=st.floats(0, 10) | st.just(math.nan))
def test_nothing_measured_is_never_good(limit: float, traffic: float) -> None:
    assert judge(Bounds(most=limit), math.nan).result == Result.UNCLEAR
    assert judge(Bounds(most=limit, traffic=10.5), limit, traffic=traffic).result == Result.UNCLEAR
    assert judge(Bounds(most_of=2), limit, other=math.nan).result == Result.UNCLEAR


@given(found=st.lists(some, min_size=1), broken=st.booleans())
def test_of_several_series_the_worst_counts(found: list[float], broken: bool) -> None:
    assert worst(found, high_is_bad=True) == max(found)
    assert worst(found, high_is_bad=False) == min(found)
    assert math.isnan(worst([*found, math.nan] if broken else [], high_is_bad=True))


def test_a_real_server_answers_numbers_nothing_and_what_is_no_number(prometheus: str) -> None:
    server = Server(url=prometheus, allow=LOOPBACK)
    assert values(server, "vector(0.25)") == [0.25]
    assert values(server, "scalar(vector(3))") == [3.0]
    assert values(server, 'up{job="nobody"}') == []
    assert math.isnan(values(server, "vector(0) / vector(0)")[0])
    assert values(server, "vector(1) / 0") == [math.inf]
    for no_number in ("sum(", '"text"', "up[5m]"):
        with pytest.raises(PermanentError) as refused:
            values(server, no_number)
        assert refused.value.code == "bad_query"


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (503, b'{"status":"error","errorType":"timeout","error":"query timed out"}'),
        (422, b'{"status":"error","errorType":"execution","error":"too many samples"}'),
        (200, b'{"status":"success"}'),
        (200, b'{"status":"success","data":{"resultType":"vector","result":[{"value":[1]}]}}'),
        (502, b"<html>"),
    ],
)
def test_what_could_not_be_measured_is_neither_good_nor_bad(status: int, body: bytes) -> None:
    answer = Given(status, body, {"Content-Type": "application/json"})
    with answering(lambda _asked: answer) as server, pytest.raises(TemporaryError):
        values(Server(url=server.url, allow=LOOPBACK), "up")


def test_a_token_goes_with_the_question() -> None:
    body = b'{"status":"success","data":{"resultType":"scalar","result":[1,"2"]}}'
    answer = Given(200, body, {"Content-Type": "application/json"})
    with answering(lambda _asked: answer) as server:
        assert values(Server(url=server.url, allow=LOOPBACK, token="t0ken"), "up") == [2.0]
    assert server.asked[0].headers["Authorization"] == "Bearer t0ken"


def watched(shop: Shop, url: str, query: str, **params: Any) -> Rollout:
    """A rollout that only watches a metric."""
    spec = {"kind": "prometheus", "url": url, "networks": ["127.0.0.0/8"]}
    Connection.objects.create(name="metrics", kind="prometheus", spec=spec)
    document = {"connection": "metrics", "query": query, "max": 0.5, "section": "after", **params}
    node = Node(key="after.metric", kind="prometheus", position=0, params=document, timeout_seconds=600)
    return make_rollout(shop, [node])


def measure(rollout: Rollout) -> Step:
    """Let the engine look once more, when the next measurement is due."""
    step = rollout.steps.get()
    for point in step.observed.get("points") or []:
        point[0] = (datetime.fromisoformat(point[0]) - timedelta(seconds=31)).isoformat()
    Step.objects.filter(pk=step.pk).update(observed=step.observed, wake_at=None)
    engine.advance(rollout.pk)
    rollout.refresh_from_db()
    return rollout.steps.get()


def results(step: Step) -> list[str]:
    return [result for _at, _value, result in step.observed["points"]]


def test_it_is_done_after_enough_good_measurements_and_not_before(shop: Shop, prometheus: str) -> None:
    rollout = watched(shop, prometheus, "vector(0.2)")
    states = [measure(rollout).state for _again in range(3)]
    assert states == ["running", "running", "succeeded"]
    assert results(rollout.steps.get()) == ["good"] * 3


def test_between_two_measurements_nobody_is_asked(shop: Shop, prometheus: str) -> None:
    rollout = watched(shop, prometheus, "vector(0.2)")
    measure(rollout)
    Step.objects.update(wake_at=None)
    engine.advance(rollout.pk)
    assert len(rollout.steps.get().observed["points"]) == 1


def test_the_first_bad_one_fails_and_says_the_numbers(shop: Shop, prometheus: str, client: Client) -> None:
    rollout = watched(shop, prometheus, "vector(0.75)")
    step = measure(rollout)
    assert (step.state, rollout.state) == ("failed", "failed")
    client.force_login(shop.cast.author)
    page = client.get(f"/rollouts/{rollout.pk}/", headers={"accept-language": "en"}).content.decode()
    assert "Measured 0.75, where 0.5 is the limit" in page
    assert 'class="spark"' in page


def test_what_is_measured_is_said_in_the_unit_of_the_plan(
    shop: Shop, prometheus: str, client: Client
) -> None:
    rollout = watched(shop, prometheus, "vector(0.75)", unit="ratio")
    measure(rollout)
    client.force_login(shop.cast.author)
    page = client.get(f"/rollouts/{rollout.pk}/", headers={"accept-language": "en"}).content.decode()
    assert "Measured 75 %, where 50 % is the limit" in page


def test_without_traffic_a_person_is_asked_after_some_time(shop: Shop, prometheus: str) -> None:
    rollout = watched(
        shop,
        prometheus,
        "vector(0)",
        traffic={"query": 'sum(rate(requests{ns="$namespace"}[1m]))', "atLeast": 1},
    )
    states = [measure(rollout).state for _again in range(4)]
    assert states == ["running", "running", "running", "inconclusive"]
    assert (rollout.state, (rollout.pause or {})["reason"]) == ("paused", "inconclusive")


def test_a_server_that_is_away_is_waited_for_and_never_a_breach(shop: Shop) -> None:
    rollout = watched(shop, "http://127.0.0.1:9", "vector(0)")
    step = measure(rollout)
    assert step.state == "running"
    assert step.observed["unmeasured"]
    Step.objects.update(deadline_at=step.started_at)
    assert measure(rollout).state == "errored"


def test_the_names_of_what_goes_out_stand_in_the_query(shop: Shop, prometheus: str) -> None:
    body = b'{"status":"success","data":{"resultType":"scalar","result":[1,"0"]}}'
    with answering(lambda _asked: Given(200, body, {"Content-Type": "application/json"})) as server:
        measure(watched(shop, server.url, 'up{ns="$namespace",env="$environment",re=~"a$"}'))
    assert unquote_plus(server.asked[0].path).endswith('up{ns="shop",env="shop-production",re=~"a$"}')


def test_a_query_that_is_none_could_not_be_measured(shop: Shop, prometheus: str) -> None:
    rollout = watched(shop, prometheus, "sum(")
    assert measure(rollout).state == "errored"
    assert rollout.state == "paused"


def test_a_plan_gives_it_the_time_it_takes(shop: Shop) -> None:
    step = {"kind": "prometheus", "connection": "m", "query": "up", "everySeconds": 100, "measurements": 10}
    assert build_graph({"waves": [], "after": [step]}, [])[0].timeout_seconds == 60 + 100 * (9 + 3)


def test_measurements_are_drawn_between_their_limits() -> None:
    drawn = lay_spark([(0.0, "good"), (None, "wait"), (1.0, "bad")], [0.5])
    assert [dot.y for dot in drawn.dots] == [36.0, 36.0, 4.0]
    assert drawn.limits == (20.0,)
    assert lay_spark([(3.0, "good")], []).dots[0].x == 4.0
