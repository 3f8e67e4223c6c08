"""What codes and numbers of the engine say to people, in the reader's language.

Rows and events keep codes and arguments only; the outside systems' own words are kept as they came and are
data, never markup.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from django.utils.translation import gettext

from portal.integrations.kubernetes.workloads import ROLLOUT
from portal.live.models import Event
from portal.sentences import worded
from portal.ui import times
from releases import openings, wording
from releases.catalog import units
from releases.rollouts.models import Step
from releases.rollouts.states import OrderKind, RolloutState, StepState
from releases.rollouts.wordings import (
    ASKED_FIRST,
    BY_ITSELF,
    ENDING,
    EVENTS,
    FAILURES,
    GATE_RESULTS,
    HALT,
    HALTED,
    HELD,
    KINDS,
    LIFTS,
    MEASURED,
    NOTES,
    OBSERVED,
    PAUSES,
    REACHED,
    REASONS,
    ROLLS_OUT,
    SECTIONS,
    UNMET,
    UNPROBED,
    UNREAD,
    WAITS_TURN,
    Text,
)

Json = Mapping[str, Any]
# What of a measurement is in the unit that it names.
LIMIT = "limit"
IN_UNIT = frozenset({"value", LIMIT, "other"})


def step_title(step: Step) -> str:
    """Return what the step is called: its title in the plan, else its kind."""
    title = str(step.params.get("title") or KINDS.get(step.kind, step.kind))
    share = (step.params.get("share") or step.params).get("percent")
    return title if share is None else f"{title} {share}%"


def sized_title(step: Step) -> str:
    """Return what the step is called, one of several sizes with its own."""
    title = step_title(step)
    size = step.params.get("replicas") if step.kind == "scale" else None
    return title if size is None else f"{title} × {size}"


def warning(step: Step) -> str:
    """Return what a clean-up that did not go well says."""
    text = gettext("Clean-up that did not go well: {title}: {failure}")
    name = f"{step.service.name}: {sized_title(step)}" if step.service else sized_title(step)
    return text.format(title=name, failure=step_text(step))


def wave_title(section: str, step: Step) -> str:
    """Return the title of a group of steps."""
    if section != "wave":
        return str(SECTIONS.get(section, section))
    if step.is_after_signoff and not step.wave_title:
        return gettext("Switch")
    return step.wave_title or gettext("Wave {number}").format(number=step.wave)


def step_text(step: Step) -> str:
    """Return where the step stands, in one sentence."""
    if step.failure and step.state in {StepState.FAILED, StepState.ERRORED, StepState.INCONCLUSIVE}:
        return failure(step.failure)
    if step.state == StepState.SKIPPED and step.reason:
        return step.reason
    return observed(step.observed)


def observed(seen: Json) -> str:
    """Return what was seen last, with the trouble it shows."""
    code = str(seen.get("code") or "")
    if not code:
        return ""
    args = {**seen, **(seen.get("args") or {}), **_gate_of(seen)}
    text = _said(OBSERVED, code, {**args, "span": times.span(args.get("seconds") or 0)})
    if seen.get("unprobed"):
        text = f"{text}; {_filled(UNPROBED, {'containers': ', '.join(seen['unprobed'])})}"
    if seen.get("ending"):
        text = f"{text}; {_filled(ENDING, seen['ending'])}"
    trouble = seen.get("trouble")
    return f"{text}; {failure(trouble)}" if trouble else text


def gate_name(facts: Json) -> str:
    """Return what is done or measured: the title in the plan or of the kind, and the service concerned."""
    title = str(facts.get("title") or KINDS.get(str(facts.get("kind")), facts.get("key", "")))
    return f"{facts['service']}: {title}" if facts.get("service") else title


def measured(seen: Json) -> str:
    """Return what a measurement saw that is made again and again."""
    if seen.get("failure"):
        return failure(seen["failure"])
    text = MEASURED.get(str(seen.get("code") or ""))
    return _filled(text, seen.get("args") or {}) if text else observed(seen)


def note(found: Json) -> str:
    """Return what is worth knowing of a step before it begins."""
    return _said(NOTES, found["code"], found["args"])


def failure(found: Json) -> str:
    """Return what is wrong, followed by the cluster's own words."""
    message = worded(found.get("message") or "")
    return _advised(found, f"{_cause(found)}: {message}" if message else _cause(found))


