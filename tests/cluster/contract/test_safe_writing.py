"""Conditional writes, dry runs and strict validation: what lets the portal write safely."""

import pytest

from tests.cluster.api import PATCH_TYPES, Json, Refused
from tests.cluster.objects import Space, config_map, deployment, image_of, image_patch


def test_a_patch_with_the_version_it_was_made_for_goes_through(space: Space) -> None:
    version = _settled(space)["metadata"]["resourceVersion"]
    patched = space.patch("deployments", "web", _versioned(version))
    assert image_of(patched) == "registry.test/web:2"
    assert patched["metadata"]["resourceVersion"] != version


@pytest.mark.parametrize("kind", ["strategic", "merge"])
def test_a_patch_with_an_old_version_is_a_conflict_and_changes_nothing(space: Space, kind: str) -> None:
    version = _settled(space)["metadata"]["resourceVersion"]
    space.patch("deployments", "web", {"metadata": {"labels": {"changed": "meanwhile"}}})
    with pytest.raises(Refused) as refused:
        space.patch("deployments", "web", _versioned(version), kind=kind)
    assert (refused.value.code, refused.value.reason) == (409, "Conflict")
    assert image_of(space.get("deployments", "web")) == "registry.test/web:1"


def test_a_json_patch_that_replaces_an_old_version_is_a_conflict(space: Space) -> None:
    version = _settled(space)["metadata"]["resourceVersion"]
    space.patch("deployments", "web", {"metadata": {"labels": {"changed": "meanwhile"}}})
    operations = [
        {"op": "replace", "path": "/metadata/resourceVersion", "value": version},
        {"op": "replace", "path": "/spec/replicas", "value": 3},
    ]
    with pytest.raises(Refused) as refused:
        space.patch("deployments", "web", operations, kind="json")
    assert (refused.value.code, refused.value.reason) == (409, "Conflict")


def test_a_replacement_with_an_old_version_is_a_conflict(space: Space) -> None:
    old = space.create(config_map("settings", a="1"))
    space.patch("configmaps", "settings", {"data": {"a": "2"}})
    with pytest.raises(Refused) as refused:
        space.api.replace(space.path("configmaps", "settings"), {**old, "data": {"a": "3"}})
    assert (refused.value.code, refused.value.reason) == (409, "Conflict")


def test_a_replacement_with_the_current_version_goes_through(space: Space) -> None:
    made = space.create(config_map("settings", a="1", b="1"))
    space.api.replace(space.path("configmaps", "settings"), {**made, "data": {"a": "3"}})
    assert space.get("configmaps", "settings")["data"] == {"a": "3"}


def test_a_patch_for_another_object_of_that_name_is_invalid(space: Space) -> None:
    _settled(space)
    with pytest.raises(Refused) as refused:
        space.patch("deployments", "web", {"metadata": {"uid": "11111111-2222-3333-4444-555555555555"}})
    assert (refused.value.code, refused.value.reason) == (422, "Invalid")
    assert refused.value.causes[0]["field"] == "metadata.uid"
    assert "immutable" in refused.value.causes[0]["message"]


