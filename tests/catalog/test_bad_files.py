"""Every wrong file ends in sentences with file, line and what was expected, all at once and fast."""

import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from portal.errors import Invalid
from releases.catalog.documents import DEPTH, FILE_BYTES, NODES, read, read_text
from releases.catalog.files import check, load_folder
from releases.catalog.models import Service, StoredDocument
from tests.catalog.conftest import LOADER, SMALL, Folder
from tests.soak import long

pytestmark = pytest.mark.django_db


def problems(path: Path) -> list[str]:
    return [str(each) for each in check(path)]


def changed(*replacements: tuple[str, str]) -> str:
    text = SMALL
    for old, new in replacements:
        assert old in text
        text = text.replace(old, new, 1)
    return text


WEB = "registry.practice/shop/web"
IN_ORDER = "{services: [order-api]}, {services: [web]}"
REVERSED = "{services: [web]}, {services: [order-api]}"
BESIDE = "{{services: [order-api]}}, {{services: [web], after: [{{kind: {}, service: web, {}}}]}}"
JOBS = (
    "{{services: [order-api]}}, {{services: [web], before: [{{kind: run_job, service: {}, job: migrate}}]}}"
)
SPACE = "namespace: shop}"
JOB_OF_WEB = "containers: [web]}]"


def scheduled(text: str) -> str:
    """The environment with a schedule."""
    return f"namespace: shop, schedules: [{{{text}}}]}}"


def after(step: str, expected: str) -> tuple[str, str, str]:
    """A step after the waves that is wrong."""
    return "{kind: wait_rollout}]", f"{{kind: wait_rollout}}]\n  after: [{step}]", expected


