"""The proof of a release: a page for screen and paper, and a file that verifies itself (screens.md 2.11)."""

from collections.abc import Iterable, Mapping
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from portal.audit.actions import ACTIONS
from portal.audit.queries import last_check
from portal.audit.readers import may_read, require_reader
from portal.errors import NotAllowed
from portal.people.models import User
from releases import queries
from releases.models import Release
from releases.reading.deciding import content_lines
from releases.rollouts.proof import may_take, proof_of
from releases.rollouts.proof_entries import Entries

Json = dict[str, Any]


@require_safe
def page(request: HttpRequest, number: int) -> HttpResponse:
    """Show it on one page."""
    release = _visible(request, number)
    entries = Entries(release)
    proof = proof_of(release, entries, whole=False)
    context = {
        "release": release,
        "proof": _with_people(proof),
        "lines": content_lines(release.content) if release.content else [],
        # By their key: a dictionary's own `items` would be found first by the template.
        "items": release.content.get("items", []),
        "others": release.contributors.exclude(pk=release.author_id),
        "check": last_check(),
        "may_take": may_take(_user(request), release),
        "may_read": may_read(request.user),
    }
    return render(request, "rollouts/proof.html", context)


@require_safe
def file(request: HttpRequest, number: int) -> HttpResponse:
    """Hand it out as a file for the verifier."""
    release = _visible(request, number)
    if not may_take(_user(request), release):
        _refuse(request)
    proof = proof_of(release, Entries(release), whole=True)
    answer = JsonResponse(proof, json_dumps_params={"ensure_ascii": False, "indent": 1})
    answer["Content-Disposition"] = f'attachment; filename="release-{release.number}-proof.json"'
    return answer


def _visible(request: HttpRequest, number: int) -> Release:
    return queries.detail(_user(request), number)


def _user(request: HttpRequest) -> User:
    assert isinstance(request.user, User)
    return request.user


def _refuse(request: HttpRequest) -> None:
    """The entries' texts hold people's addresses."""
    require_reader(request.user)
    raise NotAllowed(_("The file holds whole entries. Those who decided here may have it."))


def _with_people(proof: Json) -> Json:
    """Put people beside their usernames, and the acts' names beside the acts."""
    names = set(_usernames(proof))
    people = {user.username: user for user in User.objects.filter(username__in=names)}
    for each in proof["decisions"]:
        each["who"] = people.get(each["person"], each["person"])
        each["giver"] = people.get(each["on_behalf_of"], each["on_behalf_of"])
        each["answerer"] = people.get(each["answered_by"])
    proof["release"]["submitter"] = people.get(proof["release"]["submitted_by"])
    proof["release"]["kept_out"] = [people.get(name, name) for name in proof["release"]["barred"]]
    for each in proof["checks"]:
        each["who"] = people.get(each["by"])
    for each in proof["ignored_breaches"]:
        each["who"] = people.get(each["by"])
    for each in proof["requirements"]:
        each["people"] = [people.get(name, name) for name in each["could"]]
        each["stand_ins"] = [
            (people.get(by["person"]), people.get(by["on_behalf_of"])) for by in each["could_for"]
        ]
        each["filled"] = [people.get(name, name) for name in each["met_by"]]
    for each in proof["rollouts"]:
        each["who"] = people.get(each["started_by"])
        for order in each["orders"]:
            order["who"] = people.get(order["by"])
    for each in proof["entries"]:
        each["who"] = people.get(each["actor"])
        each["what"] = ACTIONS.get(each["action"], each["action"])
    proof["announced"]["who"] = people.get(proof["announced"]["by"])
    return proof


def _usernames(value: Any) -> Iterable[str]:
    """Every text at a place where a person stands."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            if name in PEOPLE:
                yield from ([inner] if isinstance(inner, str) else inner or [])
            else:
                yield from _usernames(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _usernames(inner)


PEOPLE = frozenset(
    {
        "person",
        "on_behalf_of",
        "by",
        "could",
        "met_by",
        "started_by",
        "actor",
        "answered_by",
        "submitted_by",
        "barred",
    }
)
