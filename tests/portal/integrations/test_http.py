"""One call to an allowed address, and none to any other, whatever the name or redirect says."""

import socket
import time
from collections.abc import Iterator

import pytest

from portal.embedded.ports import free_port
from portal.errors import PermanentError, TemporaryError
from portal.integrations.http.client import BODY_BYTES, Allow, get
from tests.portal.integrations.answering import (
    Asked,
    Given,
    Server,
    answering,
    never_ending,
    trickling_headers,
)

LOOPBACK = Allow.of(networks=["127.0.0.0/8", "::1/128"])


def answer(asked: Asked) -> Given:
    if asked.path == "/actuator/health":
        return Given(
            200, b'{"status": "UP"}', {"Content-Type": "application/vnd.spring-boot.actuator.v3+json"}
        )
    if asked.path == "/moved":
        return Given(302, b"", {"Location": "http://127.0.0.1:1/secret"})
    if asked.path == "/deep":
        return Given(200, b"[" * 100_000, {"Content-Type": "application/json"})
    return Given(503 if asked.path == "/down" else 200, b"<html>")


@pytest.fixture
def server() -> Iterator[Server]:
    with answering(answer) as running:
        yield running


def ask(url: str, *, allow: Allow = LOOPBACK, to: list[str] | None = None, seconds: float = 3.0) -> object:
    resolve = (lambda _host, _port: to) if to is not None else None
    return get(url, timeout_seconds=seconds, allow=allow, resolve=resolve)


def test_an_allowed_address_is_asked(server: Server) -> None:
    found = get(f"{server.url}/actuator/health", timeout_seconds=3, allow=LOOPBACK)
    assert (found.status, found.json) == (200, {"status": "UP"})
    assert 0 < found.elapsed < 3
    assert server.asked[0].headers["Host"] == server.url.removeprefix("http://")


def test_a_bad_answer_is_an_answer(server: Server) -> None:
    found = get(f"{server.url}/down", timeout_seconds=3, allow=LOOPBACK)
    assert (found.status, found.json) == (503, None)


def test_a_redirect_is_not_followed(server: Server) -> None:
    assert get(f"{server.url}/moved", timeout_seconds=3, allow=LOOPBACK).status == 302
    assert len(server.asked) == 1


def test_json_of_endless_depth_is_no_json(server: Server) -> None:
    assert get(f"{server.url}/deep", timeout_seconds=3, allow=LOOPBACK).json is None


def test_the_body_is_never_shown(server: Server) -> None:
    assert "UP" not in repr(get(f"{server.url}/actuator/health", timeout_seconds=3, allow=LOOPBACK))


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "2130706433",
        "0x7f.1",
        "0177.0.0.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "0.0.0.0",
    ],
)
def test_loopback_in_any_spelling_needs_to_be_allowed(server: Server, host: str) -> None:
    named = Allow.of(hosts=[host.strip("[]"), "localhost"])
    with pytest.raises(PermanentError) as refusal:
        ask(f"http://{host}:{server.url.rpartition(':')[2]}/", allow=named)
    assert refusal.value.code == "address_refused"
    assert server.asked == []


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "10.0.0.7",
        "192.168.1.1",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
        "fd00::1",
        "fe80::1%eth0",
        "224.0.0.1",
        "0.0.0.0",
        "100.64.0.1",
    ],
)
def test_an_allowed_name_that_points_inside_is_refused(address: str) -> None:
    with pytest.raises(PermanentError) as refusal:
        ask("http://shop.example/", allow=Allow.of(hosts=["shop.example"]), to=[address])
    assert refusal.value.code == "address_refused"


def test_one_bad_address_among_several_refuses_the_name() -> None:
    with pytest.raises(PermanentError):
        ask("http://shop.example/", allow=Allow.of(hosts=["shop.example"]), to=["93.184.216.34", "127.0.0.1"])


def test_a_name_nobody_allowed_is_refused_even_when_public() -> None:
    with pytest.raises(PermanentError):
        ask("http://other.example/", allow=Allow.of(hosts=["shop.example"]), to=["93.184.216.34"])


def test_the_name_is_resolved_once_and_the_call_goes_there(server: Server) -> None:
    calls: list[str] = []

    def rebinding(host: str, _port: int) -> list[str]:
        calls.append(host)
        return ["127.0.0.1"] if len(calls) == 1 else ["10.0.0.1"]

    port = server.url.rpartition(":")[2]
    found = get(f"http://shop.example:{port}/", timeout_seconds=3, allow=LOOPBACK, resolve=rebinding)
    assert found.status == 200
    assert calls == ["shop.example"]
    assert server.asked[0].headers["Host"] == f"shop.example:{port}"


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "gopher://127.0.0.1/",
        "ftp://127.0.0.1/",
        "http://",
        "http://user:secret@127.0.0.1/",
        "http://127.0.0.1:99999/",
        "http://127.0.0.1/a b",
        "http://127.0.0.1/\r\nX-Evil: 1",
        "//127.0.0.1/",
        "",
    ],
)
def test_anything_but_a_plain_web_address_is_refused(url: str) -> None:
    with pytest.raises(PermanentError) as refusal:
        ask(url)
    assert refusal.value.code == "address_refused"
    assert "secret" not in str(refusal.value.detail)


def test_nobody_listening_is_a_passing_trouble() -> None:
    with pytest.raises(TemporaryError) as trouble:
        ask(f"http://127.0.0.1:{free_port()}/")
    assert trouble.value.code == "unreachable"


def test_an_unknown_name_is_a_passing_trouble() -> None:
    def unknown(_host: str, _port: int) -> list[str]:
        raise socket.gaierror

    with pytest.raises(TemporaryError):
        get(
            "http://shop.example/", timeout_seconds=1, allow=Allow.of(hosts=["shop.example"]), resolve=unknown
        )


def test_a_silent_server_is_given_up_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        started = time.monotonic()
        with pytest.raises(TemporaryError):
            ask(f"http://127.0.0.1:{silent.getsockname()[1]}/", seconds=0.3)
        assert time.monotonic() - started < 3


def test_an_endless_body_is_cut() -> None:
    with answering(lambda _asked: Given(200, b"x" * (BODY_BYTES * 3))) as server:
        assert get(server.url, timeout_seconds=3, allow=LOOPBACK).status == 200


def test_a_body_that_trickles_is_given_up_in_time() -> None:
    with never_ending(0.05) as port, pytest.raises(TemporaryError) as trouble:
        ask(f"http://127.0.0.1:{port}/", seconds=0.3)
    assert trouble.value.code == "unreachable"


def test_headers_that_trickle_are_given_up_in_time() -> None:
    with trickling_headers(0.05) as (port, whole):
        with pytest.raises(TemporaryError) as trouble:
            ask(f"http://127.0.0.1:{port}/", seconds=0.3)
        assert not whole.is_set()
    assert trouble.value.code == "unreachable"


def test_headers_that_come_bit_by_bit_in_time_are_read() -> None:
    with trickling_headers(0.001, count=40) as (port, _whole):
        assert get(f"http://127.0.0.1:{port}/", timeout_seconds=3, allow=LOOPBACK).json == {}


def test_what_no_row_can_keep_is_not_in_an_answer() -> None:
    said = Given(200, rb'{"status": "a\u0000b\ud800"}', {"Content-Type": "application/json"})
    with answering(lambda _asked: said) as server:
        assert get(server.url, timeout_seconds=3, allow=LOOPBACK).json == {"status": "a\ufffdb\ufffd"}
