"""From a plan and a release to the graph of steps. Pure: it reads no database and no cluster.

Waves run one after the other, the members of a wave beside each other, the steps of a member in order. What
stands under `switch` comes last of all, and begins only when the result is signed off.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from django.utils.translation import gettext_lazy as _

from portal.errors import Invalid, Missing, field_error
from portal.integrations.kubernetes.workloads import DAEMON_SET
from releases.catalog import canaries, metrics, watches
from releases.catalog.schedule_checks import RESTORE
from releases.rollouts.states import SWITCH

Json = dict[str, Any]

# What each kind is given where the plan says nothing (seconds), and whether it is done once per workload.
TIMEOUTS = {
    "access_check": 30,
    "pods_running": 30,
    "image_exists": 30,
    "record_running": 30,
    "set_image": 60,
    "promote": 600,
    "wait_rollout": 600,
    "health": 120,
    "http": 60,
    "prometheus": 60,
    "watch": 60,
    "verify_digests": 60,
    "notice": 60,
    "restore_image": 60,
    "run_job": 600,
    "scale": 300,
    "restore_scale": 300,
    "record_services": 30,
    "switch_service": 60,
    "restore_services": 60,
    "record_weights": 30,
    "set_weight": 60,
    "restore_weights": 60,
    "restart": 60,
    "restore_database": 3600,
    "set_resources": 60,
    "restore_resources": 60,
    "find_colours": 30,
    "cluster_view": 300,
    "record_manifests": 30,
    "apply_manifests": 120,
    "restore_manifests": 120,
    "helm_check": 120,
    "helm_backup": 60,
    "helm_upgrade": 300,
    "helm_status": 60,
    "helm_rollback": 300,
    "certificate": 30,
    "log_pattern": 60,
    "headroom": 60,
    "secret_hygiene": 30,
}
BEFORE = frozenset(
    {
        *("access_check", "pods_running", "image_exists", "helm_check", "http", "health", "prometheus"),
        *("notice", "certificate", "headroom", "secret_hygiene"),
    }
)
# Those of an operation stand in no file of the catalog.
OF_OPERATIONS = frozenset({"restart", "set_resources"})
EACH = OF_OPERATIONS | {
    *("set_image", "wait_rollout", "promote", "health", "http", "prometheus", "watch"),
    *("helm_backup", "helm_upgrade", "certificate", "log_pattern"),
}
# Before or after the members of a wave, each of one service.
AROUND = frozenset(
    {
        *("run_job", "scale", "switch_service", "set_weight", "watch", "cluster_view", "restore_database"),
        "apply_manifests",
    }
)
# After each size of a list of them.
CHECKS = frozenset({"cluster_view", "health", "prometheus", "pods_running", "watch"})
# What changes the cluster, and what takes it back; a Job and a restart are not undone.
UNDONE_BY = {
    "set_image": "restore_image",
    "set_resources": "restore_resources",
    "scale": "restore_scale",
    "switch_service": "restore_services",
    "set_weight": "restore_weights",
    "helm_upgrade": "helm_rollback",
    "apply_manifests": "restore_manifests",
}
# What records at the start what such a step will change, and the field that says which objects.
RECORDED_BY = {
    "switch_service": ("record_services", "services"),
    "set_weight": ("record_weights", "route"),
    "apply_manifests": ("record_manifests", "manifests"),
}
# What writes the template of a workload's pods, on either way; after it one waits for new pods.
WRITES_TEMPLATE = {
    "forward": ("set_image", "set_resources", "restart", "helm_upgrade"),
    "back": ("restore_image", "restore_resources", "helm_rollback"),
}
# What gives the members of a wave their new images, each by its owner, and what gives them back.
RELEASING = frozenset({"set_image", "helm_upgrade"})
GIVES_BACK = frozenset(UNDONE_BY[each] for each in RELEASING)
# What is about a Helm release: done for each service under Helm, and for no other.
HELM = frozenset({"helm_check", "helm_backup", "helm_upgrade", "helm_status"})
AFTER = frozenset(
    {
        *("http", "health", "prometheus", "pods_running", "watch", "verify_digests", "helm_status", "notice"),
        "certificate",
    }
)
PER_WORKLOAD = frozenset({"record_running", "set_image", "wait_rollout", "promote"}) | OF_OPERATIONS
OWN_KEYS = frozenset({"id", "kind", "title", "timeoutSeconds"})
DEFAULT_EACH: tuple[Json, ...] = ({"kind": "set_image"}, {"kind": "wait_rollout"})
# How long a cluster view stands unchanged before it counts, where the plan does not say (protocols.md, E).
STABLE_SECONDS = 60
# What only workloads of some kinds have.
ONLY_FOR = {"promote": frozenset({"Rollout"})}
DEFAULT_WORKLOAD_KIND = "Deployment"


@dataclass(frozen=True, kw_only=True)
class Member:
    """A service that takes part: its name and the part of its document that steps need."""

    name: str
    spec: Json = field(default_factory=dict, hash=False)

    @property
    def workloads(self) -> list[Json]:
        """The cluster objects it consists of; one Deployment of its own name where none is written down."""
        return self.spec.get("workloads") or [{"kind": DEFAULT_WORKLOAD_KIND, "name": self.name}]

    @property
    def canary(self) -> Json | None:
        """The two workloads of its canary, and the route that leads to them; None where it has none."""
        return self.spec.get("canary")

    @property
    def with_canary(self) -> list[Json]:
        """Its workloads and that of its canary, which is as the stable one but for its name."""
        own, pair = self.workloads, self.canary or {}
        if not pair or any(each["name"] == pair["canary"] for each in own):
            return own
        stable = next(each for each in own if each["name"] == pair["stable"])
        return [*own, {**stable, "name": pair["canary"]}]

    def workload(self, name: str) -> Json | None:
        """The workload of this name, the only one where none is named; None where that is not one."""
        found = [
            each for each in (self.with_canary if name else self.workloads) if name in {"", each["name"]}
        ]
        return found[0] if len(found) == 1 else None

    @property
    def colours(self) -> Json | None:
        """What the catalog says of its colours: {"label", "services"}; None where it has none."""
        return self.spec.get("colours")

    @property
    def workloads_by_colour(self) -> dict[str, Json]:
        """The workload of each colour."""
        return {each["colour"]: each for each in self.workloads if each.get("colour")}

    @property
    def helm(self) -> Json | None:
        """How Helm owns it; None where Helm does not."""
        found: Json | None = self.spec.get("helm")
        return found

    def concerns(self, kind: str) -> bool:
        """Whether a kind of step is for it: a service under Helm is changed by Helm alone."""
        return self.helm is not None if kind in HELM else kind not in RELEASING or self.helm is None

    def job(self, name: str) -> Json | None:
        """What the catalog says of a Job of this name; None where there is none."""
        return next((each for each in self.spec.get("jobs") or [] if each["name"] == name), None)


@dataclass(frozen=True, kw_only=True)
class Wave:
    """What of a wave concerns this release."""

    title: str
    names: Sequence[str]
    before: Sequence[Mapping[str, Any]]
    after: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Node:
    """One step to be."""

    key: str
    kind: str
    position: int
    service: str = ""
    wave: int = 0
    wave_title: str = ""
    params: Json = field(default_factory=dict, hash=False)
    timeout_seconds: int = 60
    depends_on: tuple[str, ...] = ()


def build_graph(spec: Mapping[str, Any], members: Sequence[Member]) -> list[Node]:
    """Return the steps of a rollout, each after those it depends on.

    Args:
        spec: a plan's spec: {"before", "waves", "each", "after", "switch"}.
        members: the services of the release.

    Raises:
        Invalid: a step's kind is unknown in its place, or a service has no place in the waves.
    """
    _require_sound(spec, members)
    return _Builder(spec, {member.name: member for member in members}).build()


class _Builder:
    def __init__(self, spec: Mapping[str, Any], members: Mapping[str, Member]) -> None:
        self.spec = spec
        self.members = members
        self.nodes: list[Node] = []

    def build(self) -> list[Node]:
        before = [
            self._add(key, each, after=(), service=service)
            for each in self.spec.get("before") or []
            for key, service in self._placed(f"before.{_name(each)}", each)
        ]
        waves = [self._wave(each) for each in self.spec.get("waves") or []]
        waves = [wave for wave in waves if wave.names or wave.before or wave.after]
        recorded = {
            name: self._record(name, number, wave.title, after=before)
            for number, wave in enumerate(waves, start=1)
            for name in wave.names
        }
        switches = [stage for stage in map(self._stage, self.spec.get(SWITCH) or []) if stage.before]
        for number, wave in enumerate([*waves, *switches], start=1):
            for each in (*wave.before, *wave.after):
                recorded[each["service"]] += self._record_beside(each, number, wave.title, after=before)
        last: list[str] = before
        for number, wave in enumerate(waves, start=1):
            last = self._around(wave.before, number, wave.title, recorded, after=last)
            ends = [
                end
                for name in wave.names
                for end in self._member(name, number, wave.title, after=[*last, *recorded[name]])
            ]
            last = self._around(wave.after, number, wave.title, recorded, after=ends or last)
        last = self._after(last)
        for number, stage in enumerate(switches, start=len(waves) + 1):
            last = self._around(stage.before, number, stage.title, recorded, after=last, section=SWITCH)
        return list(_with_clean_ups(self.nodes))

    def _placed(self, key: str, document: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Return (key, service) for each time that a step outside the waves is done."""
        if document["kind"] in HELM:
            return [(f"{key}.{name}", name) for name, member in self.members.items() if member.helm]
        return [(key, "")]

    def _wave(self, document: Mapping[str, Any]) -> Wave:
        before, after = (
            [each for each in document.get(place) or [] if each["service"] in self.members]
            for place in ("before", "after")
        )
        names = [name for name in document.get("services") or [] if name in self.members]
        return Wave(title=str(document.get("title") or ""), names=names, before=before, after=after)

    def _stage(self, document: Mapping[str, Any]) -> Wave:
        """A wave of the part after the sign-off: steps alone."""
        steps = [each for each in document["steps"] if each["service"] in self.members]
        return Wave(title=str(document.get("title") or ""), names=(), before=steps, after=())

    def _around(
        self,
        documents: Iterable[Mapping[str, Any]],
        wave: int,
        title: str,
        recorded: Mapping[str, list[str]],
        *,
        after: list[str],
        section: str = "wave",
    ) -> list[str]:
        """The steps before or after a wave's members, or after the sign-off, one after the other."""
        for each in (one for document in documents for one in stepwise(document)):
            service = str(each["service"])
            document, workload = self._resolved(each)
            key = self._add(
                f"{wave}.{service}.{_name(each)}",
                document,
                after=[*after, *recorded[service]],
                service=service,
                wave=wave,
                title=title,
                workload=workload,
                section=section,
            )
            after = [key]
        return after

    def _resolved(self, document: Mapping[str, Any]) -> tuple[Json, Json | None]:
        """What a step names, as the catalog has it: the Job, or the workload to scale."""
        member = self.members[str(document["service"])]
        if document["kind"] in {"run_job", "restore_database"}:
            return {**document, "job": member.job(str(document["job"]))}, None
        if document["kind"] == "apply_manifests":
            return {**document, "manifests": member.spec.get("manifests") or {}}, None
        if document["kind"] == "switch_service" and "colour" in document:
            return {**document, "services": (member.colours or {})["services"]}, None
        if "colour" not in document and document["kind"] in {"scale", "cluster_view"}:
            return dict(document), member.workload(str(document.get("workload") or ""))
        return dict(document), None

    def _record_beside(
        self, document: Mapping[str, Any], wave: int, title: str, *, after: Sequence[str]
    ) -> list[str]:
        """Record the selectors or weights that a step will change; nothing for another kind."""
        if document["kind"] not in RECORDED_BY:
            return []
        service = str(document["service"])
        kind, field_name = RECORDED_BY[document["kind"]]
        record = {"kind": kind, field_name: self._resolved(document)[0][field_name]}
        return [
            self._add(
                f"{wave}.{service}.{kind}", record, after=after, service=service, wave=wave, title=title
            )
        ]

    def _record(self, service: str, wave: int, title: str, *, after: Sequence[str]) -> list[str]:
        """Record what runs; of a service with colours those that the plan works on, once they are known."""
        member = self.members[service]
        roles = self._roles(service) if member.colours else []
        if not roles:
            recorded = self._group({"kind": "record_running"}, service, wave, title, after=after)
            weights = [each for each in self._documents(service) if each["kind"] == "set_weight"][:1]
            for each in weights:
                recorded += self._record_beside({**each, "service": service}, wave, title, after=after)
            return recorded
        find = {"kind": "find_colours", **(member.colours or {}), "workloads": member.workloads_by_colour}
        key = f"{wave}.{service}"
        found = self._add(f"{key}.find_colours", find, after=after, service=service, wave=wave, title=title)
        return [
            self._add(
                f"{key}.record_running.{role}",
                {"kind": "record_running", "colour": role},
                after=[found],
                service=service,
                wave=wave,
                title=title,
            )
            for role in roles
        ]

    def _roles(self, service: str) -> list[str]:
        """Which of live and idle the plan works on."""
        around = [each for _where, each in _steps_around(self.spec) if each["service"] == service]
        documents = [*self._documents(service), *around]
        return sorted({str(each["colour"]) for each in documents if "colour" in each})

    def _documents(self, service: str) -> list[Mapping[str, Any]]:
        """The steps of a member: those of the plan, between those of its canary where both have one."""
        own = list(self.spec.get("each") or DEFAULT_EACH)
        plan, canary = self.spec.get("canary"), self.members[service].canary
        if not plan or not canary:
            return own
        return [*canaries.steps_before(plan, canary), *own, *canaries.steps_after(plan, canary)]

    def _member(self, service: str, wave: int, title: str, *, after: Sequence[str]) -> list[str]:
        last = list(after)
        for each in self._documents(service):
            if self.members[service].concerns(each["kind"]):
                last = self._group(each, service, wave, title, after=last)
        return last

    def _concerned(self, document: Mapping[str, Any], service: str) -> list[Json | None]:
        """The workloads of which a step is done once each; the canary's steps name theirs."""
        member = self.members[service]
        if "workload" in document:
            return [member.workload(str(document["workload"]))]
        if document["kind"] not in PER_WORKLOAD:
            return [None]
        if document["kind"] in ONLY_FOR:
            kinds = ONLY_FOR[document["kind"]]
            return [each for each in member.workloads if each.get("kind") in kinds]
        if not self.spec.get("canary") or not member.canary:
            return list(member.workloads)
        if document["kind"] == "record_running":
            return list(member.with_canary)
        return [each for each in member.workloads if each["name"] != member.canary["canary"]]

    def _group(
        self, document: Mapping[str, Any], service: str, wave: int, title: str, *, after: Sequence[str]
    ) -> list[str]:
        key = f"{wave}.{service}.{_name(document)}"
        # A service without colours is taken whole.
        has_role = "colour" in document and self.members[service].colours is not None
        if not has_role:
            document = {name: value for name, value in document.items() if name != "colour"}
        workloads: list[Json | None] = [None] if has_role else self._concerned(document, service)
        if not workloads:
            return list(after)
        return [
            self._add(
                f"{key}.{workload['name']}" if workload and len(workloads) > 1 else key,
                document,
                after=after,
                service=service,
                wave=wave,
                title=title,
                workload=workload,
            )
            for workload in workloads
        ]

    def _after(self, last: list[str]) -> list[str]:
        documents = list(self.spec.get("after") or [])
        if not any(each["kind"] == "verify_digests" for each in documents):
            # What truly runs is always read back; notices come after it.
            notices = [each for each in documents if each["kind"] == "notice"]
            others = [each for each in documents if each["kind"] != "notice"]
            documents = [*others, {"kind": "verify_digests"}, *notices]
        for each in documents:
            for key, member in self._placed(f"after.{_name(each)}", each):
                own = each["kind"] in {"health", "watch"}
                service = str(each.get("service") or "") if own else member
                last = [self._add(key, each, after=last, service=service)]
        return last

    def _add(
        self,
        key: str,
        document: Mapping[str, Any],
        *,
        after: Iterable[str],
        service: str = "",
        wave: int = 0,
        title: str = "",
        workload: Json | None = None,
        section: str = "wave",
    ) -> str:
        params = {name: value for name, value in document.items() if name not in OWN_KEYS}
        params |= {"title": document["title"]} if document.get("title") else {}
        params |= {"workload": workload} if workload else {}
        if document["kind"] in HELM:
            params |= {"helm": self.members[service].helm, "workloads": self.members[service].workloads}
        node = Node(
            key=self._unique(key),
            kind=document["kind"],
            position=len(self.nodes),
            service=service,
            wave=wave,
            wave_title=title,
            params=params | {"section": section if wave else key.split(".", maxsplit=1)[0]},
            timeout_seconds=int(document.get("timeoutSeconds") or _longest(document)),
            depends_on=tuple(dict.fromkeys(after)),
        )
        self.nodes.append(node)
        return node.key

    def _unique(self, key: str) -> str:
        taken = {node.key for node in self.nodes}
        candidates = (key, *(f"{key}.{number}" for number in range(2, len(taken) + 3)))
        return next(each for each in candidates if each not in taken)


