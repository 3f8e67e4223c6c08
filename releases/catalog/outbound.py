"""What the portal may call over HTTP: hosts and networks that an administrator wrote into the catalog."""

from collections.abc import Iterable
from urllib.parse import urlsplit

from django.conf import settings

from portal.errors import PermanentError
from portal.integrations.http.client import Allow
from releases.catalog.models import Connection, ConnectionKind, Environment
from releases.catalog.references import address_of


def allowed(environment: Environment, *, addresses: Iterable[str] = ()) -> Allow:
    """What a step in this environment may call.

    Args:
        addresses: of Kubernetes Services, as the environment's own API server just named them. They are
            private or, on the practice cluster, loopback, and so must be allowed one by one.
    """
    connections = Connection.objects.filter(kind=ConnectionKind.HTTP).values_list("spec", flat=True)
    hosts = [host for spec in connections for host in spec.get("hosts", [])]
    networks = [network for spec in connections for network in spec.get("networks", [])]
    public = urlsplit(public_url(environment)).netloc
    names = [*settings.OUTBOUND_HOSTS, *hosts, *([public] if public else [])]
    return Allow.of(hosts=names, networks=[*networks, *addresses])


def public_url(environment: Environment) -> str:
    """Where people reach the environment, or nothing."""
    try:
        return address_of(environment.spec.get("publicUrl", ""))
    except PermanentError:
        return ""
