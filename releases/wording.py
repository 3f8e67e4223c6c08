"""Sentences about requirements and what is missing, in the reader's language, for pages and programs."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from approvals.models import Requirement
from approvals.policy import RequiredRow
from portal.errors import Missing
from portal.people.models import Role, Team
from portal.sentences import Text, sentence

# What can stand against an approval besides a row that is not met.
AGAINST: dict[str, Promise] = {
    "never_submitted": gettext_lazy("It was never submitted."),
    "nobody_asked": gettext_lazy("Nobody was asked to approve it."),
    "moved": gettext_lazy("Connection {name} leads elsewhere than was approved: {now} instead of {before}."),
    "changed": gettext_lazy("The content is not what was approved."),
    "rows_unrecorded": gettext_lazy(
        "What was asked for is not what the record says: the rows of the approval were changed."
    ),
    "approval_state_unrecorded": gettext_lazy(
        "The state of the approval is not the one that the record has."
    ),
    "release_state_unrecorded": gettext_lazy("The state of the release is not the one that the record has."),
    "decision_unrecorded": gettext_lazy("The approval of {name} is not the one that the record has."),
    "objection_gone": gettext_lazy("An objection that the record leaves open was changed or removed."),
}


def bare(scope: str) -> str:
    """A scope without its kind: "commerce" for "team:commerce"."""
    return scope.partition(":")[2] or scope


def team_titles() -> dict[str, str]:
    """What the teams are called, by key."""
    return dict(Team.objects.values_list("key", "title"))


def place(scope: str, titles: Mapping[str, str]) -> str:
    """A scope as people call it: a team by its title, anything else by its name."""
    kind, _colon, name = scope.partition(":")
    return titles.get(name, name) if kind == "team" else bare(scope)


def role_label(role: str) -> Text:
    """The role in the reader's language, whoever that will be."""
    return Role(role).label if role in Role.values else role


def role_name(role: str) -> str:
    """The role in the reader's language."""
    return str(role_label(role))


def why(word: str) -> str:
    """Why a row climbed."""
    sentences = {
        "author": _("the author holds this role"),
        "barred": _("everybody who holds this role worked on the release"),
        "vacant": _("nobody holds this role"),
    }
    return sentences.get(word, word)


def climb_sentences(climbed: Sequence[Mapping[str, Any]]) -> list[str]:
    """One sentence for each step of the ladder that a row left behind."""
    return [
        _("Went past {role} of {scope}: {why}.").format(
            role=role_name(step["role"]), scope=bare(step["scope"]), why=why(step["why"])
        )
        for step in climbed
    ]


def row_sentence(role: str, scope: str, count: int) -> Text:
    """What a row asks for."""
    text = gettext_lazy("{count} × {role} of {scope}")
    return sentence(text, count=count, role=role_label(role), scope=bare(scope))


def missing_row(row: RequiredRow | Requirement) -> Missing:
    """A row that is not met, as doors list it."""
    return _missing_row(row.role, row.scope, row.count)


def _missing_row(role: str, scope: str, count: int) -> Missing:
    text = row_sentence(role, scope, count)
    return {"code": "requirement", "role": role, "scope": bare(scope), "text": text}


def against(fact: Missing) -> Missing:
    """Say in the reader's language what stands against an approval, from what `start.against` kept of it.

    What an earlier version of the portal kept has its text.
    """
    if "why" not in fact:
        return fact
    if fact["why"] != "row":
        return {"code": fact["code"], "text": sentence(AGAINST[fact["why"]], **fact)}
    entry = _missing_row(fact["role"], fact["scope"], fact["count"])
    if fact["lost"]:
        lost = gettext_lazy("{row}: the approval of {names} no longer counts")
        entry["text"] = sentence(lost, row=entry["text"], names=", ".join(fact["lost"]))
    return {**entry, "id": fact["id"]}
