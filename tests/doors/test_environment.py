"""A missing or wrong variable stops the start with its name and what it should be; all may come as files."""

import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from portal import env
from portal.embedded.stack import Stack
from tests.soak import long

REPOSITORY = Path(__file__).resolve().parents[2]
WRONG = [
    ("DATABASE_URL", "mysql://u:canary-secret@h/x", "postgresql://"),
    ("DATABASE_URL", "postgresql://u:canary-secret@h:abc/x", "postgresql://"),
    ("REDIS_URL", "canary-secret", "redis://"),
    ("SECRET_KEY", "", "random"),
    ("DEMO", "maybe", "full, people, off"),
    ("PORT", "99999", "1 to 65535"),
    ("PORT", "many", "whole number"),
    ("METRICS_PORT", "0", "1 to 65535"),
    ("LANGUAGE_CODE", "fr", "ko, en"),
    ("TIME_ZONE", "Mars/Olympus", "Asia/Seoul"),
    ("ALLOWED_HOSTS", " , ", "hosts"),
    ("PUBLIC_URL", "example", "http://"),
    ("PASSKEY_DOMAIN", "example.com", "localhost"),
    ("SECRET_KEY_FILE", "/nowhere/at/all", "cannot be read"),
    ("AUDIT_KEY", "canary-secret", "openssl genpkey"),
]


@pytest.mark.parametrize(("name", "value", "expected"), WRONG)
def test_a_wrong_variable_stops_settings_with_its_name(
    name: str, value: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(name.removesuffix("_FILE"), raising=False)
    monkeypatch.setenv(name, value)
    with pytest.raises(ImproperlyConfigured, match=f"^{name} ") as caught:
        runpy.run_path(str(REPOSITORY / "portal" / "settings.py"))
    assert expected in str(caught.value)
    assert "canary-secret" not in str(caught.value)


@pytest.mark.parametrize("name", ["DATABASE_URL", "REDIS_URL", "SECRET_KEY"])
def test_a_missing_variable_stops_settings_with_its_name(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(name)
    with pytest.raises(ImproperlyConfigured, match=f"^{name} is missing: set {name} or {name}_FILE"):
        runpy.run_path(str(REPOSITORY / "portal" / "settings.py"))


@long
def test_the_command_line_says_it_in_one_line() -> None:
    command = [sys.executable, "manage.py", "diffsettings"]
    environment = {**os.environ, "TIME_ZONE": "Mars"}
    done = subprocess.run(
        command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr == "TIME_ZONE is 'Mars'; it should be a time zone like Asia/Seoul.\n"


def test_each_may_come_as_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "zone"
    file.write_text("Europe/Berlin\n", encoding="utf-8")
    monkeypatch.delenv("TIME_ZONE", raising=False)
    monkeypatch.setenv("TIME_ZONE_FILE", str(file))
    assert env.time_zone("TIME_ZONE", "UTC") == "Europe/Berlin"
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(ImproperlyConfigured, match="TIME_ZONE_FILE"):
        env.time_zone("TIME_ZONE", "UTC")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TIME_ZONE", "Mars"),
        ("LANGUAGE_CODE", "fr"),
        ("ALLOWED_HOSTS", ","),
        ("PORT", "0"),
        ("METRICS_PORT", "many"),
    ],
)
def test_the_supervisor_refuses_what_its_roles_would_refuse(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for given in ("DATABASE_URL", "REDIS_URL", "KUBECONFIG"):
        monkeypatch.delenv(given, raising=False)
    monkeypatch.setenv("PORTAL_DATA", str(tmp_path))
    monkeypatch.setenv(name, value)
    with pytest.raises(ImproperlyConfigured, match=f"^{name} "):
        Stack.from_environment()


def test_a_kubeconfig_may_be_named_by_a_file_variable(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for given in ("DATABASE_URL", "REDIS_URL", "KUBECONFIG", "DEMO"):
        monkeypatch.delenv(given, raising=False)
    file = tmp_path / "kubeconfig"
    file.write_text("apiVersion: v1\nkind: Config\n", encoding="utf-8")
    monkeypatch.setenv("PORTAL_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("KUBECONFIG_FILE", str(file))
    assert Stack.from_environment().demo == "off"
    monkeypatch.setenv("KUBECONFIG_FILE", str(tmp_path / "nothing"))
    with pytest.raises(ImproperlyConfigured, match="KUBECONFIG"):
        Stack.from_environment()
