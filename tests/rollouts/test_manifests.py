"""Folders of manifests are read whole and never left; what a manager has applied is told by the fields."""

from pathlib import Path
from typing import Any

import pytest
from django.utils import translation

from portal.errors import PermanentError
from portal.integrations.kubernetes.manifests import applied_by, is_applied_by, others_of, read_manifests

Json = dict[str, Any]
Entry = tuple[str, str, Json]
GOOD = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {a: '1'}\n"


def test_the_digest_covers_names_and_contents(tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "a.yaml").write_text(GOOD)
    (folder / "README.md").write_text("no manifest")
    first = read_manifests(str(tmp_path), "shop")
    assert [each["metadata"]["name"] for each in first.objects] == ["settings"]
    (folder / "a.yaml").rename(folder / "b.yaml")
    assert read_manifests(str(tmp_path), "shop").digest != first.digest


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [", "not valid YAML"),
        ("kind: ConfigMap", "no Kubernetes object"),
        (GOOD.replace("ConfigMap", "Secret"), "no kind that may be applied"),
        (GOOD.replace("v1\n", "v2\n"), "no kind that may be applied"),
        (GOOD.replace("settings}", "settings, namespace: other}"), "names a namespace"),
        (GOOD.replace("name: settings", "generateName: settings-"), "no Kubernetes object"),
        (GOOD.replace("{a: '1'}", "&x {a: '1'}\nmore: *x"), "uses an alias"),
        (f"{GOOD}---\n{GOOD}", "stands there twice"),
    ],
)
def test_what_may_not_be_applied_is_refused_with_its_reason(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "a.yaml").write_text(text)
    with translation.override("en"), pytest.raises(PermanentError, match=words):
        read_manifests(str(tmp_path), "shop")


@pytest.mark.parametrize("name", ["../shop", "/etc", "shop/../shop", "", ".", "missing", "link"])
def test_no_name_leads_out_of_the_allowed_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "shop")
    (tmp_path / "shop" / "a.yaml").write_text(GOOD)
    with pytest.raises(PermanentError):
        read_manifests(str(tmp_path), name)


def test_a_link_among_the_files_is_refused_and_so_is_no_folder_at_all(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "a.yaml").symlink_to("/etc/hostname")
    with translation.override("en"), pytest.raises(PermanentError, match="link"):
        read_manifests(str(tmp_path), "shop")
    with pytest.raises(PermanentError, match="MANIFESTS"):
        read_manifests("", "shop")


def test_only_what_the_manager_has_applied_is_its_own() -> None:
    fields = {
        "f:metadata": {"f:labels": {"f:app": {}}},
        "f:spec": {
            "f:paused": {},
            "f:containers": {'k:{"name":"web"}': {".": {}, "f:name": {}, "f:env": {}}},
            "f:finalizers": {'v:"b"': {}},
        },
    }
    body = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": "api",
            "labels": {"app": "api", "other": "x"},
            "managedFields": [
                {"manager": "somebody", "operation": "Apply", "fieldsV1": {"f:spec": {"f:replicas": {}}}},
                {"manager": "me", "operation": "Update", "fieldsV1": {"f:spec": {"f:replicas": {}}}},
                {"manager": "me", "operation": "Apply", "fieldsV1": fields},
            ],
        },
        "spec": {
            "replicas": 3,
            "paused": False,
            "containers": [{"name": "web", "image": "x", "env": [{"name": "A"}]}, {"name": "side"}],
            "finalizers": ["a", "b"],
        },
    }
    assert applied_by(body, "me") == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "api", "labels": {"app": "api"}},
        "spec": {
            "paused": False,
            "containers": [{"name": "web", "env": [{"name": "A"}]}],
            "finalizers": ["b"],
        },
    }
    assert applied_by(body, "nobody") == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "api"},
    }


def test_notes_of_controllers_make_an_object_nobody_elses() -> None:
    def managed(*entries: Entry, subresource: str = "") -> Json:
        found = [
            {"manager": who, "operation": how, "fieldsV1": fields, "subresource": subresource}
            for who, how, fields in entries
        ]
        return {"metadata": {"name": "api", "managedFields": found}}

    mine: Entry = ("me", "Apply", {"f:spec": {"f:replicas": {}}})
    noted: Entry = ("controller", "Update", {"f:metadata": {"f:annotations": {}}})
    written: Entry = ("somebody", "Update", {"f:metadata": {}, "f:spec": {"f:replicas": {}}})
    alone, shared = managed(mine, noted), managed(mine, noted, written)
    assert (others_of(alone, "me"), others_of(shared, "me")) == ([], ["somebody"])
    assert others_of(managed(written, subresource="scale"), "me") == []
    assert (is_applied_by(alone, "me"), is_applied_by(shared, "somebody")) == (True, False)