PLANNED = ("  each:", "  canary: {by: pods, steps: [50, 10], watch: {minutes: 5}}\n  each:")
# What is replaced, by what, and the sentence that says so.
MISTAKES = [
    ("spec: {}", "spec: {colour: red}", "5: Unknown field colour in spec; known here: description."),
    ("spec: {}", "spec: {notify: [console]}", "5: spec.notify is no field any more"),
    ("kind: kubernetes", "kind: mail", "10: There is no Connection of kind mail any more"),
    ("spec: {}\n", "", "2: The field spec is missing in the document."),
    ("production, c", "prod, c", "15: spec.stage: expected one of production, staging, development."),
    ("namespace: shop}", "namespace: 7}", "15: spec.namespace: expected a Kubernetes name"),
    (WEB, f"{WEB}:1.2", "34: spec.image: expected registry host and repository"),
    ("portal/v1\nkind: Team", "portal/v2\nkind: Team", "2: Expected apiVersion: portal/v1."),
    ("kind: Team", "kind: Group", "3: Expected kind to be one of: Team, Connection"),
    ("name: web}", "name: Web Shop}", "30: metadata.name: expected lower-case letters"),
    ('"env:KUBECONFIG"', "secret-text", "10: spec.kubeconfigRef: expected env:NAME"),
    ("team: commerce", "team: nobody", "21: There is no Team named nobody."),
    ("[shop-production]", "[shop]", "24: There is no Environment named shop."),
    ("cluster: cluster", "cluster: other", "15: There is no Connection named other of kind kubernetes."),
    ("dependencies: [order-api]", "dependencies: [none]", "37: There is no Service named none."),
    ("services: [web]", "services: [web, order-api]", "44: order-api already stands in wave 1."),
    (IN_ORDER, REVERSED, "44: web (wave 1) depends on order-api, which goes out later (wave 2)."),
    ("kind: wait_rollout", "kind: wait", "45: spec.each.1.kind: expected one of set_image, wait_rollout"),
    ("{kind: wait_rollout}", "{kind: health, url: x}", "45: Unknown field url in spec.each.1"),
    (IN_ORDER, JOBS.format("api"), "44: api stands in no wave of this plan."),
    (IN_ORDER, JOBS.format("web"), "44: web has no Job named migrate."),
    (
        "{kind: wait_rollout}",
        "{kind: prometheus, connection: none, query: up, max: 1}",
        "45: There is no Connection named none of kind prometheus.",
    ),
    (
        "{kind: wait_rollout}",
        "{kind: prometheus, connection: none, query: up, max: 1, timeoutSeconds: 60}",
        "45: The measurements alone take 60 seconds.",
    ),
    (
        "{kind: wait_rollout}",
        "{kind: prometheus, connection: none, query: up}",
        "45: spec.each.1: expected what is good: max, min or compare.",
    ),
    ("{kind: wait_rollout}", "{kind: watch}", "45: spec.each.1: expected either seconds or minutes."),
    (
        "{kind: wait_rollout}",
        "{kind: watch, minutes: 5, gates: [{kind: scale}]}",
        "45: spec.each.1.gates.0.kind: expected one of pods_running, health, http, prometheus",
    ),
    (
        "{kind: wait_rollout}",
        "{kind: watch, minutes: 5, gates: [{kind: prometheus, connection: none, query: up, max: 1}]}",
        "45: There is no Connection named none of kind prometheus.",
    ),
    (IN_ORDER, BESIDE.format("watch", "gates: []"), "44: spec.waves.1.after.0: expected either seconds"),
    (
        "{kind: wait_rollout}]",
        "{kind: wait_rollout}]\n  after: [{kind: watch, minutes: 10, gates: [{kind: health}]}]",
        "46: Say whose health it is.",
    ),
    (IN_ORDER, BESIDE.format("health", "timeoutSeconds: 5"), "44: web does not say how its health is asked."),
    after("{kind: health, service: web, colour: idle}", "46: web has no colours."),
    after("{kind: health, colour: idle}", "46: Say whose colour it is: name the `service`."),
    after("{kind: cluster_view, service: web}", "46: web does not say how its cluster view is asked."),
    after("{kind: cluster_view}", "46: The field service is missing in spec.after.0."),
    (
        f"{IN_ORDER}]",
        "{services: [order-api]}]\n  after: [{kind: health, service: web, colour: idle}]",
        "45: web stands in no wave of this plan.",
    ),
    (
        "{kind: wait_rollout}]",
        "{kind: wait_rollout}]\n  before: [{kind: health, service: web, colour: idle}]",
        "46: spec.before.0.colour: expected nothing: this field has no meaning here.",
    ),
    (
        "{kind: wait_rollout}",
        "{kind: watch, minutes: 5, gates: [{kind: health, colour: idle}]}",
        "45: spec.each.1.gates.0.colour: expected nothing: this field has no meaning here.",
    ),
    (
        JOB_OF_WEB,
        f"{JOB_OF_WEB}\n  health: {{kind: none, everyPod: true}}",
        "37: spec.health.everyPod: expected nothing: this field has no meaning here.",
    ),
    (
        IN_ORDER,
        BESIDE.format("scale", "replicas: 2, workload: x"),
        "44: Say which one workload of web is scaled.",
    ),
    (*PLANNED, "42: A plan with `canary` has the strategy canary, and no other."),
    (*PLANNED, "45: The shares of a canary grow, and end with 100."),
    (*PLANNED, "45: No service of this plan says in the catalog which workloads are its canary."),
    (
        f"  image: {WEB}",
        f"  image: {WEB}\n  canary: {{stable: web, canary: web}}",
        "35: The canary is a workload of its own.",
    ),
    (
        f"  image: {WEB}",
        f"  image: {WEB}\n  canary: {{stable: other, canary: web}}",
        "35: There is no workload named other.",
    ),
    (
        IN_ORDER,
        BESIDE.format("apply_manifests", "timeoutSeconds: 60"),
        "44: web does not say where its manifests are.",
    ),
    (f"  image: {WEB}", f"  image: {WEB}\n  manifests: {{none: web}}", "35: web does not run in none."),
    (IN_ORDER, BESIDE.format("scale", "replicas: many"), "44: spec.waves.1.after.0.replicas: expected"),
    (
        IN_ORDER,
        BESIDE.format("switch_service", "services: [a]"),
        "44: spec.waves.1.after.0: expected either colour, or services and selector together.",
    ),
    ("name: web}", 'name: "web\\n"}', "30: metadata.name: expected lower-case letters"),
    ("title: Commerce", 'title: "two\\nlines"', "4: metadata.title: expected one line of text"),
    ("registry.practice/shop/web\n", '"registry.practice/shop/web\\n"\n', "34: spec.image: expected"),
    (SPACE, scheduled('name: a, cron: "0 0 31 2 *", what: health'), "15: 0 0 31 2 * is never due."),
    (SPACE, scheduled('name: a, cron: "@daily", what: health'), "15: spec.schedules.0.cron: expected five"),
    (
        SPACE,
        scheduled('name: a, cron: "0 2 * * *", what: health, timeZone: Mars'),
        "15: There is no time zone Mars.",
    ),
    (
        SPACE,
        scheduled('name: a, cron: "0 2 * * *", what: job, service: web, job: b'),
        "15: web has no Job named b.",
    ),
    (SPACE, scheduled('name: a, cron: "0 2 * * *", what: job'), "15: The field service is missing in"),
    (
        JOB_OF_WEB,
        f"{JOB_OF_WEB}\n  jobs: [{{name: a, cronJob: a, purpose: restore, touches: []}}]",
        "37: A restore is a database change: `touches` must name it.",
    ),
    (
        JOB_OF_WEB,
        f"{JOB_OF_WEB}\n  jobs: [{{name: a, cronJob: b, purpose: restore}}, {{name: c, cronJob: b}}]",
        "37: The CronJob b restores a database: no other Job may run it.",
    ),
    (
        JOB_OF_WEB,
        f"{JOB_OF_WEB}\n  health: {{kind: http, service: web, port: 80, json: [{{path: a}}]}}",
        "37: spec.health.json.0: expected what is expected there: below, above or equals.",
    ),
    (
        JOB_OF_WEB,
        f"{JOB_OF_WEB}\n  colours: {{by: traffic}}",
        '37: spec.colours.by: expected "pods".',
    ),
    (
        JOB_OF_WEB,
        f"{JOB_OF_WEB}\n  colours: {{by: pods, label: color}}",
        "37: spec.colours: expected either label and services together, or by.",
    ),
    (
        JOB_OF_WEB,
        f"{JOB_OF_WEB}\n  colours: {{by: pods}}\n  canary: {{stable: web, canary: web-canary}}",
        "A service has a canary beside its workload, or two colours.",
    ),
    (f"system: shop\n  image: {WEB}", f"system: other\n  image: {WEB}", "belongs to the system shop."),
]


