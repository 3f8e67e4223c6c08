"""The verbs that read: get, list in pieces, and the beginning of a watch."""

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any

from portal.embedded.cluster import tables
from portal.embedded.cluster.errors import ApiError, bad_request, expired, too_large
from portal.embedded.cluster.kinds import Kind
from portal.embedded.cluster.selectors import Match, fields_match, labels_match
from portal.embedded.cluster.store import Object, Store, key_of
from portal.embedded.cluster.watch import Watch

Query = Mapping[str, str]


def matcher(kind: Kind, query: Query) -> Match:
    by_label = labels_match(query.get("labelSelector", ""))
    by_field = fields_match(query.get("fieldSelector", ""), kind=kind)
    return lambda item: by_label(item) and by_field(item)


def whole(text: str, *, name: str) -> int:
    """A whole number of the query; 0 where it is missing."""
    if not text:
        return 0
    if not text.isdigit():
        raise bad_request(
            f'{name}: Invalid value: "{text}": strconv.ParseInt: parsing "{text}": invalid syntax'
        )
    return int(text)


class Reader:
    def __init__(self, store: Store) -> None:
        self._store = store

    def list(self, kind: Kind, namespace: str, *, query: Query, as_table: bool) -> Object:
        """A list, or one piece of it, as it was at one version.

        Raises:
            ApiError: 410 for a version the history has lost, 504 for one of the future.
        """
        limit = whole(query.get("limit", ""), name="limit")
        version, after = self._place(query)
        match = matcher(kind, query)
        items = [item for item in self._store.every_at(kind, namespace, version) if match(item)]
        rest = [item for item in items if after is None or key_of(item) > after]
        piece = rest[:limit] if limit else rest
        metadata: Object = {"resourceVersion": str(version)}
        if len(piece) < len(rest):
            metadata["continue"] = _token(version, piece[-1])
            if not query.get("labelSelector") and not query.get("fieldSelector"):
                metadata["remainingItemCount"] = len(rest) - len(piece)
        if as_table:
            include = query.get("includeObject", "Metadata")
            return tables.table(kind, piece, metadata=metadata, include=include)
        return {
            "kind": f"{kind.kind}List",
            "apiVersion": kind.api_version,
            "metadata": metadata,
            "items": piece,
        }

    def _place(self, query: Query) -> tuple[int, tuple[str, str] | None]:
        """The version to list at, and the object after which to go on."""
        if token := query.get("continue"):
            version, after = _read_token(token)
            if version < self._store.forgotten:
                raise expired(version, oldest=self._store.forgotten)
            return version, after
        asked = whole(query.get("resourceVersion", ""), name="resourceVersion")
        self.check_future(asked)
        if query.get("resourceVersionMatch") != "Exact":
            return self._store.version, None
        if asked < self._store.forgotten:
            raise expired(asked, oldest=self._store.forgotten)
        return asked, None

    def check_future(self, asked: int) -> None:
        if asked > self._store.version:
            raise too_large(asked, current=self._store.version)

    def watch(self, kind: Kind, namespace: str, *, query: Query, as_table: bool) -> tuple[Watch, bytes]:
        """A watch and what it says first; it begins in the present, or where the query says."""
        include = query.get("includeObject", "Metadata")

        def as_row(item: Object) -> Object:
            return tables.table(kind, [item], metadata={}, include=include)

        show: Callable[[Object], Object] = as_row if as_table else lambda item: item
        watch = Watch(self._store, kind, namespace=namespace, match=matcher(kind, query), show=show)
        asked = whole(query.get("resourceVersion", ""), name="resourceVersion")
        initial = query.get("sendInitialEvents") == "true"
        if initial and query.get("resourceVersionMatch") != "NotOlderThan":
            watch.close()
            raise bad_request("sendInitialEvents needs resourceVersionMatch=NotOlderThan")
        if not asked or initial:
            first = watch.present()
            return watch, first + watch.bookmark(initial_end=True) if initial else first
        try:
            watch.replay(asked)
        except ApiError as error:
            watch.fail(error)
        return watch, b""


def _token(version: int, last: Object) -> str:
    return base64.urlsafe_b64encode(json.dumps([version, *key_of(last)]).encode()).decode()


def _read_token(token: str) -> tuple[int, tuple[str, str]]:
    try:
        found: Any = json.loads(base64.urlsafe_b64decode(token))
        return int(found[0]), (str(found[1]), str(found[2]))
    except (ValueError, LookupError, TypeError) as error:
        raise bad_request("continue key is not valid") from error
