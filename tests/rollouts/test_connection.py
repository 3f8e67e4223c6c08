"""A kubeconfig may hold an address, inline certificates and a token; nothing that runs or reads."""

import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from portal.errors import PermanentError
from portal.integrations.kubernetes.connection import read_connection, read_kubeconfig

INLINE = b64encode(b"-----BEGIN CERTIFICATE-----").decode()


def kubeconfig(*, cluster: dict[str, Any] | None = None, user: dict[str, Any] | None = None) -> str:
    return json.dumps(
        {
            "current-context": "here",
            "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "c", "cluster": {"server": "https://10.0.0.1:6443/", **(cluster or {})}}],
            "users": [{"name": "u", "user": user if user is not None else {"token": "secret"}}],
        }
    )


def test_a_token_and_an_inline_authority_are_taken() -> None:
    found = read_kubeconfig(kubeconfig(cluster={"certificate-authority-data": INLINE}))
    assert (found.server, found.token, found.verify) == ("https://10.0.0.1:6443", "secret", True)
    assert found.authority.startswith("-----BEGIN")


@pytest.mark.parametrize(
    ("part", "named"),
    [
        ({"user": {"exec": {"command": "sh"}}}, "exec"),
        ({"user": {"auth-provider": {"name": "gcp"}}}, "auth-provider"),
        ({"user": {"tokenFile": "/etc/passwd"}}, "tokenFile"),
        ({"user": {"client-key": "/root/key"}}, "client-key"),
        ({"user": {"username": "a", "password": "b"}}, "password"),
        ({"cluster": {"certificate-authority": "/etc/ca"}}, "certificate-authority"),
        ({"cluster": {"insecure-skip-tls-verify": True}}, "insecure-skip-tls-verify"),
        ({"cluster": {"proxy-url": "http://elsewhere"}}, "proxy-url"),
    ],
)
def test_what_could_run_or_read_is_refused_by_name(part: dict[str, Any], named: str) -> None:
    with pytest.raises(PermanentError, match=named) as refusal:
        read_kubeconfig(kubeconfig(**part))
    assert "secret" not in str(refusal.value.detail)


def test_an_administrator_may_allow_an_unverified_server() -> None:
    text = kubeconfig(cluster={"insecure-skip-tls-verify": True})
    assert not read_kubeconfig(text, allow_insecure=True).verify


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        "a: &a [x]\nb: *a\n",
        "current-context: gone",
        kubeconfig(cluster={"server": "file:///etc/passwd"}),
        kubeconfig(cluster={"certificate-authority-data": "%%%"}),
        "x" * 1_000_001,
    ],
)
def test_a_kubeconfig_that_cannot_be_used_is_refused(text: str) -> None:
    with pytest.raises(PermanentError) as refusal:
        read_kubeconfig(text)
    assert refusal.value.code == "connection"


def test_a_reference_names_a_variable_or_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "config"
    path.write_text(kubeconfig())
    assert read_connection({"kubeconfigRef": f"file:{path}"}).token == "secret"
    monkeypatch.setenv("SHOP_CLUSTER", str(path))
    assert read_connection({"kubeconfigRef": "env:SHOP_CLUSTER"}).token == "secret"
    monkeypatch.delenv("SHOP_CLUSTER")
    with pytest.raises(PermanentError, match="SHOP_CLUSTER"):
        read_connection({"kubeconfigRef": "env:SHOP_CLUSTER"})
    with pytest.raises(PermanentError):
        read_connection({})
