"""How a cluster is reached: reads a connection's spec, refuses what could run code or open files.

A kubeconfig can name programs to run and files to read; whoever edits one would act as the worker
(protocols.md, A7). Only an address, inline certificates and a token are understood.
"""

import os
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from portal.errors import PermanentError
from portal.sentences import sentence

Json = dict[str, Any]

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
MAX_BYTES = 1_000_000
ALLOWED_CLUSTER_KEYS = frozenset({"server", "certificate-authority-data", "tls-server-name"})
ALLOWED_USER_KEYS = frozenset({"token", "client-certificate-data", "client-key-data"})
CONNECTION = "connection"
INSECURE = "insecure-skip-tls-verify"


@dataclass(frozen=True, kw_only=True)
class Access:
    """All that is needed to call one API server.

    Attributes:
        server: address without a trailing slash.
        authority: PEM text of the authority that signed the server's certificate; empty: the system's own.
        token: bearer token; `token_file` is read again and again instead when the portal runs inside.
        certificate: PEM text of a client certificate, with `key`.
        verify: False only where an administrator allowed it in the connection.
    """

    server: str
    authority: str = ""
    token: str = ""
    token_file: str = ""
    certificate: str = ""
    key: str = ""
    server_name: str = ""
    verify: bool = True


def read_connection(spec: Mapping[str, Any]) -> Access:
    """Turn a connection's spec into what is needed to call its cluster.

    Args:
        spec: {"kubeconfigRef": "env:NAME" | "file:PATH", "context"?, "allowInsecure"?} or
            {"inCluster": true}.

    Raises:
        PermanentError: nothing usable is named there, or the kubeconfig holds what is refused.
    """
    if spec.get("inCluster"):
        return _in_cluster()
    reference = str(spec.get("kubeconfigRef", ""))
    text = _referenced(reference)
    return read_kubeconfig(
        text, context=str(spec.get("context", "")), allow_insecure=bool(spec.get("allowInsecure"))
    )


@lru_cache(maxsize=64)
def read_kubeconfig(text: str, *, context: str = "", allow_insecure: bool = False) -> Access:
    """Read a kubeconfig's text; `context` chooses another one than the current.

    Kept per text: steps connect anew at every look, and YAML is slow.

    Raises:
        PermanentError: it cannot be read, or holds something that is refused, which is named.
    """
    config = _parsed(text)
    wanted = context or str(config.get("current-context", ""))
    chosen = _named(config, "contexts", wanted).get("context")
    if not isinstance(chosen, dict):
        raise _wrong(sentence(_("The kubeconfig has no context “{name}”."), name=wanted))
    cluster = _part(config, "clusters", "cluster", str(chosen.get("cluster", "")))
    user = _part(config, "users", "user", str(chosen.get("user", "")))
    _refuse_unknown(cluster, ALLOWED_CLUSTER_KEYS | ({INSECURE} if allow_insecure else frozenset()))
    _refuse_unknown(user, ALLOWED_USER_KEYS)
    server = str(cluster.get("server", "")).rstrip("/")
    if not server.startswith(("https://", "http://")):
        raise _wrong(_("The kubeconfig names no server address."))
    return Access(
        server=server,
        authority=_decoded(cluster, "certificate-authority-data"),
        token=str(user.get("token") or ""),
        certificate=_decoded(user, "client-certificate-data"),
        key=_decoded(user, "client-key-data"),
        server_name=str(cluster.get("tls-server-name") or ""),
        verify=not cluster.get(INSECURE, False),
    )


def _in_cluster() -> Access:
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT")
    if not host or not port:
        raise _wrong(_("The portal does not run inside a cluster, yet the connection says so."))
    address = f"[{host}]" if ":" in host else host
    authority = _file_text(SERVICE_ACCOUNT / "ca.crt")
    return Access(
        server=f"https://{address}:{port}", authority=authority, token_file=str(SERVICE_ACCOUNT / "token")
    )


def _referenced(reference: str) -> str:
    kind, _separator, name = reference.partition(":")
    if kind == "file" and name:
        return _file_text(Path(name))
    if kind != "env" or not name:
        raise _wrong(_("A connection names its kubeconfig as env:NAME or file:PATH."))
    if f"{name}_FILE" in os.environ and name not in os.environ:
        return _file_text(Path(os.environ[f"{name}_FILE"]))
    value = os.environ.get(name, "")
    if not value:
        raise _wrong(sentence(_("{name} is not set; it should hold a kubeconfig or its path."), name=name))
    return value if "\n" in value else _file_text(Path(value))


def _file_text(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise _wrong(sentence(_("{path} is too large for a kubeconfig."), path=path))
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise _wrong(sentence(_("{path} cannot be read: {error}."), path=path, error=error)) from error


def _parsed(text: str) -> Json:
    if len(text) > MAX_BYTES:
        raise _wrong(_("The kubeconfig is too large."))
    if "&" in text and any(
        line.lstrip("- ").split(": ")[-1].startswith(("&", "*")) for line in text.splitlines()
    ):
        raise _wrong(_("The kubeconfig uses YAML anchors, which are refused."))
    try:
        config = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        raise _wrong(_("The kubeconfig is not valid YAML.")) from error
    if not isinstance(config, dict):
        raise _wrong(_("The kubeconfig is not a mapping."))
    return config


def _named(config: Json, section: str, name: str) -> Json:
    entries = config.get(section)
    found = [each for each in entries if isinstance(each, dict)] if isinstance(entries, list) else []
    return next((each for each in found if each.get("name") == name), {})


def _part(config: Json, section: str, key: str, name: str) -> Json:
    found = _named(config, section, name).get(key)
    if not isinstance(found, dict):
        raise _wrong(
            sentence(_("The kubeconfig has no entry “{name}” under {section}."), name=name, section=section)
        )
    return found


def _refuse_unknown(part: Json, allowed: frozenset[str]) -> None:
    refused = sorted(
        key for key, value in part.items() if key not in allowed and value not in (None, False, "")
    )
    if refused:
        text = _(
            "The kubeconfig holds {keys}, which is refused: only an address, inline certificates and a token."
        )
        raise _wrong(sentence(text, keys=", ".join(refused)))


def _decoded(part: Json, key: str) -> str:
    try:
        return b64decode(str(part.get(key) or ""), validate=True).decode()
    except (Base64Error, UnicodeDecodeError) as error:
        raise _wrong(sentence(_("{key} in the kubeconfig is not base64 text."), key=key)) from error


def _wrong(text: str | Promise) -> PermanentError:
    return PermanentError(text, code=CONNECTION)
