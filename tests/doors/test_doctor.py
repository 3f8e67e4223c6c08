"""The doctor: what is configured, missing and reached, a line each, and never a secret."""

import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import translation

from releases.catalog.models import Connection, Service
from releases.rollouts.doctor import examine
from tests.charts import HELM, standin, write_chart
from tests.factories import Shop
from tests.soak import long

REPOSITORY = Path(__file__).resolve().parents[2]
CANARY = "canary-5e8f0c"
KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: c
contexts: [{{name: c, context: {{cluster: c, user: u}}}}]
clusters: [{{name: c, cluster: {{server: "{server}"}}}}]
users: [{{name: u, user: {{token: {token}}}}}]
"""


@dataclass
class Outside:
    """A cluster and a registry at one address; the account has every right that is not in `denied`."""

    url: str = ""
    denied: set[tuple[str, str]] = field(default_factory=set)
    registry_status: int = 200


@pytest.fixture
def outside(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Iterator[Outside]:
    """What the shop's connections lead to."""
    there = Outside()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(there))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    there.url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("DOCTOR_KUBECONFIG", KUBECONFIG.format(server=there.url, token=CANARY))
    monkeypatch.setenv("DOCTOR_PASSWORD", CANARY)
    Connection.objects.filter(name="shop-cluster").update(spec={"kubeconfigRef": "env:DOCTOR_KUBECONFIG"})
    secret = {"usernameRef": "env:DOCTOR_PASSWORD", "passwordRef": "env:DOCTOR_PASSWORD"}
    spec = {"host": "registry.practice", "url": there.url, **secret}
    Connection.objects.create(name="shop-registry", kind="registry", spec=spec)
    yield there
    server.shutdown()
    server.server_close()
    thread.join(timeout=5)


def _handler(there: Outside) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status = there.registry_status if self.path == "/v2/" else 200
            self._say(status, {"gitVersion": "v1.36.1"})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked = body["spec"]["resourceAttributes"]
            key = (asked["verb"], "/".join(filter(None, [asked["resource"], asked.get("subresource")])))
            self._say(201, {"status": {"allowed": key not in there.denied}})

        def _say(self, status: int, body: Any) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002  the library's name
            """Say nothing."""

    return Handler


def doctor() -> tuple[int, list[list[str]]]:
    """Exit code and lines: sign, part, words."""
    out, code = io.StringIO(), 0
    with translation.override("en"):
        try:
            call_command("doctor", stdout=out)
        except SystemExit as end:
            code = int(end.code or 0)
    assert CANARY not in out.getvalue()
    return code, [line.split("\t") for line in out.getvalue().splitlines()]


def said(lines: list[list[str]], about: str) -> list[tuple[str, str]]:
    """Sign and words of every line about a part."""
    return [(sign, words) for sign, part, words in lines if part == about]


@long
def test_a_whole_portal_is_told_part_by_part_and_ends_with_nought(outside: Outside) -> None:
    outside.denied = {("get", "secrets"), ("create", "pods/exec"), ("*", "*")}
    code, lines = doctor()
    assert code == 0
    assert "FAULT" not in {sign for sign, _part, _words in lines}
    (database,) = said(lines, "DATABASE_URL")
    assert database[1].startswith("PostgreSQL ")
    assert said(lines, "connection shop-cluster") == [("good", f"Kubernetes v1.36.1, {outside.url}")]
    assert said(lines, "environment shop-production") == [
        ("good", "namespace shop: every needed right is there")
    ]
    assert said(lines, "connection shop-registry") == [("good", "the registry registry.practice answers")]
    assert said(lines, "catalog") == [("good", "3 services, 1 environments")]
    assert said(lines, "SECRET_KEY") == [("good", "set")]