def test_a_dry_run_shows_the_change_and_keeps_nothing(space: Space) -> None:
    before = _settled(space)
    shown = space.patch("deployments", "web", image_patch("registry.test/web:2"), dryRun="All")
    assert image_of(shown) == "registry.test/web:2"
    assert shown["metadata"]["generation"] == before["metadata"]["generation"] + 1
    assert shown["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
    after = space.get("deployments", "web")
    assert image_of(after) == "registry.test/web:1"
    assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
    assert len(space.replica_sets("web")) == 1


def test_a_dry_run_of_no_change_keeps_the_generation(space: Space) -> None:
    before = _settled(space)
    shown = space.patch("deployments", "web", image_patch("registry.test/web:1"), dryRun="All")
    assert shown["metadata"]["generation"] == before["metadata"]["generation"]
    assert shown["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]


def test_a_dry_run_meets_the_same_refusals(space: Space) -> None:
    version = _settled(space)["metadata"]["resourceVersion"]
    space.patch("deployments", "web", {"metadata": {"labels": {"changed": "meanwhile"}}})
    with pytest.raises(Refused) as refused:
        space.patch("deployments", "web", _versioned(version), dryRun="All")
    assert refused.value.code == 409


def test_a_dry_run_of_a_creation_and_of_a_deletion_keeps_nothing(space: Space) -> None:
    space.create(deployment("other"), dryRun="All")
    with pytest.raises(Refused) as refused:
        space.get("deployments", "other")
    assert refused.value.code == 404
    _settled(space)
    space.delete("deployments", "web", dryRun="All")
    assert "deletionTimestamp" not in space.get("deployments", "web")["metadata"]


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("strategic", {"spec": {"nope": 1}}),
        ("merge", {"spec": {"nope": 1}}),
        ("json", [{"op": "add", "path": "/spec/nope", "value": 1}]),
    ],
)
def test_strict_validation_refuses_an_unknown_field(space: Space, kind: str, body: object) -> None:
    _settled(space)
    with pytest.raises(Refused) as refused:
        space.patch("deployments", "web", body, kind=kind, fieldValidation="Strict")
    assert (refused.value.code, refused.value.reason) == (422, "Invalid")
    [cause] = refused.value.causes
    assert cause["field"] == "patch"
    assert cause["message"].endswith('strict decoding error: unknown field "spec.nope"')
    assert "nope" not in space.get("deployments", "web")["spec"]


def test_strict_validation_refuses_a_creation_as_a_bad_request(space: Space) -> None:
    with pytest.raises(Refused) as refused:
        space.create(deployment("web", nope=1), fieldValidation="Strict")
    assert (refused.value.code, refused.value.reason) == (400, "BadRequest")
    assert 'strict decoding error: unknown field "spec.nope"' in refused.value.message


def test_without_strict_validation_an_unknown_field_is_dropped_with_a_warning(space: Space) -> None:
    _settled(space)
    path = space.path("deployments", "web")
    answer = space.api.ask("PATCH", path, body={"spec": {"nope": 1}}, content_type=PATCH_TYPES["merge"])
    assert answer.code == 200
    assert "nope" not in answer.body["spec"]
    assert answer.headers["Warning"].startswith("299 ")
    assert "spec.nope" in answer.headers["Warning"]


def test_the_manager_of_a_change_is_recorded(space: Space) -> None:
    space.create(deployment("web"), fieldManager="gardener")
    space.set_image("web", "registry.test/web:2", fieldManager="release-portal")
    seen = space.get("deployments", "web")
    assert _owns(seen, "release-portal", "image")
    assert not _owns(seen, "gardener", "image")
    assert _owns(seen, "gardener", "replicas")


def test_the_manager_of_a_scaling_is_recorded(space: Space) -> None:
    space.create(deployment("web"), fieldManager="gardener")
    body = {"spec": {"replicas": 2}}
    space.patch("deployments", "web", body, kind="merge", sub="scale", fieldManager="release-portal")
    seen = space.get("deployments", "web")
    assert _owns(seen, "release-portal", "replicas")
    assert not _owns(seen, "gardener", "replicas")


def test_apply_creates_and_then_updates(space: Space) -> None:
    body = config_map("settings", a="1")
    made = space.patch("configmaps", "settings", body, kind="apply", fieldManager="gardener")
    assert made["data"] == {"a": "1"}
    changed = config_map("settings", b="2")
    applied = space.patch("configmaps", "settings", changed, kind="apply", fieldManager="gardener")
    # What the same manager applied before and leaves out now is removed.
    assert applied["data"] == {"b": "2"}
    [entry] = applied["metadata"]["managedFields"]
    assert (entry["manager"], entry["operation"]) == ("gardener", "Apply")


