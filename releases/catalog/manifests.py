"""Manifests of a service: their folder in each environment, and what of them an approval covers."""

from collections.abc import Mapping
from typing import Any

from django.conf import settings

from portal.errors import PermanentError
from portal.integrations.kubernetes.manifests import Manifests, read_manifests
from releases.catalog.models import Environment, Service

Json = dict[str, Any]


def manifests_of(folders: Mapping[str, str], environment: str) -> Manifests | None:
    """Read the folder that a service names for an environment; None where it names none.

    Raises:
        PermanentError: with code "manifests_refused" when it is not there, or not as it may be.
    """
    folder = folders.get(environment)
    return read_manifests(settings.MANIFESTS, str(folder)) if folder else None


def approved_of(service: Service, environment: Environment) -> Json | None:
    """What of a service's manifests an approval covers; None where it has none.

    A folder that cannot be read counts as none: once it can be, the content is another.
    """
    folders = service.spec.get("manifests") or {}
    if environment.name not in folders:
        return None
    try:
        found = manifests_of(folders, environment.name)
    except PermanentError:
        found = None
    return {"folder": folders[environment.name], "digest": found.digest if found else ""}
