"""What a process counts of its own work: results and durations of steps, take-overs, calls to clusters."""

import os
import socket
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
import requests

from portal import clock
from portal.embedded.ports import HOST, free_port
from portal.embedded.roles import MANAGE, role_parts
from portal.errors import PermanentError, TemporaryError
from portal.integrations.kubernetes.workloads import Reference
from portal.jobs import enqueue_now
from releases.rollouts import engine
from releases.rollouts.models import Rollout, Step
from tests.doors.test_measurements import numbers, shown
from tests.rollouts.floor import until
from tests.rollouts.processes import Processes, database_url
from tests.rollouts.scripted_server import scripted_cluster
from tests.soak import long

pytestmark = pytest.mark.django_db(transaction=True)


class Grown:
    """By how much each number has grown since this was made."""

    def __init__(self) -> None:
        self.before = shown()

    def __call__(self, name: str) -> float:
        return shown().get(name, 0.0) - self.before.get(name, 0.0)


@long
def test_what_steps_came_to_is_counted_by_kind_with_how_long_they_took(notices: Rollout) -> None:
    grown = Grown()
    Step.objects.filter(key="third").update(kind="pods_running")
    engine.advance(notices.pk)
    assert grown('step_results_total{kind="notice",outcome="succeeded"}') == 2
    assert grown('step_duration_seconds_count{kind="notice"}') == 2
    assert grown('step_duration_seconds_bucket{kind="notice",le="+Inf"}') == 2
    # The shop's cluster has no address: nothing could be measured.
    step = notices.steps.get(key="third")
    assert (step.state, grown('step_results_total{kind="pods_running",outcome="errored"}')) == ("errored", 1)
    assert grown(f'step_failures_total{{code="{(step.failure or {})["code"]}"}}') == 1


@long
def test_a_lease_that_a_dead_worker_left_is_counted_when_it_is_taken_over(notices: Rollout) -> None:
    grown = Grown()
    ran_out = clock.now() - timedelta(seconds=1)
    Rollout.objects.update(lease_owner="worker-1:7", lease_epoch=3, lease_until=ran_out)
    engine.advance(notices.pk)
    assert grown("lease_takeovers_total") == 1
    engine.advance(notices.pk)
    assert grown("lease_takeovers_total") == 1


def test_calls_to_a_cluster_are_counted_by_what_came_of_them() -> None:
    web = Reference("Deployment", "shop", "web")
    with scripted_cluster() as (cluster, script):
        script.say(200, {"kind": "Deployment", "metadata": {"name": "web"}, "spec": {}})
        script.say(404, {"message": "gone"})
        script.cut()
        grown = Grown()
        cluster.workload(web)
        with pytest.raises(PermanentError):
            cluster.workload(web)
        with pytest.raises(TemporaryError):
            cluster.workload(web)
        where = cluster.access.server.removeprefix("http://")
        for result in ("200", "404", "unreachable"):
            labels = f'method="GET",result="{result}",server="{where}"'
            assert grown(f"cluster_call_duration_seconds_count{{{labels}}}") == 1, result


@long
def test_a_worker_shows_what_it_has_counted_and_leaves_the_rows_to_the_web(
    notices: Rollout, tmp_path: Path
) -> None:
    port = free_port()
    processes = Processes(tmp_path)
    try:
        processes.start("worker", METRICS_PORT=str(port))
        enqueue_now("releases.rollouts.jobs.advance", notices.pk)
        until(notices, "succeeded")
        found = numbers(requests.get(f"http://{HOST}:{port}/metrics", timeout=5).text)
    finally:
        processes.stop()
    assert found['step_results_total{kind="notice",outcome="succeeded"}'] == 3
    assert not [name for name in found if name.startswith("rollouts")]


@long
def test_a_port_that_is_taken_stops_the_start_with_the_variables_name() -> None:
    with socket.create_server((HOST, 0)) as taken:
        environment = {
            "DATABASE_URL": database_url(),
            "METRICS_PORT": str(taken.getsockname()[1]),
        }
        command = [sys.executable, str(MANAGE), "run", "sweeper"]
        done = subprocess.run(
            command,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    assert done.returncode == 1
    assert done.stderr.startswith("CommandError: METRICS_PORT is ")


@pytest.mark.parametrize(("given", "ports"), [("9100", ["9100", "9101", "9102", "9103"]), ("", [""] * 4)])
def test_each_process_of_one_machine_shows_its_own_beside_the_others(
    given: str, ports: list[str], tmp_path: Path
) -> None:
    env = {"PORT": "8000", "PUBLIC_URL": "http://127.0.0.1:8000", "METRICS_PORT": given}
    _web, *others = role_parts(tmp_path, env=env)
    assert [part.command.env["METRICS_PORT"] for part in others] == ports