@long
def test_a_server_that_is_too_old_is_a_fault(outside: Outside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("releases.rollouts.doctor.OLDEST_POSTGRES", 99)
    code, lines = doctor()
    assert code == 1
    [(sign, words)] = said(lines, "DATABASE_URL")
    assert sign == "FAULT"
    assert words.endswith(": it is too old, the portal needs 99 or newer.")


@long
def test_a_missing_right_is_a_fault_and_one_too_many_a_remark(outside: Outside) -> None:
    outside.denied = {("patch", "deployments"), ("watch", "resourcequotas"), ("*", "*")}
    code, lines = doctor()
    assert code == 1
    assert said(lines, "environment shop-production") == [
        ("FAULT", "namespace shop: missing rights: patch deployments"),
        ("remark", "namespace shop: some steps would need: watch resourcequotas"),
        ("remark", "namespace shop: more than a release needs: get secrets, create pods/exec"),
    ]


def test_what_does_not_answer_is_named_and_the_rest_is_looked_at_all_the_same(
    outside: Outside, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.REDIS_URL = f"redis://:{CANARY}@127.0.0.1:1/0"
    settings.RQ_QUEUES = {"default": {"URL": settings.REDIS_URL}}
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    outside.registry_status = 503
    monkeypatch.delenv("DOCTOR_KUBECONFIG")
    code, lines = doctor()
    faults = {part for sign, part, _words in lines if sign == "FAULT"}
    assert code == 1
    assert faults == {"REDIS_URL", "EMAIL_HOST", "connection shop-cluster", "connection shop-registry"}
    assert said(lines, "REDIS_URL")[0][1].startswith("127.0.0.1:1 does not answer")


@long
def test_services_under_helm_need_its_program_and_their_chart(
    outside: Outside, settings: Any, tmp_path: Path
) -> None:
    _code, lines = doctor()
    assert said(lines, "HELM_BINARY") == []
    Service.objects.filter(name="shopping-service").update(spec={"helm": HELM})
    settings.HELM_BINARY, settings.HELM_CHARTS = str(tmp_path / "none"), ""
    code, lines = doctor()
    assert code == 1
    assert "HELM_BINARY" in said(lines, "HELM_BINARY")[0][1]
    assert "HELM_CHARTS" in said(lines, "service shopping-service")[0][1]
    write_chart(tmp_path / "charts")
    settings.HELM_BINARY = str(standin(tmp_path / "bin"))
    settings.HELM_CHARTS = str(tmp_path / "charts")
    _code, lines = doctor()
    assert said(lines, "HELM_BINARY") == [("good", "Helm 3.22.0")]
    assert said(lines, "service shopping-service")[0][0] == "good"


@long
def test_folders_of_manifests_are_read(outside: Outside, settings: Any, tmp_path: Path) -> None:
    named = {"manifests": {"shop-production": "shop"}}
    Service.objects.filter(name="shopping-service").update(spec=named)
    code, lines = doctor()
    assert (code, said(lines, "service shopping-service")[0][0]) == (1, "FAULT")
    (tmp_path / "shop").mkdir()
    manifest = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\n"
    (tmp_path / "shop" / "settings.yaml").write_text(manifest)
    settings.MANIFESTS = str(tmp_path)
    _code, lines = doctor()
    assert said(lines, "service shopping-service")[0][0] == "good"


def test_hosts_that_let_nobody_in_are_a_fault(shop: Shop, settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["portal.example"]
    settings.PUBLIC_URL = "http://release.example"
    code, lines = doctor()
    assert code == 1
    assert said(lines, "ALLOWED_HOSTS")[0][0] == "FAULT"


@long
def test_a_database_that_is_away_is_a_fault_and_no_traceback() -> None:
    environment = {**os.environ, "DATABASE_URL": f"postgresql://portal:{CANARY}@127.0.0.1:1/portal"}
    command = [sys.executable, "manage.py", "doctor"]
    done = subprocess.run(
        command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    (line,) = [line for line in done.stdout.splitlines() if "\tDATABASE_URL\t" in line]
    assert "127.0.0.1:1/portal" in line
    assert CANARY not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_a_ci_system_needs_its_secret_and_an_open_account(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = {"kind": "ci", "secretRef": "env:DOCTOR_CI", "account": "author", "repositories": ["a/b"]}
    connection = Connection.objects.create(name="shop-ci", kind="ci", spec=spec)
    about = "connection shop-ci"
    unset = _findings()[about]
    monkeypatch.setenv("DOCTOR_CI", CANARY)
    good = _findings()[about]
    connection.spec["account"] = "nobody"
    connection.save()

    assert (unset[0], good[0], _findings()[about][0]) == ("fault", "ok", "fault")
    assert CANARY not in str([unset, good])


def _findings() -> dict[str, tuple[str, str]]:
    with translation.override("en"):
        return {each.about: (each.level, each.text) for each in examine()}