def test_apply_on_another_managers_field_is_a_conflict_until_forced(space: Space) -> None:
    space.create(deployment("web", replicas=1), fieldManager="gardener")
    space.set_image("web", "registry.test/web:2", fieldManager="release-portal")
    body = deployment("web", image="registry.test/web:3")
    with pytest.raises(Refused) as refused:
        space.patch("deployments", "web", body, kind="apply", fieldManager="pipeline")
    assert (refused.value.code, refused.value.reason) == (409, "Conflict")
    [cause] = [each for each in refused.value.causes if each["field"].endswith(".image")]
    assert cause["reason"] == "FieldManagerConflict"
    assert "release-portal" in cause["message"]
    forced = space.patch("deployments", "web", body, kind="apply", fieldManager="pipeline", force="true")
    assert image_of(forced) == "registry.test/web:3"
    assert not _owns(forced, "release-portal", "image")


def test_who_changes_owners_by_hand_is_believed(space: Space) -> None:
    space.create(deployment("web"), fieldManager="gardener")
    said = _settled_entries(space)
    for entry in said:
        entry["operation"] = "Apply" if entry["manager"] == "gardener" else entry["operation"]
    change: list[Json] = [{"op": "replace", "path": "/metadata/managedFields", "value": said}]
    space.patch("deployments", "web", change, kind="json", fieldManager="gardener")
    assert ("gardener", "Apply") in _managers(space)
    assert ("gardener", "Update") not in _managers(space)
    # So it meets no field of its own former self.
    body = deployment("web", image="registry.test/web:3")
    applied = space.patch("deployments", "web", body, kind="apply", fieldManager="gardener")
    assert image_of(applied) == "registry.test/web:3"


@pytest.mark.parametrize("value", [[], [{}]], ids=str)
def test_an_empty_list_of_owners_takes_all_away(space: Space, value: list[Json]) -> None:
    space.create(deployment("web", replicas=0), fieldManager="gardener")
    assert _settled_entries(space)
    change: list[Json] = [{"op": "replace", "path": "/metadata/managedFields", "value": value}]
    space.patch("deployments", "web", change, kind="json", fieldManager="other")
    assert not _managers(space)


def test_whoever_says_nothing_of_owners_leaves_them(space: Space) -> None:
    space.create(deployment("web", replicas=0), fieldManager="gardener")
    _settled_entries(space)
    before, body = _managers(space), space.get("deployments", "web")
    del body["metadata"]["managedFields"]
    assert space.api.ask("PUT", space.path("deployments", "web"), body=body).code == 200
    assert _managers(space) == before


def test_apply_needs_a_manager(space: Space) -> None:
    with pytest.raises(Refused) as refused:
        space.patch("configmaps", "settings", config_map("settings"), kind="apply")
    assert refused.value.code in {400, 422}


def test_an_ordinary_patch_takes_an_applied_field_silently(space: Space) -> None:
    space.patch("deployments", "web", deployment("web"), kind="apply", fieldManager="gardener")
    space.set_image("web", "registry.test/web:2", fieldManager="release-portal")
    seen = space.get("deployments", "web")
    assert _owns(seen, "release-portal", "image")


def _settled_entries(space: Space) -> list[Json]:
    entries: list[Json] = space.settle("web")["metadata"]["managedFields"]
    return entries


def _managers(space: Space) -> set[tuple[str, str]]:
    seen = space.get("deployments", "web")["metadata"].get("managedFields") or []
    return {(each["manager"], each["operation"]) for each in seen}


def _settled(space: Space) -> Json:
    """A Deployment that its controller has no more to say about."""
    space.create(deployment("web"))
    return space.settle("web")


def _versioned(version: str) -> Json:
    return {"metadata": {"resourceVersion": version}, **image_patch("registry.test/web:2")}


def _owns(seen: Json, manager: str, field: str) -> bool:
    """Tell whether a manager is recorded for the image of container `web`, or for the replicas."""
    path = {
        "image": ["f:spec", "f:template", "f:spec", "f:containers", 'k:{"name":"web"}', "f:image"],
        "replicas": ["f:spec", "f:replicas"],
    }[field]
    for entry in seen["metadata"]["managedFields"]:
        fields = entry["fieldsV1"] if entry["manager"] == manager else {}
        for step in path:
            fields = fields.get(step) if isinstance(fields, dict) else None
        if fields is not None:
            return True
    return False
