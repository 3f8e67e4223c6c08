"""Loading is atomic, idempotent, recorded, and shows its difference first."""

from pathlib import Path

import pytest
from django.db import connection

from approvals.models import PolicyProposal, PolicyVersion
from portal import clock
from portal.audit.models import AuditEntry
from portal.errors import Conflict, Invalid, NotAllowed
from portal.people.models import Team, User
from releases.catalog.difference import Change, Difference, FieldChange
from releases.catalog.files import export, load_folder, write_export
from releases.catalog.models import Checklist, Environment, Plan, Service
from releases.models import Release
from tests.catalog.conftest import EXAMPLES, LOADER, SMALL, Folder
from tests.people import person
from tests.soak import long

pytestmark = pytest.mark.django_db


def names(changes: list[Change]) -> list[str]:
    return [f"{each.kind} {each.name}" for each in changes]


def test_loading_writes_rows_with_their_documents(folder: Folder) -> None:
    load_folder(folder(), actor=LOADER)
    service = Service.objects.get(name="web")
    assert (service.team.key, service.system, service.core) == ("commerce", "shop", False)
    assert [each.name for each in service.environments.all()] == ["shop-production"]
    assert service.source["spec"]["dependencies"] == ["order-api"]
    environment = Environment.objects.get()
    assert (environment.cluster.name, environment.cluster_group, environment.protected) == (
        "cluster",
        "default",
        True,
    )
    assert Plan.objects.get().environments.get() == environment


def test_a_second_load_changes_nothing_and_records_nothing(folder: Folder) -> None:
    first = load_folder(folder(), actor=LOADER)
    second = load_folder(folder(), actor=LOADER)
    assert len(first.added) == 6
    assert second.is_empty
    assert second.unchanged == 6
    assert AuditEntry.objects.filter(action="catalog.loaded").count() == 1


def test_the_difference_names_every_changed_field(folder: Folder) -> None:
    load_folder(folder(), actor=LOADER)
    changed = SMALL.replace("namespace: shop}", "namespace: shop-2}").replace(
        "containers: [web]", "containers: [nginx]"
    )
    done = load_folder(folder(changed), actor=LOADER)
    assert done.changed == [
        Change("Environment", "shop-production", (FieldChange("spec.namespace", "shop", "shop-2"),)),
        Change("Service", "web", (FieldChange("spec.workloads[0].containers", ["web"], ["nginx"]),)),
    ]
    entry = AuditEntry.objects.order_by("-pk").first()
    assert entry is not None
    assert '"spec.namespace":"shop-2"' in entry.body
    assert Environment.objects.get().namespace == "shop-2"


def test_saying_no_writes_nothing(folder: Folder) -> None:
    shown: list[Difference] = []

    def refuse(difference: Difference) -> bool:
        shown.append(difference)
        return False

    load_folder(folder(), actor=LOADER, confirm=refuse)
    assert len(shown[0].added) == 6
    assert not Service.objects.exists()
    assert not AuditEntry.objects.exists()


def test_a_load_that_was_overtaken_is_refused(folder: Folder) -> None:
    def meanwhile(_difference: Difference) -> bool:
        load_folder(folder(), actor=LOADER)
        return True

    with pytest.raises(Conflict):
        load_folder(folder(), actor=LOADER, confirm=meanwhile)


def test_one_wrong_document_keeps_all_out(folder: Folder) -> None:
    with pytest.raises(Invalid):
        load_folder(folder(SMALL.replace("team: commerce", "team: nobody", 1)), actor=LOADER)
    assert not Team.objects.exists()
    assert not AuditEntry.objects.exists()


def test_what_left_the_files_is_kept_unless_pruned(folder: Folder) -> None:
    load_folder(folder(), actor=LOADER)
    shorter = SMALL.split("---\napiVersion: portal/v1\nkind: Plan")[0]
    kept = load_folder(folder(shorter), actor=LOADER)
    assert names(kept.absent) == ["Plan shop-production"]
    assert Plan.objects.exists()
    pruned = load_folder(folder(shorter), actor=LOADER, prune=True)
    assert names(pruned.removed) == ["Plan shop-production"]
    assert not Plan.objects.exists()


def test_pruning_leaves_what_other_folders_brought(folder: Folder, tmp_path: Path) -> None:
    load_folder(folder(), actor=LOADER)
    other = tmp_path / "other"
    other.mkdir()
    (other / "a.yaml").write_text("apiVersion: portal/v1\nkind: Team\nmetadata: {name: other}\nspec: {}\n")
    load_folder(other, actor=LOADER, prune=True)
    assert Plan.objects.exists()


def test_pruning_what_another_folder_needs_is_refused(folder: Folder, tmp_path: Path) -> None:
    load_folder(folder(), actor=LOADER)
    other = tmp_path / "other"
    other.mkdir()
    (other / "a.yaml").write_text(
        "apiVersion: portal/v1\nkind: Checklist\nmetadata: {name: needs-web}\n"
        "spec: {services: [web], items: [{phase: before, text: look}]}\n"
    )
    load_folder(other, actor=LOADER)
    without_web = SMALL.split("---\napiVersion: portal/v1\nkind: Service\nmetadata: {name: web}")[0]
    with pytest.raises(Invalid, match=r"other/a\.yaml:\d+: .*web"):
        load_folder(folder(without_web), actor=LOADER, prune=True)
    assert Service.objects.filter(name="web").exists()