def cause(found: Json) -> str:
    """Return what is wrong, in the portal's words alone."""
    return _advised(found, _cause(found))


def _cause(found: Json) -> str:
    code = str(found.get("code") or "")
    return _said(FAILURES, code, {**(found.get("args") or {}), **_gate_of(found)})


def _advised(found: Json, text: str) -> str:
    """Where nothing could be looked at, say so, and what to do."""
    return f"{text.rstrip('.')}. {UNREAD}" if found.get("unread") else text


def _gate_of(found: Json) -> Json:
    """The gate of a watch that is told of, and what was seen of it."""
    gate = found.get("gate")
    return {"gate": gate_name(gate), "seen": measured(found.get("seen") or {})} if gate else {}


def pause(reason: Json) -> str:
    """Return why the rollout waits for a person."""
    args = {**(reason.get("args") or {}), "by": _who(reason)}
    code = str(reason.get("reason") or "")
    text = _said(PAUSES, code, args)
    own = str(args.get("text") or "")
    missing = " ".join(str(wording.against(each)["text"]) for each in args.get("missing") or [])
    closed = [openings.sentence(each, lifting=True) for each in args.get("closures") or []]
    if closed:
        missing = " ".join([*closed, str(LIFTS)])
    return ": ".join(part for part in (text, own or missing) if part)


def held(by: Json) -> str:
    """Return why a rollout did not go back by itself, by the pause that held it, and what to do."""
    why = str(HALTED) if by["reason"] == HALT else pause(by)
    return _filled(HELD, {"why": why.rstrip(".")})


def reason(code: str) -> str:
    """Return what a code says where the record has it as a reason; what a person wrote stays as it is."""
    words = str(REASONS.get(code) or FAILURES.get(code, code))
    return code if "{" in words else words


def own_reason(said: str) -> str:
    """Return why something was asked: a person's own words as they are, the portal's for the reader."""
    return str(REASONS[said]) if said in {BY_ITSELF, ROLLS_OUT, WAITS_TURN} else said


def planned(step: Step) -> str:
    """Return what the step will do, or what it found it would change."""
    changes = (step.planned or {}).get("changes") or []
    told = "; ".join(change(each) for each in changes)
    return f"{step_title(step)}: {told}" if told else step_title(step)


def change(found: Json) -> str:
    """Return one difference."""
    before, after = (short_image(found.get(name)) or "–" for name in ("before", "after"))
    return f"{found.get('object', '')} {found.get('field', '')} {before} → {after}".strip()


def reached(targets: Iterable[Json]) -> list[str]:
    """Return what became of the workloads to which an order went; nothing of those it did not concern."""
    found = []
    for each in targets:
        text = REACHED.get((str(each["act"]), str(each["state"])))
        message = worded(each.get("message") or gettext("its controller does not take it up"))
        if text:
            found.append(_filled(text, {"object": object_of(each), "message": message}))
    return found


def name_of(number: int) -> str:
    """Return what a rollout is called: its own number, which is not that of its release."""
    return gettext("rollout {number}").format(number=number)


def object_of(target: Json) -> str:
    """Return the name of a workload to which an order went."""
    return f"{str(target.get('kind', ROLLOUT)).lower()}/{target['workload']}"


def registered() -> dict[str, Callable[[Json], str]]:
    """Return a function from data to text for every kind of event that the engine writes."""
    rollout = {*(f"rollout.{state}" for state in RolloutState.values), *EVENTS}
    steps = {f"step.{name}" for name in (*StepState.values, "started", "acted", "observed")}
    return {kind: partial(event_text, kind) for kind in {*rollout, *steps, *GATE_RESULTS}}


