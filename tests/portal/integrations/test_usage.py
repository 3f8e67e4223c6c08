"""Amounts as Kubernetes writes them, and what a metrics server says of pods."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.integrations.kubernetes.amounts import millicores, quantity
from portal.integrations.kubernetes.usage import Usage, usage_of_pods
from tests.rollouts.scripted_server import scripted_cluster


@given(st.integers(0, 10**6))
def test_every_way_of_writing_cpu_comes_to_the_same(amount: int) -> None:
    assert millicores(f"{amount}m") == millicores(f"{amount * 1_000_000}n") == amount
    assert millicores(str(amount)) == amount * 1000


@pytest.mark.parametrize("amount", ["", "much", "1XB", "NaN", "Infinity", "None"])
def test_what_is_no_amount_is_refused(amount: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  each in the library's own words
        quantity(amount)


def test_the_usage_of_a_pod_is_that_of_its_containers() -> None:
    containers = [
        {"name": "app", "usage": {"cpu": "12345678n", "memory": "64Mi"}},
        {"name": "side", "usage": {"cpu": "3m", "memory": "1024Ki"}},
    ]
    with scripted_cluster() as (cluster, script):
        script.say(200, {"items": [{"metadata": {"name": "a"}, "containers": containers}]})
        assert usage_of_pods(cluster, "shop") == {"a": Usage(15, 65 * 2**20)}


def test_a_cluster_without_a_metrics_server_says_nothing() -> None:
    with scripted_cluster() as (cluster, script):
        script.say(404, {"message": "the server could not find the requested resource"})
        assert usage_of_pods(cluster, "shop") is None