def _with_clean_ups(nodes: Iterable[Node]) -> Iterator[Node]:
    """Mark what only clears away: the colour that was live is shrunk once the traffic has left it.

    That holds up nothing when it fails (product.md, "What a rollout can do").
    """
    left: set[str] = set()
    for node in nodes:
        if node.kind == "switch_service":
            left.add(node.service)
        clears = node.kind == "scale" and node.service in left and node.params.get("colour") == "live"
        yield replace(node, params={**node.params, "cleanup": True}) if clears else node


def stepwise(document: Mapping[str, Any]) -> list[Json]:
    """A step by itself; one that names several sizes as a step for each, with its checks behind each."""
    sizes = document.get("replicas")
    if document["kind"] != "scale" or not isinstance(sizes, list):
        return [dict(document)]
    # On its way down a workload that is smaller already is left as it is.
    down = {"at_most": True} if sizes == sorted(sizes, reverse=True) and len(sizes) > 1 else {}
    own = {key: value for key, value in document.items() if key not in {"checks", "id"}}
    about: Json = {key: own[key] for key in ("service", "colour", "workload") if key in own}
    found: list[Json] = []
    for size in sizes:
        name = f"{_name(document)}-{size}"
        found.append({**own, **down, "replicas": size, "id": name})
        found += [
            {**about, **check, "id": f"{name}.{_name(check)}"} for check in document.get("checks") or []
        ]
    return found