@pytest.mark.parametrize(("old", "new", "expected"), MISTAKES)
def test_a_mistake_is_named_with_its_line(folder: Folder, old: str, new: str, expected: str) -> None:
    found = problems(folder(changed((old, new))))
    assert any(f":{expected}" in each or each.endswith(expected) for each in found), found


@pytest.mark.parametrize(
    ("job", "more", "expected"),
    [
        ("", "", "A schedule runs only a Job that touches nothing"),
        (
            "touches: [database_change], purpose: restore",
            "",
            "A schedule runs only a Job that touches nothing",
        ),
        ("touches: []", ", keepDays: 30", "keepDays belongs to a Job of the purpose retention"),
        ("touches: [], purpose: retention", "", "keepDays belongs to a Job of the purpose retention"),
    ],
)
def test_a_schedule_runs_nothing_that_needs_an_approval(
    folder: Folder, job: str, more: str, expected: str
) -> None:
    web = f"{JOB_OF_WEB}\n  jobs: [{{name: b, cronJob: b, {job}}}]"
    schedule = scheduled(f'name: a, cron: "0 2 * * *", what: job, service: web, job: b{more}')
    [found] = problems(folder(changed((SPACE, schedule), (JOB_OF_WEB, web))))
    assert expected in found


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("", "", []),
        ("by: pods, steps", "by: weight, steps", ["No service of this plan says in the catalog which"]),
        (
            "{services: [web]}]",
            "{services: [web], after: [{kind: switch_service, service: web, colour: idle}]}]",
            ["The colours of web stand behind the same Services: there is nothing to switch."],
        ),
        (
            "Deployment, name: web-blue",
            "DaemonSet, name: web-blue",
            ["web-blue is a DaemonSet: it runs once"],
        ),
        (
            "{kind: Deployment, name: web-blue",
            "{kind: Deployment, name: worker, containers: [app]}, {kind: Deployment, name: web-blue",
            ["worker has no colour: of two that take turns one or the other has the version."],
        ),
    ],
)
def test_two_colours_behind_the_same_services_are_a_canary_by_pods_and_no_switch(
    folder: Folder, old: str, new: str, expected: list[str]
) -> None:
    two = ", ".join(
        f"{{kind: Deployment, name: web-{colour}, containers: [web], colour: {colour}}}"
        for colour in ("blue", "green")
    )
    plan = "strategy: canary\n  canary: {by: pods, steps: [50, 100]}\n  each:"
    text = changed(
        ("{kind: Deployment, name: web, containers: [web]}]", f"{two}]\n  colours: {{by: pods}}"),
        ("  each:", f"  {plan}"),
        (old, new),
    )
    found = problems(folder(text))
    assert len(found) == len(expected), found
    assert all(words in each for words, each in zip(expected, found, strict=True))


