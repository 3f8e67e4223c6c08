"""Where connections lead, and whether they can: a kubeconfig that could run programs is no connection."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from django.db.models.fields.json import KeyTextTransform

from portal.errors import PermanentError
from portal.integrations.kubernetes.connection import read_connection
from portal.statements import Given, Question
from releases.catalog.documents import Document, Problem
from releases.catalog.models import Connection, ConnectionKind

# Login, certificates and description may change under an approval: they lead nowhere else.
PLACE = {
    ConnectionKind.KUBERNETES: ("kubeconfigRef", "context", "inCluster"),
    ConnectionKind.REGISTRY: ("host", "url"),
}

_REGISTRIES = Question(
    lambda: (
        Connection.objects.annotate(host=KeyTextTransform("host", "spec"))
        .defer("source")
        .filter(kind=ConnectionKind.REGISTRY, host__among=Given("hosts"))
        .order_by("name")
    )
)


def place_of(connection: Connection) -> dict[str, Any]:
    """What of a connection says which cluster or registry it leads to, by reference as it is written."""
    keys = PLACE.get(ConnectionKind(connection.kind), ())
    return {key: connection.spec[key] for key in keys if key in connection.spec}


def registries_of(hosts: Iterable[str]) -> list[dict[str, Any]]:
    """The registries behind these hosts of images, in the order in which they are asked."""
    found = _REGISTRIES.ask(hosts=sorted(set(hosts)))
    return [{"name": row.name, "place": place_of(row)} for row in found]


def unusable_connections(documents: Iterable[Document]) -> list[Problem]:
    """Every kubeconfig that is within reach and would be refused; what is not set yet is left alone."""
    found = []
    for each in documents:
        reference = str(each.spec.get("kubeconfigRef", ""))
        if each.kind == "Connection" and _is_there(reference):
            try:
                read_connection(each.spec)
            except PermanentError as error:
                found.append(each.problem(error.detail, "spec", "kubeconfigRef"))
    return found


def _is_there(reference: str) -> bool:
    kind, _colon, name = reference.partition(":")
    if kind == "file":
        return Path(name).is_file()
    value = os.environ.get(name) or os.environ.get(f"{name}_FILE", "")
    return kind == "env" and ("\n" in value or Path(value or "/nowhere").is_file())
