"""Whether a plan fits the services of a release: every step in its place, every service once in the waves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.utils.translation import gettext_lazy as _

from portal.errors import Invalid, Missing, field_error
from portal.integrations.kubernetes.workloads import DAEMON_SET
from portal.sentences import Text, sentence
from releases.catalog import canaries
from releases.catalog.schedule_checks import RESTORE
from releases.rollouts.members import Member
from releases.rollouts.states import SWITCH
from releases.rollouts.tables import AFTER, AROUND, BEFORE, CHECKS, DEFAULT_EACH, EACH, OF_A_SERVICE


def require_sound(spec: Mapping[str, Any], members: Sequence[Member]) -> None:
    """Check a plan against the members of a release.

    Args:
        spec: a plan's spec: {"before", "waves", "each", "after", "switch"}.

    Raises:
        Invalid: names each step that cannot stand where it does, and each service without a place.
    """
    wrong: list[Missing] = []
    for section, allowed in (("before", BEFORE), ("each", EACH), ("after", AFTER)):
        for index, each in enumerate(spec.get(section) or []):
            if each.get("kind") not in allowed:
                text = sentence(_("“{kind}” is no step that can stand here."), kind=each.get("kind"))
                wrong.append(field_error(f"plan.{section}[{index}].kind", text))
    wrong += _wrong_around(spec, members)
    placed = [name for wave in spec.get("waves") or [] for name in wave.get("services") or []]
    kinds = {each.get("kind") for each in spec.get("each") or DEFAULT_EACH}
    for member in members:
        if member.helm and "helm_upgrade" not in kinds:
            owned = _("{service} is under Helm, and the plan has no helm_upgrade.")
            wrong.append(field_error("plan.each", owned.format(service=member.name)))
        if placed.count(member.name) != 1:
            text = sentence(_("The plan has no place, or more than one, for {service}."), service=member.name)
            wrong.append(field_error("plan.waves", text))
    if wrong:
        raise Invalid(_("The plan does not fit this release."), missing=wrong)


def _wrong_around(spec: Mapping[str, Any], members: Sequence[Member]) -> list[Missing]:
    known = {member.name: member for member in members}
    wrong: list[Missing] = []
    for where, each in steps_around(spec):
        if each.get("kind") in AROUND:
            wrong += _wrong_names(where, each, known)
        else:
            text = sentence(_("“{kind}” is no step that can stand here."), kind=each.get("kind"))
            wrong.append(field_error(f"{where}.kind", text))
    for index, each in enumerate(spec.get("after") or []):
        if each.get("kind") in OF_A_SERVICE:
            wrong += _wrong_names(f"plan.after[{index}]", each, known)
    return wrong


def _wrong_names(where: str, document: Mapping[str, Any], known: Mapping[str, Member]) -> Iterable[Missing]:
    member = known.get(str(document.get("service")))
    found = _wrong_name(document, member) if member is not None else None
    if found is not None:
        yield field_error(f"{where}.{found[0]}", found[1])


def steps_around(spec: Mapping[str, Any]) -> Iterable[tuple[str, Mapping[str, Any]]]:
    """Yield the steps beside waves and after the sign-off, each with its place in the plan."""
    for part, places in (("waves", ("before", "after")), (SWITCH, ("steps",))):
        for number, wave in enumerate(spec.get(part) or []):
            for place in places:
                for index, each in enumerate(wave.get(place) or []):
                    yield f"plan.{part}[{number}].{place}[{index}]", each


def _wrong_job(document: Mapping[str, Any], member: Member) -> tuple[str, Text] | None:
    """A Job that is not there, or that restores a database where that is not what was asked and approved."""
    job = member.job(str(document.get("job")))
    names = {"service": member.name, "job": document.get("job")}
    if job is None:
        return "job", sentence(_("{service} has no Job named {job}."), **names)
    if (job.get("purpose") == RESTORE) != (document["kind"] == "restore_database"):
        text = _("A database is restored by a request of its own, and by a Job of that purpose.")
        return "job", str(text)
    return None


def _wrong_name(document: Mapping[str, Any], member: Member) -> tuple[str, Text] | None:
    """Return (field, words) where a step names what its service does not have."""
    strange = [each for each in document.get("checks") or [] if each.get("kind") not in CHECKS]
    if strange:
        return "checks", str(_("“{kind}” is no step that can stand here.")).format(
            kind=strange[0].get("kind")
        )
    if "colour" in document:
        return _wrong_colour(document, member)
    if document["kind"] == "apply_manifests" and not member.spec.get("manifests"):
        text = _("{service} does not say where its manifests are.")
        return "service", sentence(text, service=member.name)
    if document["kind"] == "cluster_view" and not member.spec.get("clusterView"):
        text = _("{service} does not say how its cluster view is asked.")
        return "service", sentence(text, service=member.name)
    if document["kind"] in {"run_job", "restore_database"}:
        return _wrong_job(document, member)
    return _wrong_size(document, member) if document["kind"] == "scale" else None


def _wrong_colour(document: Mapping[str, Any], member: Member) -> tuple[str, Text] | None:
    """A colour is named where there are two, and switched to where Services tell them apart."""
    if not member.colours:
        return "colour", str(_("{service} has no colours.")).format(service=member.name)
    if document["kind"] == "switch_service" and canaries.take_turns(member.spec):
        text = _("The colours of {service} stand behind the same Services: there is nothing to switch.")
        return "colour", str(text).format(service=member.name)
    return None


def _wrong_size(document: Mapping[str, Any], member: Member) -> tuple[str, Text] | None:
    workload = member.workload(str(document.get("workload") or ""))
    if workload is None:
        text = _("Say which one workload of {service} is scaled.")
        return "workload", sentence(text, service=member.name)
    if workload.get("kind") == DAEMON_SET:
        return "workload", sentence(
            _("{name} is a DaemonSet: it runs once on each node, and has no size."), name=workload["name"]
        )
    return None