def test_an_export_gives_the_same_files_back(folder: Folder, tmp_path: Path) -> None:
    root = folder()
    folder(
        "\ufeff# only text and a list\napiVersion: portal/v1\r\nkind: Team\r\nmetadata: {name: b}\nspec: {}",
        name="b.yaml",
    )
    load_folder(root, actor=LOADER)
    target = tmp_path / "out"
    write_export(target)
    for name in ("catalog.yaml", "b.yaml"):
        assert (target / name).read_bytes() == (root / name).read_bytes()
    assert load_folder(root, actor=LOADER).is_empty


@long
def test_the_examples_load_and_come_back_byte_for_byte() -> None:
    load_folder(EXAMPLES, actor=LOADER)
    files = export()
    assert "portal-universe/catalog.yaml" in files
    for name, text in files.items():
        assert text == (EXAMPLES / name).read_text()
    assert Service.objects.filter(system="portal-universe").count() == 10


def test_a_changed_comment_is_kept_without_a_change(folder: Folder) -> None:
    load_folder(folder(), actor=LOADER)
    reworded = SMALL.replace("must survive", "was reworded")
    done = load_folder(folder(reworded), actor=LOADER)
    assert names(done.reformatted) == ["Team commerce"]
    assert not done.changed
    assert export()["catalog.yaml"] == reworded


def test_a_policy_whose_table_differs_is_proposed_and_not_yet_in_force(tmp_path: Path) -> None:
    text = (EXAMPLES / "policy.yaml").read_text()
    path = tmp_path / "policy.yaml"
    path.write_text(text)
    load_folder(path, actor=LOADER)
    path.write_text(text.replace("기본 배포 등급", "다른 제목"))
    load_folder(path, actor=LOADER)
    assert [each.version for each in PolicyVersion.objects.all()] == [1]
    path.write_text(text.replace("deadlineHours: 24", "deadlineHours: 12\n      overdueHolds: true"))
    person("one", ("director", "*"))
    person("two", ("director", "*"))
    done = load_folder(path, actor=LOADER)
    assert (names(done.proposed), names(done.changed)) == (["Policy grades"], [])
    assert "! Policy grades: proposed, in force once it is signed (page /policy/)" in [*done.lines()]
    assert [each.version for each in PolicyVersion.objects.all()] == [1]
    proposed = PolicyProposal.objects.get().table["E"]
    assert (proposed["deadlineHours"], proposed["overdueHolds"]) == (12, True)
    assert "deadlineHours: 24" in export()["policy.yaml"]
    again = load_folder(path, actor=LOADER)
    assert (names(again.waiting), again.is_empty) == (["Policy grades"], True)


def test_a_repeated_load_of_the_demo_leaves_a_changed_policy_alone(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    text = (EXAMPLES / "policy.yaml").read_text()
    path.write_text(text)
    load_folder(path, actor=LOADER)
    path.write_text(text.replace("deadlineHours: 24", "deadlineHours: 12"))
    load_folder(path, actor=LOADER, keep_policy=True)
    assert not PolicyProposal.objects.exists()


def test_a_changed_checklist_gets_a_new_version(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    text = (EXAMPLES / "policy.yaml").read_text()
    path.write_text(text)
    load_folder(path, actor=LOADER)
    path.write_text(text.replace("장애 증상이 사라졌다", "장애가 끝났다"))
    load_folder(path, actor=LOADER)
    versions = dict(Checklist.objects.values_list("name", "version"))
    assert versions == {"emergency": 2}


def test_a_person_without_the_role_may_not_load(folder: Folder) -> None:
    person = User.objects.create(username="minji", name="Minji")
    with pytest.raises(NotAllowed):
        load_folder(folder(), actor=LOADER.__class__(user=person))
    assert not Service.objects.exists()


def test_an_environment_may_be_renamed_in_one_load(folder: Folder) -> None:
    load_folder(folder(), actor=LOADER)
    load_folder(folder(SMALL.replace("shop-production", "shop-live")), actor=LOADER, prune=True)
    connection.check_constraints()
    assert [each.name for each in Environment.objects.all()] == ["shop-live"]


def test_what_a_release_needs_cannot_be_pruned(folder: Folder) -> None:
    load_folder(folder(), actor=LOADER)
    author, now = User.objects.create(username="minji", name="Minji"), clock.now()
    release = Release.objects.create(
        environment=Environment.objects.get(), author=author, created_at=now, changed_at=now
    )
    release.items.create(service=Service.objects.get(name="web"))
    without_web = SMALL.replace("name: web}", "name: site}").replace("[web]}]", "[site]}]")
    with pytest.raises(Conflict, match="web"):
        load_folder(folder(without_web), actor=LOADER, prune=True)
    assert Service.objects.filter(name="web").exists()
    assert not Service.objects.filter(name="site").exists()
