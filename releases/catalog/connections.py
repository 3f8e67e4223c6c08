"""Looks at what connections refer to: a kubeconfig that could run programs is no connection."""

import os
from collections.abc import Iterable
from pathlib import Path

from portal.errors import PermanentError
from portal.integrations.kubernetes.connection import read_connection
from releases.catalog.documents import Document, Problem


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