def test_all_mistakes_are_named_at_once(folder: Folder) -> None:
    text = changed(("stage: production", "stage: prod"), ("spec: {}", "spec: {a: 1, b: 2}"))
    folder("kind: [", name="broken.yaml")
    with pytest.raises(Invalid) as refusal:
        load_folder(folder(text), actor=LOADER)
    assert [each["field"] for each in refusal.value.missing] == [
        "broken.yaml:2",
        "catalog.yaml:5",
        "catalog.yaml:5",
        "catalog.yaml:15",
    ]


def test_a_wrong_value_is_never_repeated(folder: Folder) -> None:
    text = changed(('kubeconfigRef: "env:KUBECONFIG"', "kubeconfigRef: hunter2, passwordRef: hunter3"))
    found = "\n".join(problems(folder(text)))
    assert "kubeconfigRef" in found
    assert "hunter" not in found


@pytest.mark.parametrize(
    ("dependencies", "circle"),
    [
        ({"order-api": "web"}, "order-api → web → order-api"),
        ({"web": "web"}, "web → web"),
    ],
)
def test_dependencies_in_a_circle_are_shown(
    folder: Folder, dependencies: dict[str, str], circle: str
) -> None:
    text = SMALL.replace("  dependencies: [order-api]\n", "") if "web" in dependencies else SMALL
    for name, needed in dependencies.items():
        old = f"image: registry.practice/shop/{name}\n"
        assert old in text
        text = text.replace(old, f"{old}  dependencies: [{needed}]\n")
    assert any(circle in each for each in problems(folder(text)))


def test_a_name_given_twice_is_shown_with_its_first_place(folder: Folder) -> None:
    team = "apiVersion: portal/v1\nkind: Team\nmetadata: {name: commerce}\nspec: {}\n"
    found = problems(folder(f"{team}---\n{SMALL}"))
    assert "catalog.yaml:9: Team commerce is already described in catalog.yaml, line 3." in found


def test_one_namespace_belongs_to_one_environment(folder: Folder) -> None:
    twin = (
        "---\napiVersion: portal/v1\nkind: Environment\nmetadata: {name: shop-unprotected}\n"
        "spec: {system: shop, stage: staging, cluster: cluster, namespace: shop, protected: false}\n"
    )
    load_folder(folder(), actor=LOADER)
    found = problems(folder(SMALL + twin))
    assert any("already belongs to the environment shop-production" in each for each in found)


def test_a_namespace_taken_in_an_earlier_load_is_taken(folder: Folder, tmp_path: Path) -> None:
    load_folder(folder(), actor=LOADER)
    path = tmp_path / "twin.yaml"
    path.write_text(
        "apiVersion: portal/v1\nkind: Environment\nmetadata: {name: twin}\n"
        "spec: {system: shop, stage: staging, cluster: cluster, namespace: shop}\n"
    )
    assert any("already belongs to the environment shop-production" in each for each in problems(path))


