"""Days on which something outside is away: words in the reader's language, and nothing half-written."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from portal.errors import TemporaryError
from releases.catalog import versions
from releases.catalog.models import Connection, Plan
from releases.models import Release
from tests.factories import FakeRegistry, Shop, make_release
from tests.portal.api import ApiClient
from tests.soak import long

REPOSITORY = Path(__file__).resolve().parents[2]
ASK = """
import json, os
os.environ["DJANGO_SETTINGS_MODULE"] = "portal.settings"
import django
django.setup()
from django.test import Client
from django.conf import settings
settings.ALLOWED_HOSTS.append("testserver")
client, told = Client(raise_request_exception=False), {}
asked = {"Authorization": "Bearer rp_000000000000_" + "a" * 40, "Accept-Language": "ko"}
for path in ("/livez", "/readyz", "/metrics", "/sign-in/", "/api/v1/me", "/api/v1/releases"):
    answer = client.get(path, headers=asked)
    told[path] = [answer.status_code, answer.headers["Content-Type"], answer.content.decode()]
answer = client.post("/api/v1/releases", "{}", content_type="application/json", headers=asked)
told["POST"] = [answer.status_code, answer.headers["Content-Type"], answer.content.decode()]
client.cookies["session"] = "x" * 32
answer = client.get("/board/")
told["/board/"] = [answer.status_code, answer.headers["Content-Type"], answer.content.decode()]
print(json.dumps(told))
"""


@long
def test_without_a_database_every_door_says_so_and_the_process_lives() -> None:
    environment = {**os.environ, "DATABASE_URL": "postgresql://portal:canary-pass@127.0.0.1:1/portal"}
    command = [sys.executable, "-c", ASK]
    done = subprocess.run(
        command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=True
    )
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["/livez"][0] == 200
    assert told["/metrics"][0] == 200
    assert told["/readyz"][0] == 503
    assert json.loads(told["/readyz"][2])["not_ready"]["database"] == "does not answer"
    for path in ("/api/v1/me", "/api/v1/releases", "POST"):
        status, kind, body = told[path]
        assert (status, kind, json.loads(body)["code"]) == (503, "application/problem+json", "unavailable")
    assert told["/board/"][0] == 503
    assert "데이터베이스" in told["/board/"][2]
    assert "canary-pass" not in done.stdout + done.stderr


def test_a_registry_that_is_away_refuses_the_version_and_writes_nothing(
    shop: Shop, registry: FakeRegistry
) -> None:
    registry.is_reachable = False
    answer = ApiClient(shop.cast.author).post("/releases", shop.data())
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert Release.objects.count() == 0


def test_a_tag_that_does_not_exist_is_named_beside_its_item(shop: Shop, registry: FakeRegistry) -> None:
    registry.gone.add(("shopping-service", "2.8.0"))
    answer = ApiClient(shop.cast.author).post("/releases", shop.data())
    assert answer.status_code == 422
    assert [fault["field"] for fault in answer.json()["missing"]] == ["items.0.version"]
    assert Release.objects.count() == 0


def test_versions_of_a_registry_that_is_away_are_unavailable(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_service: object) -> None:
        raise TemporaryError("The registry does not answer.")

    monkeypatch.setattr(versions, "versions", away)
    answer = ApiClient(shop.cast.author).get("/services/shopping-service/versions")
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert answer.headers["Retry-After"]


def test_a_cluster_that_is_away_leaves_a_dry_run_that_says_so(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}],
        "users": [{"name": "u", "user": {"token": "canary-token"}}],
    }
    monkeypatch.setenv("AWAY_KUBECONFIG", json.dumps(config, indent=1))
    Connection.objects.filter(name="shop-cluster").update(spec={"kubeconfigRef": "env:AWAY_KUBECONFIG"})
    waves = {"expectedMinutes": 5, "waves": [{"title": "All", "services": ["shopping-service"]}]}
    Plan.objects.filter(pk=shop.plan.pk).update(spec=waves)
    release = make_release(shop)
    answer = ApiClient(shop.cast.author).get(f"/releases/{release.number}/plan")
    assert answer.status_code == 200
    assert "127.0.0.1:1" in answer.json()["cluster_error"]
    assert "canary-token" not in answer.content.decode()
    assert len(answer.json()["items"]) > 1
