"""`manage.py run`: what is missing or wrong in the environment is named before anything starts."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.soak import long

MANAGE = Path(__file__).resolve().parents[2] / "manage.py"
NOBODY_THERE = {
    "DATABASE_URL": "postgresql://portal:hush@127.0.0.1:1/portal",
    "REDIS_URL": "redis://127.0.0.1:1/0",
}


def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(MANAGE), "run", *words],
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


@long
@pytest.mark.parametrize("role", ["web", "worker", "watcher", "sweeper"])
def test_a_role_without_a_database_stops_with_the_variables_name(role: str) -> None:
    result = run(role)
    assert result.returncode == 1
    assert result.stderr.startswith("DATABASE_URL is missing")
    assert "Traceback" not in result.stderr


@long
def test_a_role_whose_database_does_not_answer_says_so_without_the_password() -> None:
    result = run("sweeper", SECRET_KEY="x", **NOBODY_THERE)
    assert result.returncode == 1
    assert "DATABASE_URL names a database that does not answer" in result.stderr
    assert "hush" not in result.stderr


@long
@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("PORT", "high", "PORT is 'high'; it should be a whole number"),
        ("PORT", "70000", "PORT is 70000; it should be a number from 1 to 65535"),
        ("DEMO", "some", "DEMO is 'some'; it should be one of full, people, off"),
        ("KUBECONFIG", "/nowhere/config", "KUBECONFIG should name one kubeconfig file"),
        ("DATABASE_URL", NOBODY_THERE["DATABASE_URL"], "DATABASE_URL should be postgresql://"),
        ("DATABASE_URL", "mysql://x", "DATABASE_URL should be postgresql://"),
        ("REDIS_URL", NOBODY_THERE["REDIS_URL"], "REDIS_URL should be redis://"),
        ("REDIS_URL", "memcached://x", "REDIS_URL should be redis://"),
    ],
)
def test_a_wrong_variable_stops_the_start_with_its_name(
    tmp_path: Path, name: str, value: str, words: str
) -> None:
    data = tmp_path / "data"
    result = run(PORTAL_DATA=str(data), **{name: value})
    assert result.returncode == 2
    assert words in result.stdout
    assert "hush" not in result.stdout
    assert not data.exists(), "something was written before the environment was understood"
