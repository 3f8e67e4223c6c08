"""A certificate is read from an allowed address, trusted or not, and never by asking another one."""

import socket
from pathlib import Path

import pytest

from portal.errors import PermanentError, TemporaryError
from portal.integrations.http.client import Allow
from portal.integrations.tls.client import Shown, shown_certificate
from tests.portal.integrations.showing import Shop, certificate, showing

LOOPBACK = Allow.of(networks=["127.0.0.0/8"])


def look(shop: Shop, *, name: str = "shop.test", allow: Allow = LOOPBACK, authority: str = "") -> Shown:
    return shown_certificate(
        name,
        shop.port,
        server_name=name,
        timeout_seconds=3,
        allow=allow,
        authority=authority,
        resolve=lambda _host, _port: ["127.0.0.1"],
    )


def test_it_is_read_with_its_names_and_its_end(tmp_path: Path) -> None:
    with showing(*certificate(tmp_path, names=("shop.test", "127.0.0.1"))) as shop:
        found = look(shop, authority=shop.authority)
        assert (found.subject, found.issuer, found.doubt) == ("CN=shop.test", "CN=test authority", "")
        assert found.names == "shop.test, 127.0.0.1"
        assert (found.ends - found.begins).days == 91
        assert look(shop, name="127.0.0.1", authority=shop.authority).fits


def test_what_nobody_known_vouches_for_is_read_all_the_same(tmp_path: Path) -> None:
    with showing(*certificate(tmp_path)) as shop:
        found = look(shop)
    assert (found.subject, found.fits) == ("CN=shop.test", None)
    assert "certificate" in found.doubt


def test_a_certificate_for_another_name_is_told_from_an_untrusted_one(tmp_path: Path) -> None:
    with showing(*certificate(tmp_path)) as shop:
        assert look(shop, name="other.test", authority=shop.authority).fits is False


def test_an_address_that_is_not_allowed_gets_no_handshake(tmp_path: Path) -> None:
    with showing(*certificate(tmp_path)) as shop, pytest.raises(PermanentError) as refused:
        look(shop, allow=Allow.of(hosts=["shop.test"]))
    assert refused.value.code == "address_refused"


def test_an_authority_that_is_none_is_named(tmp_path: Path) -> None:
    with showing(*certificate(tmp_path)) as shop, pytest.raises(PermanentError) as wrong:
        look(shop, authority="no certificate")
    assert wrong.value.code == "bad_authority"


def test_who_does_not_speak_tls_or_is_not_there_does_not_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        place = Shop(listener.getsockname()[1], "")
    with pytest.raises(TemporaryError) as away:
        look(place)
    assert away.value.code == "unreachable"