def _name(document: Mapping[str, Any]) -> str:
    return str(document.get("id") or document["kind"])


def _longest(document: Mapping[str, Any]) -> int:
    """What a step may take where the plan does not say (seconds)."""
    kind = str(document["kind"])
    if kind == "cluster_view":
        return TIMEOUTS[kind] + int(document.get("stableSeconds", STABLE_SECONDS))
    if kind == watches.KIND:
        return TIMEOUTS[kind] + watches.measured_seconds(document)
    if kind == metrics.KIND:
        return TIMEOUTS[kind] + metrics.watched_seconds(document, unclear=metrics.UNCLEAR_AT_MOST)
    return TIMEOUTS[kind]


def _require_sound(spec: Mapping[str, Any], members: Sequence[Member]) -> None:
    wrong: list[Missing] = []
    for section, allowed in (("before", BEFORE), ("each", EACH), ("after", AFTER)):
        for index, each in enumerate(spec.get(section) or []):
            if each.get("kind") not in allowed:
                text = _("“{kind}” is no step that can stand here.").format(kind=each.get("kind"))
                wrong.append(field_error(f"plan.{section}[{index}].kind", text))
    wrong += _wrong_around(spec, members)
    placed = [name for wave in spec.get("waves") or [] for name in wave.get("services") or []]
    kinds = {each.get("kind") for each in spec.get("each") or DEFAULT_EACH}
    for member in members:
        if member.helm and "helm_upgrade" not in kinds:
            owned = _("{service} is under Helm, and the plan has no helm_upgrade.")
            wrong.append(field_error("plan.each", owned.format(service=member.name)))
        if placed.count(member.name) != 1:
            text = _("The plan has no place, or more than one, for {service}.").format(service=member.name)
            wrong.append(field_error("plan.waves", text))
    if wrong:
        raise Invalid(_("The plan does not fit this release."), missing=wrong)


