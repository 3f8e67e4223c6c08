"""Probes and measurements."""

import json
from typing import Any

import django_rq
import pytest
from django.test import Client

from portal.api import probes


@pytest.mark.django_db
def test_a_process_with_its_database_and_queue_is_ready(client: Client) -> None:
    assert client.get("/livez").content == b"ok\n"
    answer = client.get("/readyz")
    assert (answer.status_code, json.loads(answer.content)) == (200, {"ready": True, "not_ready": {}})


@pytest.mark.django_db
def test_readiness_names_what_is_missing(client: Client, settings: Any) -> None:
    settings.RQ_QUEUES = {"default": {"URL": "redis://127.0.0.1:1/0"}}
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert json.loads(answer.content)["not_ready"] == {"redis": "does not answer"}
    assert client.get("/livez").status_code == 200


@pytest.mark.django_db
def test_measurements_are_prometheus_text(client: Client) -> None:
    django_rq.get_connection("default").flushdb()  # tests before this one may have left jobs
    text = client.get("/metrics").content.decode()
    for name in ("queue_age_seconds", "queue_jobs", "outbox_lag_seconds", "chain_head", "sockets"):
        assert f"\nportal_{name} 0.0\n" in text
    assert 'portal_outbox_messages{state="parked"} 0.0' in text


@pytest.mark.django_db
def test_others_add_what_they_measure(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "GAUGES", dict(probes.GAUGES))
    probes.gauge("practice", "A test", label="state")(lambda: {"running": 2.0})
    assert 'portal_practice{state="running"} 2.0' in client.get("/metrics").content.decode()