BOMBS: dict[str, Callable[[], str]] = {
    "laughs": lambda: (
        "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))
    ),
    "itself": lambda: "a: &a [*a]\n",
    "depth": lambda: "[" * (DEPTH + 1) + "]" * (DEPTH + 1),
    "great depth": lambda: "[" * 400_000,
    "maps in maps": lambda: "{a: " * 200_000,
    "many values": lambda: "[" + "x," * NODES + "x]",
    "question marks": lambda: "? " * 400_000,
    "merge": lambda: "a: &a {x: 1}\nb: {<<: *a}\n",
    "object": lambda: "!!python/object/apply:os.system ['true']",
    "own tag": lambda: "a: !secret x",
    "binary": lambda: "a: !!binary aGk=",
    "set": lambda: "!!set {a, b}",
    "list as a key": lambda: "? [a, b]\n: c\n",
    "twice": lambda: "a: 1\na: 2\n",
    "unfinished": lambda: 'a: "b',
    "tab": lambda: "a:\n\t- b",
    "unknown alias": lambda: "a: *nothing",
    "bell": lambda: 'a: "\\a"',
    "nul": lambda: 'a: "\\0"',
    "right to left": lambda: "a: \u202egnp.exe",
    "raw control": lambda: "a: \x07",
    "half a character": lambda: 'a: "\\ud800"',
    "control in a key": lambda: '"a\\x1b": b',
    "only text": lambda: "hello",
    "number": lambda: "7",
    "big number": lambda: "a: " + "9" * 100_000,
}


@long
@pytest.mark.parametrize("name", BOMBS)
def test_a_hostile_file_is_refused_quickly_and_in_little_memory(folder: Folder, name: str) -> None:
    root = folder(BOMBS[name]())
    tracemalloc.start()
    started = time.process_time()
    with pytest.raises(Invalid) as refusal:
        load_folder(root, actor=LOADER)
    spent, (_now, peak) = time.process_time() - started, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert refusal.value.missing
    assert all(each["file"] == "catalog.yaml" and each["line"] >= 1 for each in refusal.value.missing)
    assert spent < 3.0  # measuring memory makes it several times slower than it is
    assert peak < 50_000_000
    assert not StoredDocument.objects.exists()


def test_a_bomb_takes_less_than_a_second(folder: Folder) -> None:
    text = "\n".join(f"k{n}: {'x' * 9}" for n in range(60_000))
    started = time.process_time()
    read_text(BOMBS["laughs"](), "a.yaml")
    read_text(BOMBS["great depth"](), "a.yaml")
    _documents, found = read_text(text, "a.yaml")
    assert found
    assert time.process_time() - started < 1.0


def test_a_long_text_is_refused_without_long_matching(folder: Folder) -> None:
    started = time.process_time()
    text = changed(("title: Commerce", f'title: "{"ab " * 100_000}\\n"'))
    assert problems(folder(text)) == [
        "catalog.yaml:4: metadata.title: expected one line of text, at most 120 characters."
    ]
    assert time.process_time() - started < 1.0


def test_a_huge_file_is_not_even_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.yaml"
    with path.open("wb") as file:
        file.truncate(10_000_000)
    started = time.process_time()
    documents, found = read(path)
    assert documents == []
    assert [each.text for each in found] == [f"Too large: at most {FILE_BYTES} bytes are read."]
    assert time.process_time() - started < 0.2


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "latin.yaml"
    path.write_bytes(b"a: \xe4")
    assert [each.text for each in read(path)[1]] == ["This is not UTF-8 text."]


def test_words_of_old_yaml_stay_text() -> None:
    text = "a: on\nb: no\nc: 10:00\nd: 1_000\ne: 0o7\nf: 2026-01-01\ng: .nan\nh: 1e999\n"
    documents, found = read_text(text, "a.yaml")
    assert found == []
    words = ["on", "no", "10:00", "1_000", "0o7", "2026-01-01", ".nan", "1e999"]
    assert list(documents[0].value.values()) == words


def test_a_link_out_of_the_folder_is_not_followed(folder: Folder, tmp_path: Path) -> None:
    root = folder()
    outside = tmp_path / "outside.yaml"
    outside.write_text("kind: Nonsense\n")
    (root / "link.yaml").symlink_to(outside)
    assert problems(root) == []


def test_a_mounted_folder_with_links_inside_is_read_once(tmp_path: Path) -> None:
    root = tmp_path / "mounted"
    (root / "..data").mkdir(parents=True)
    (root / "..data" / "catalog.yaml").write_text(SMALL)
    (root / "catalog.yaml").symlink_to(root / "..data" / "catalog.yaml")
    load_folder(root, actor=LOADER)
    assert Service.objects.count() == 2


@pytest.mark.parametrize("name", ["missing", "empty"])
def test_a_folder_without_files_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(Invalid):
        load_folder(tmp_path / name, actor=LOADER)
