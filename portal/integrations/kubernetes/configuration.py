"""How the library is set up for one cluster: certificates, sockets, and nothing repeated silently."""

import socket
import ssl
import tempfile

import urllib3
from django.utils.translation import gettext_lazy as _
from kubernetes import client as library
from kubernetes.utils.keepalive import tcp_keepalive_socket_options
from urllib3.util.ssl_ import create_urllib3_context

from portal.errors import PermanentError
from portal.integrations.headers import bound
from portal.integrations.kubernetes.connection import CONNECTION, Access
from portal.sentences import sentence

NO_DELAY = (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def manager_of(access: Access) -> urllib3.PoolManager:
    """Return the sockets by which a cluster is reached, as the library makes them.

    Raises:
        PermanentError: the certificates cannot be read.
    """
    configuration = library.Configuration(host=access.server)
    configuration.verify_ssl = access.verify
    configuration.tls_server_name = access.server_name or None
    configuration.retries = urllib3.Retry(
        connect=1, read=0, redirect=0, other=0, respect_retry_after_header=False, backoff_factor=0.1
    )
    configuration.connection_pool_maxsize = 16
    # The library's own options leave this out: a small request would wait for the answer to the last one.
    configuration.socket_options = [*tcp_keepalive_socket_options(), NO_DELAY]
    manager: urllib3.PoolManager = library.rest.RESTClientObject(configuration).pool_manager
    if access.server.startswith("https:"):
        # One for all connections: else each would read the certificates once more.
        manager.connection_pool_kw["ssl_context"] = _context_of(access)
    bound(manager)
    return manager


def _context_of(access: Access) -> ssl.SSLContext:
    """Return which certificates are believed, and shown."""
    context = create_urllib3_context()
    context.check_hostname = access.verify
    context.verify_mode = ssl.CERT_REQUIRED if access.verify else ssl.CERT_NONE
    try:
        _read_certificates(context, access)
    except (OSError, ValueError) as error:
        text = _("The certificates of the kubeconfig cannot be read: {error}.")
        raise PermanentError(sentence(text, error=error), code=CONNECTION) from error
    return context


def _read_certificates(context: ssl.SSLContext, access: Access) -> None:
    if access.authority:
        context.load_verify_locations(cadata=access.authority)
    else:
        context.load_default_certs()
    if access.certificate:
        with tempfile.NamedTemporaryFile("w", prefix="portal-", encoding="utf-8") as file:
            # It is read by its path only; the file is for this account, and gone when it has been read.
            file.write(f"{access.certificate}\n{access.key}\n")
            file.flush()
            context.load_cert_chain(file.name)