def _wrong_around(spec: Mapping[str, Any], members: Sequence[Member]) -> list[Missing]:
    known = {member.name: member for member in members}
    wrong: list[Missing] = []
    for where, each in _steps_around(spec):
        member = known.get(str(each.get("service")))
        if each.get("kind") not in AROUND:
            text = _("“{kind}” is no step that can stand here.").format(kind=each.get("kind"))
            wrong.append(field_error(f"{where}.kind", text))
        elif member is not None and (found := _wrong_name(each, member)):
            wrong.append(field_error(f"{where}.{found[0]}", found[1]))
    return wrong


def _steps_around(spec: Mapping[str, Any]) -> Iterable[tuple[str, Mapping[str, Any]]]:
    """The steps beside waves and after the sign-off, each with its place in the plan."""
    for part, places in (("waves", ("before", "after")), (SWITCH, ("steps",))):
        for number, wave in enumerate(spec.get(part) or []):
            for place in places:
                for index, each in enumerate(wave.get(place) or []):
                    yield f"plan.{part}[{number}].{place}[{index}]", each


def _wrong_job(document: Mapping[str, Any], member: Member) -> tuple[str, str] | None:
    """A Job that is not there, or that restores a database where that is not what was asked and approved."""
    job = member.job(str(document.get("job")))
    names = {"service": member.name, "job": document.get("job")}
    if job is None:
        return "job", _("{service} has no Job named {job}.").format(**names)
    if (job.get("purpose") == RESTORE) != (document["kind"] == "restore_database"):
        text = _("A database is restored by a request of its own, and by a Job of that purpose.")
        return "job", str(text)
    return None


