"""How the library is set up for one cluster: certificates, sockets, and nothing repeated silently."""

import atexit
import os
import socket
import tempfile
from pathlib import Path

import urllib3
from kubernetes import client as library
from kubernetes.utils.keepalive import tcp_keepalive_socket_options

from portal.integrations.kubernetes.connection import Access

NO_DELAY = (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def configuration_of(access: Access) -> library.Configuration:
    """Return the settings with which the library reaches a cluster."""
    configuration = library.Configuration(host=access.server)
    configuration.verify_ssl = access.verify
    configuration.ca_cert_data = access.authority or None
    configuration.tls_server_name = access.server_name or None
    configuration.retries = urllib3.Retry(
        connect=1, read=0, redirect=0, other=0, respect_retry_after_header=False, backoff_factor=0.1
    )
    configuration.connection_pool_maxsize = 16
    # The library's own options leave this out: a small request would wait for the answer to the last one.
    configuration.socket_options = [*tcp_keepalive_socket_options(), NO_DELAY]
    if access.certificate:
        configuration.cert_file = _private_file(access.certificate)
        configuration.key_file = _private_file(access.key)
    return configuration


def _private_file(text: str) -> str:
    """The library takes certificates by path only; the file is for this account and goes with the process."""
    descriptor, name = tempfile.mkstemp(prefix="portal-")
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    atexit.register(lambda: Path(name).unlink(missing_ok=True))
    return name
