"""From a plan and a release to the graph of steps. Pure: it reads no database and no cluster.

Waves run one after the other, the members of a wave beside each other, the steps of a member in order. What
stands under `switch` comes last of all, and begins only when the result is signed off.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

from releases.catalog import canaries, metrics, watches
from releases.rollouts.keys import fitting
from releases.rollouts.members import Member
from releases.rollouts.soundness import require_sound, steps_around
from releases.rollouts.states import SWITCH
from releases.rollouts.tables import (
    DEFAULT_EACH,
    HELM,
    OF_A_SERVICE,
    ONLY_FOR,
    OWN_KEYS,
    PER_WORKLOAD,
    RECORDED_BY,
    SIZED,
    STABLE_SECONDS,
    TIMEOUTS,
)

Json = dict[str, Any]


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
    require_sound(spec, members)
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
        service = str(document.get("service") or "") if document["kind"] in OF_A_SERVICE else ""
        # Which colour is which is found for the services that go out.
        is_known = service in self.members or not {"colour", "workload"} & document.keys()
        return [(key, service)] if is_known else []

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
        if "colour" not in document and (document["kind"] in SIZED or "workload" in document):
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
        beside = [*(each for _where, each in steps_around(self.spec)), *(self.spec.get("after") or [])]
        documents = [*self._documents(service), *(each for each in beside if each.get("service") == service)]
        return sorted({str(each["colour"]) for each in documents if "colour" in each})

    def _stages(self, service: str) -> list[list[Mapping[str, Any]]]:
        """The steps of a member, in stages: those of the plan, with its canary around where both have one."""
        own = list(self.spec.get("each") or DEFAULT_EACH)
        plan = self.spec.get("canary") or {}
        pair = canaries.pair_of(plan, self.members[service].spec)
        if pair is None:
            return [[each] for each in own]
        return [list(stage) for stage in canaries.stages(plan, pair, own)]

    def _documents(self, service: str) -> list[Mapping[str, Any]]:
        return [each for stage in self._stages(service) for each in stage]

    def _member(self, service: str, wave: int, title: str, *, after: Sequence[str]) -> list[str]:
        """The steps of a member: each stage after the one before, those of a stage side by side."""
        last = list(after)
        for stage in self._stages(service):
            concerned = [each for each in stage if self.members[service].concerns(each["kind"])]
            ends = [self._group(each, service, wave, title, after=last) for each in concerned]
            last = list(dict.fromkeys(chain.from_iterable(ends))) or last
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
            for key, service in self._placed(f"after.{_name(each)}", each):
                known = each["kind"] in OF_A_SERVICE and service in self.members
                document, workload = self._resolved(each) if known else (each, None)
                last = [self._add(key, document, after=last, service=service, workload=workload)]
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
        numbered = (key, *(f"{key}.{number}" for number in range(2, len(taken) + 3)))
        candidates = map(fitting, numbered)
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