def short_image(image: object) -> str:
    """Return an image reference with its digest cut to what people compare."""
    name, separator, digest = str(image or "").partition("@sha256:")
    return f"{name}@{digest[:12]}" if separator else name


def told_apart(*images: object) -> list[str]:
    """Images as short as people can tell them apart: without the repository's path where it is the same."""
    short = [short_image(image) for image in images]
    paths = {each.rpartition("/")[0] for each in short}
    return [each.rpartition("/")[2] for each in short] if len(paths) == 1 else short


def event(found: Event) -> str:
    """Return what an event of a rollout says."""
    return event_text(found.kind, found.data)


def event_text(kind: str, data: Json) -> str:
    """Return what an event of this kind with these data says."""
    if kind.startswith("step."):
        return _step_event(kind, data)
    if kind in GATE_RESULTS:
        return _gate_event(kind, data)
    if kind in EVENTS:
        asked = data.get("kind", "")
        order = str(OrderKind(asked).label) if asked in OrderKind.values else ""
        words = _filled(EVENTS[kind], {**data, "by": _who(data), "order": order})
        first = [_filled(ASKED_FIRST, {"by": _who(data["first"])})] if data.get("first") else []
        return "; ".join([words, *first, *reached(data.get("reached") or [])])
    if data.get("pause"):
        return pause(data["pause"])
    state = str(data.get("state") or kind.partition(".")[2])
    label = str(RolloutState(state).label) if state in RolloutState.values else state
    # The event of the step that failed has the cluster's own words.
    told = cause(data["failure"]) if data.get("failure") else own_reason(str(data.get("reason") or ""))
    words = f"{label}: {told}" if told else label
    return f"{words.rstrip('.')}. {held(data['held_by'])}" if data.get("held_by") else words


def _step_event(kind: str, data: Json) -> str:
    name = gate_name(data)
    state = kind.partition(".")[2]
    if state == "acted":
        told = "; ".join(change(each) for each in data.get("changes") or [])
        return f"{name}: {told}" if told else name
    seen = observed(data.get("observed") or {})
    if state == "observed":
        return f"{name}: {seen}" if seen else name
    wrong = failure(data["failure"]) if data.get("failure") else seen
    stored = str(data.get("state") or state)
    label = str(StepState(stored).label) if stored in StepState.values else stored
    if data.get("cleanup"):
        aside = gettext("a clean-up, which holds nothing up")
        wrong = f"{wrong}; {aside}"
    return f"{name}: {label}; {wrong}" if wrong else f"{name}: {label}"


def _gate_event(kind: str, data: Json) -> str:
    seen = measured(data.get("observed") or {})
    return _filled(GATE_RESULTS[kind], {**data, "by": _who(data), "name": gate_name(data), "seen": seen})


def _who(data: Json) -> str:
    """What people call who did it; the account where an older portal kept only that."""
    return str(data.get("called") or data.get("by") or "")


def _said(known: Mapping[str, Text], code: str, args: Json) -> str:
    """Return the words of a code; one that is not known here, such as a cluster's own, is no text to fill."""
    return _filled(known[code], args) if code in known else code


def _filled(text: Text, args: Json) -> str:
    wrong = [_said(UNMET, each["code"], each) for each in args.get("unmet") or []]
    if wrong:
        args = {**args, "status": f"{args['status']}: {', '.join(wrong)}"}
    unit = args.get("unit")
    return str(text).format_map(
        _Args({name: _amount(name, value, unit if name in IN_UNIT else None) for name, value in args.items()})
    )


def _amount(name: str, value: Any, unit: str | None) -> Any:
    """What was measured or is the limit, with its unit where that is known; anything else as it is."""
    is_number = unit or isinstance(value, float)
    return units.written(value, unit or "", exact=name == LIMIT) if is_number else value


class _Args(dict[str, Any]):
    """Arguments in words; one that is missing leaves a gap, not an error page."""

    def __getitem__(self, key: str) -> str:
        return worded(super().__getitem__(key))

    def __missing__(self, key: str) -> str:
        return ""
