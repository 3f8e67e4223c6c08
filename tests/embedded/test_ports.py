"""Ports are chosen free and kept."""

import socket
from pathlib import Path

import pytest

from portal.embedded import ports


def test_ports_stay_the_same_over_starts(tmp_path: Path) -> None:
    first = ports.kept_ports(tmp_path / "ports.json", ("a", "b"))
    assert first["a"] != first["b"]
    assert ports.kept_ports(tmp_path / "ports.json", ("a", "b")) == first


def test_a_port_that_was_taken_meanwhile_is_replaced_and_the_others_stay(tmp_path: Path) -> None:
    first = ports.kept_ports(tmp_path / "ports.json", ("a", "b"))
    with socket.create_server((ports.HOST, first["a"])):
        second = ports.kept_ports(tmp_path / "ports.json", ("a", "b"))
    assert second["a"] not in first.values()
    assert second["b"] == first["b"]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"a": "x", "b": -1}', '{"a": 70000, "b": true}'])
def test_a_spoiled_file_of_ports_is_written_anew(tmp_path: Path, content: str) -> None:
    file = tmp_path / "ports.json"
    file.write_text(content)
    chosen = ports.kept_ports(file, ("a", "b"))
    assert all(1024 <= port <= 65535 for port in chosen.values())
    assert ports.kept_ports(file, ("a", "b")) == chosen


def test_the_next_free_port_skips_those_in_use() -> None:
    with socket.create_server((ports.HOST, 0)) as server:
        taken = server.getsockname()[1]
        assert ports.next_free_port(taken) > taken