def _wrong_name(document: Mapping[str, Any], member: Member) -> tuple[str, str] | None:
    """Return (field, words) where a step names what its service does not have."""
    strange = [each for each in document.get("checks") or [] if each.get("kind") not in CHECKS]
    if strange:
        return "checks", str(_("“{kind}” is no step that can stand here.")).format(
            kind=strange[0].get("kind")
        )
    if "colour" in document:
        wrong = str(_("{service} has no colours.")).format(service=member.name)
        return None if member.colours else ("colour", wrong)
    if document["kind"] == "apply_manifests" and not member.spec.get("manifests"):
        text = _("{service} does not say where its manifests are.")
        return "service", text.format(service=member.name)
    if document["kind"] == "cluster_view" and not member.spec.get("clusterView"):
        text = _("{service} does not say how its cluster view is asked.")
        return "service", text.format(service=member.name)
    if document["kind"] in {"run_job", "restore_database"}:
        return _wrong_job(document, member)
    return _wrong_size(document, member) if document["kind"] == "scale" else None


def _wrong_size(document: Mapping[str, Any], member: Member) -> tuple[str, str] | None:
    workload = member.workload(str(document.get("workload") or ""))
    if workload is None:
        text = _("Say which one workload of {service} is scaled.")
        return "workload", text.format(service=member.name)
    if workload.get("kind") == DAEMON_SET:
        return "workload", _("{name} is a DaemonSet: it runs once on each node, and has no size.").format(
            name=workload["name"]
        )
    return None
