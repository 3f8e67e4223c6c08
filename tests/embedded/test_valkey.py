"""The Valkey that comes along."""

from pathlib import Path

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from portal.embedded.ports import free_port
from portal.embedded.valkey import Valkey
from tests.embedded.processes import running


def test_it_answers_with_its_password_and_keeps_its_data(tmp_path: Path) -> None:
    server = Valkey(tmp_path / "valkey", free_port())
    with running(server), redis.Redis.from_url(server.url) as client:
        client.set("word", "kept")
    with running(server), redis.Redis.from_url(server.url) as client:
        assert client.get("word") == b"kept"


def test_a_caller_without_the_password_is_refused(tmp_path: Path) -> None:
    server = Valkey(tmp_path / "valkey", free_port(), durable=False)
    without = redis.Redis(port=server.port, retry=Retry(NoBackoff(), 0))
    with running(server), without as client, pytest.raises(redis.AuthenticationError):
        client.get("word")


def test_the_password_is_not_on_the_command_line(tmp_path: Path) -> None:
    server = Valkey(tmp_path / "valkey", free_port(), durable=False)
    with running(server) as process:
        words = Path(f"/proc/{process.pid}/cmdline").read_text()
    assert "valkey.conf" in words or "valkey-server" in words
    assert (server.folder / "valkey.password").read_text() not in words
