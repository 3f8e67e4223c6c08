"""Which object belongs to which, by ownerReferences; adopting what has no owner and fits."""

from collections.abc import Iterator

from portal.embedded.cluster.kinds import Kind
from portal.embedded.cluster.selectors import selector_matches
from portal.embedded.cluster.store import Change, Key, Object, Store


def reference(kind: Kind, owner: Object) -> Object:
    return {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def controller_of(item: Object) -> Object | None:
    """The one ownerReference that controls an object."""
    references = item["metadata"].get("ownerReferences") or []
    return next((each for each in references if each.get("controller")), None)


def owner_key(change: Change, kind: Kind) -> Iterator[Key]:
    """The key of the controlling owner of a changed object, when it is of that kind."""
    owner = controller_of(change.object)
    if owner is not None and owner["kind"] == kind.kind:
        yield change.object["metadata"]["namespace"], owner["name"]


def owned(store: Store, kind: Kind, owner_kind: Kind, owner: Object, *, adopt: bool = True) -> list[Object]:
    """The objects of a kind that an owner controls, orphans that fit its selector taken in."""
    metadata, selector = owner["metadata"], owner["spec"].get("selector")
    found = []
    for item in store.every(kind, metadata["namespace"]):
        holder = controller_of(item)
        if holder is not None:
            if holder["uid"] == metadata["uid"]:
                found.append(item)
            continue
        fits = adopt and selector_matches(selector, item["metadata"].get("labels"))
        if fits and "deletionTimestamp" not in metadata and "deletionTimestamp" not in item["metadata"]:
            found.append(_adopted(store, kind, item, reference(owner_kind, owner)))
    return found


def _adopted(store: Store, kind: Kind, item: Object, owner: Object) -> Object:
    references = [*(item["metadata"].get("ownerReferences") or []), owner]
    return store.update(kind, {**item, "metadata": {**item["metadata"], "ownerReferences": references}})
