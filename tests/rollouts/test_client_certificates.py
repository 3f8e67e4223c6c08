"""Whose certificate a cluster believes, which one is shown to it, and what is said of one that is wrong."""

import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import translation

from portal.embedded.cluster import certificates, clock
from portal.errors import PermanentError, TemporaryError
from portal.integrations.kubernetes.client import Cluster
from portal.integrations.kubernetes.connection import Access
from tests.rollouts.scripted_server import scripted_cluster


class Certified:
    """A cluster's server behind TLS, and a client that trusts the key it was made with."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)

    def renew(self) -> None:
        """Give the server a certificate from now on, and the client the authority for it."""
        for name in ("tls.crt", "tls.key"):
            (self.folder / name).unlink(missing_ok=True)
        certificate, key = certificates.ensure(self.folder)
        self.context.load_cert_chain(certificate, key)
        self.authority = certificate.read_text()

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Answer every request with an empty object."""
        with scripted_cluster(tls=self.context) as (cluster, script):
            script.say(200)
            self.server = cluster.access.server
            yield

    def ask(self, **access: Any) -> TemporaryError | None:
        """Ask by a line of its own; returns what was in the way."""
        cluster = Cluster(Access(**{"server": self.server, "authority": self.authority, **access}))
        try:
            cluster.call("GET", "/version")
        except TemporaryError as error:
            return error
        finally:
            cluster.close()
        return None


@pytest.fixture
def certified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Certified]:
    """A server whose certificate ran out long ago."""
    server = Certified(tmp_path)
    long_ago = datetime.now(UTC) - timedelta(days=2 * 365 * certificates.YEARS)
    with monkeypatch.context() as patch:
        patch.setattr(clock, "now", lambda: long_ago)
        server.renew()
    with server.serving():
        yield server


def test_an_expired_certificate_is_named_and_waited_for_until_it_is_renewed(certified: Certified) -> None:
    expired = certified.ask()
    certified.renew()

    assert isinstance(expired, TemporaryError)
    assert (expired.code, "certificate has expired" in str(expired.detail)) == ("unreachable", True)
    assert certified.ask() is None


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_only_the_authority_that_is_named_is_believed_unless_nothing_is_checked(certified: Certified) -> None:
    certified.renew()
    with certified.serving():
        assert certified.ask() is None
        unknown = certified.ask(authority="")
        assert unknown is not None
        assert "certificate verify failed" in str(unknown.detail)
        assert certified.ask(authority="", verify=False) is None


@pytest.mark.parametrize("wrong", [{"authority": "none"}, {"certificate": "none", "key": "none"}])
def test_certificates_that_cannot_be_read_are_named(wrong: dict[str, Any]) -> None:
    with pytest.raises(PermanentError) as refusal, translation.override("en"):
        Cluster(Access(server="https://cluster.test", **wrong))
    assert refusal.value.code == "connection"
    with translation.override("en"):
        assert str(refusal.value.detail).startswith("The certificates of the kubeconfig cannot be read: ")


def test_an_account_shows_its_certificate_and_its_key_is_left_in_no_file(
    certified: Certified, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certified.renew()
    certified.context.verify_mode = ssl.CERT_REQUIRED
    certified.context.load_verify_locations(cadata=certified.authority)
    left = tmp_path / "left"
    left.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(left))
    own = {"certificate": certified.authority, "key": (certified.folder / "tls.key").read_text()}
    with certified.serving():
        assert certified.ask(**own) is None
        assert list(left.iterdir()) == []
        assert certified.ask() is not None, "nobody comes in without one"
