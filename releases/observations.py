"""What the portal measured, in words. The layer that measures knows them, and registers them at the start."""

from collections.abc import Callable, Mapping
from typing import Any

from portal.sentences import worded_in
from releases.models import Gate

Words = Callable[[Mapping[str, Any]], str]
_WORDS: dict[str, Words] = {}


_REASONS: list[Callable[[str], str]] = []


def register(*, name: Words, say: Words, why: Callable[[str], str]) -> None:
    """Take the words of the layer above, in the reader's language.

    Args:
        name: what is measured, from {"kind", "title", "service", "key"}.
        say: what was seen, from {"code", "args"?, …}.
        why: for what reason the portal paused or ended something, from a code; all else as it is.
    """
    _WORDS.update(name=name, say=say)
    _REASONS.append(why)


def reason(code: str) -> str:
    """Why the portal did what the record tells, in words."""
    return _REASONS[-1](code)


def said(seen: Mapping[str, Any]) -> str:
    """What was seen, in one sentence; "" where nothing was yet."""
    return _WORDS["say"](seen)


def facts_of(gate: Gate) -> dict[str, str]:
    """By what a gate is known, whatever becomes of its row."""
    title, service = str(gate.params.get("title") or ""), gate.service.name if gate.service else ""
    return {"key": gate.key, "kind": gate.kind, "title": title, "service": service}


def name_of(gate: Gate) -> str:
    """What is measured: the title in the plan or of the kind, and the service concerned."""
    return _WORDS["name"](facts_of(gate))


def worded(evidence: Any) -> Any:
    """Evidence as doors show it: what the portal measured gets its `text`, all else stays as it was given."""
    if not isinstance(evidence, Mapping) or "measured" not in evidence:
        return evidence
    return {**worded_in(evidence), "text": said(evidence["measured"])}
