"""The policy's pages: what holds, what held, what is proposed, and who could approve what."""

import json
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from approvals import policy_table
from approvals.models import Coverage, PolicyProposal, PolicyVersion
from approvals.operations.proposals import require_proposer
from approvals.queries import current_policy
from approvals.states import ProposalState, Verdict
from portal.errors import Conflict, Invalid, NotAllowed, NotFound, PortalError
from portal.people.doors import browser_actor
from releases.catalog.documents import read_text
from releases.catalog.models import StoredDocument
from releases.catalog.policies import coverage, operations, queries, words
from releases.catalog.policies.forms import ConfirmForm, PolicyForm, TextForm, sentences

LONGEST_NUMBER = 19
REFUSALS = (Invalid, Conflict, NotAllowed)


@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """Show the policy in force, its history and what is proposed."""
    versions = list(queries.versions())
    newest = versions[0] if versions else None
    context = {
        "newest": newest,
        "versions": versions,
        "grades": words.grades_of(newest.table) if newest else [],
        "signers": words.signers_of(newest.table) if newest else [],
        "proposals": queries.proposals(),
        "open": queries.proposals().filter(state=ProposalState.OPEN).first(),
        "documents": StoredDocument.objects.filter(kind="Policy"),
        "coverage": Coverage.objects.first(),
        "may_change": queries.may_change(browser_actor(request)),
    }
    return render(request, "policy/page.html", context)


@require_safe
def version(request: HttpRequest, number: int) -> HttpResponse:
    """Show one version and what it changed."""
    found = queries.version(number)
    before = queries.before(number)
    context = {
        "version": found,
        "before": before,
        "newest": current_policy(),
        "grades": words.grades_of(found.table),
        "signers": words.signers_of(found.table),
        "difference": words.difference(before.table, found.table) if before else [],
    }
    return render(request, "policy/version.html", context)


@require_http_methods(["GET", "POST"])
def propose(request: HttpRequest) -> HttpResponse:
    """Edit the table in a form; what is typed is shown as a difference before it is proposed."""
    require_proposer(browser_actor(request))
    base, before = current_policy(), _sent_back(request)
    form = PolicyForm(
        request.POST if request.method == "POST" else None,
        table=before.table if before else base.table,
        initial={"note": before.note if before else ""},
    )
    rest: list[str] = []
    if request.method == "POST" and form.is_valid():
        rest, shown = _shown(request, form.typed_table(), base, form.cleaned_data["note"])
        if shown is not None:
            return shown
    status = 422 if request.method == "POST" else 200
    context = {"form": form, "base": base, "rest": rest, "before": before}
    return render(request, "policy/propose.html", context, status=status)


@require_http_methods(["GET", "POST"])
def propose_text(request: HttpRequest) -> HttpResponse:
    """Edit the table as a text, in the words of the catalog's files."""
    require_proposer(browser_actor(request))
    base = current_policy()
    written = operations.as_yaml(operations.as_spec(base.table))
    if request.method != "POST" or "again" in request.POST:
        typed = {name: request.POST.get(name, "") for name in ("text", "note")}
        form = TextForm(initial={**typed, "text": typed["text"] or written})
        return render(request, "policy/propose_text.html", {"form": form, "base": base})
    form = TextForm(request.POST)
    rest: list[str] = []
    if form.is_valid():
        rest, table = _parsed(form.cleaned_data["text"])
        if table is not None:
            rest, shown = _shown(request, table, base, form.cleaned_data["note"])
            if shown is not None:
                return shown
    context = {"form": form, "base": base, "rest": rest}
    return render(request, "policy/propose_text.html", context, status=422)


@require_POST
def confirm(request: HttpRequest) -> HttpResponse:
    """Propose the table whose difference was shown."""
    actor = browser_actor(request)
    require_proposer(actor)
    form = ConfirmForm(request.POST)
    if not form.is_valid():
        return redirect("policy:propose")
    typed = form.cleaned_data
    try:
        made = operations.propose(typed["table"], actor=actor, note=typed["note"], base=typed["base"])
    except REFUSALS as error:
        return _confirmation(request, typed["table"], typed["note"], problem=error)
    return redirect("policy:proposal", made.pk)


@require_safe
def proposal(request: HttpRequest, number: int) -> HttpResponse:
    """Show one proposal: what changes, who signs, what was decided."""
    return render(request, "policy/proposal.html", _proposal_context(request, number))


@require_http_methods(["GET", "POST"])
def decide(request: HttpRequest, number: int, verdict: str) -> HttpResponse:
    """Ask for a signature, a refusal or an objection to exactly this change, and record it."""
    if verdict not in Verdict.values:
        raise NotFound
    if request.method != "POST":
        return render(request, "policy/decide.html", _decide_context(request, number, verdict))
    try:
        operations.decide(
            number,
            actor=browser_actor(request),
            verdict=verdict,
            content_digest=request.POST.get("content_digest", "").replace("\x00", ""),
            reason=request.POST.get("reason", ""),
        )
    except REFUSALS as error:
        fresh = _decide_context(request, number, verdict)
        return _refused(request, "decide", {**fresh, "typed": request.POST.get("reason", "")}, error)
    return redirect("policy:proposal", number)


@require_http_methods(["GET", "POST"])
def take_back(request: HttpRequest, number: int, decision_id: int) -> HttpResponse:
    """Ask whether to take one's own signature back, and do it."""
    context = _with_decision(_proposal_context(request, number), decision_id)
    if request.method != "POST":
        return render(request, "policy/take_back.html", context)
    try:
        operations.take_back(number, decision_id, actor=browser_actor(request))
    except REFUSALS as error:
        return _refused(request, "take_back", context, error)
    return redirect("policy:proposal", number)


@require_http_methods(["GET", "POST"])
def answer(request: HttpRequest, number: int, decision_id: int) -> HttpResponse:
    """Answer an objection in words."""
    context = _with_decision(_proposal_context(request, number), decision_id)
    if request.method != "POST":
        return render(request, "policy/answer.html", context)
    typed = request.POST.get("answer", "")
    try:
        operations.answer(number, decision_id, actor=browser_actor(request), answer=typed)
    except REFUSALS as error:
        return _refused(request, "answer", {**context, "typed": typed}, error)
    return redirect("policy:proposal", number)


@require_http_methods(["GET", "POST"])
def withdraw(request: HttpRequest, number: int) -> HttpResponse:
    """Ask whether to withdraw one's own proposal, and do it."""
    context = _proposal_context(request, number)
    if request.method != "POST":
        return render(request, "policy/withdraw.html", context)
    try:
        operations.withdraw(number, actor=browser_actor(request), reason=request.POST.get("reason", ""))
    except REFUSALS as error:
        return _refused(request, "withdraw", context, error)
    return redirect("policy:proposal", number)


@require_http_methods(["GET", "POST"])
def coverage_page(request: HttpRequest) -> HttpResponse:
    """Show who could approve nothing, the gaps first; look again on demand."""
    if request.method == "POST":
        coverage.look_again(actor=browser_actor(request))
        return redirect("policy:coverage")
    found = Coverage.objects.select_related("policy").first()
    context = {
        "found": found,
        "gaps": words.gap_rows(found) if found else [],
        "may_look": queries.may_change(browser_actor(request)),
    }
    return render(request, "policy/coverage.html", context)


def _sent_back(request: HttpRequest) -> PolicyProposal | None:
    """The proposal that is changed in answer to its being sent back, where the address names one."""
    number = request.GET.get("from", "")
    if not (number.isascii() and number.isdigit() and len(number) < LONGEST_NUMBER):
        return None
    return queries.proposals().filter(pk=int(number), state=ProposalState.SENT_BACK).first()


def _shown(
    request: HttpRequest, table: dict[str, Any], base: PolicyVersion, note: str
) -> tuple[list[str], HttpResponse | None]:
    """The page that shows the difference, or what is wrong with the table."""
    try:
        wanted = policy_table.canonical(table)
    except Invalid as error:
        return sentences(error.missing), None
    if wanted == policy_table.canonical(base.table):
        return [_("Nothing would change. Change something, then look at the difference.")], None
    return [], _confirmation(request, wanted, note)


def _confirmation(
    request: HttpRequest, table: dict[str, Any], note: str, *, problem: PortalError | None = None
) -> HttpResponse:
    base = current_policy()
    try:
        changed = words.difference(base.table, table)
        text = operations.as_yaml(operations.as_spec(table))
    except Invalid as error:
        changed, text, problem = [], "", error
    typed = {"base": base.version, "table": json.dumps(table, ensure_ascii=False), "note": note}
    context = {
        "form": ConfirmForm(initial=typed),
        "note": note,
        "base": base,
        "difference": changed,
        "text": text,
        "problem": problem,
    }
    return render(request, "policy/confirm.html", context, status=problem.status if problem else 200)


def _parsed(text: str) -> tuple[list[str], dict[str, Any] | None]:
    """The table in a text: the `spec` of a Policy document, or the whole document."""
    documents, problems = read_text(text.replace("\r\n", "\n"), _("line"))
    if problems:
        return [str(problem) for problem in problems], None
    value = documents[0].value if len(documents) == 1 else None
    spec = value.get("spec", value) if isinstance(value, dict) else None
    if not isinstance(spec, dict) or not isinstance(spec.get("grades"), dict):
        return [_("One text with `grades` is expected, as in the file of a Policy.")], None
    return [], policy_table.of_spec(spec)


def _proposal_context(request: HttpRequest, number: int) -> dict[str, Any]:
    found: PolicyProposal = queries.proposal(number)
    signing = queries.signing(found, browser_actor(request))
    return {
        "proposal": found,
        "signing": signing,
        "rows": [
            {"row": row, "because": words.because_text(row.requirement.because)} for row in signing.rows
        ],
        "difference": words.proposal_difference(found),
        "grades": words.grades_of(found.table),
        "signers": words.signers_of(found.table),
        "may_change": queries.may_change(browser_actor(request)),
    }


def _decide_context(request: HttpRequest, number: int, verdict: str) -> dict[str, Any]:
    context = _proposal_context(request, number)
    signing = context["signing"]
    may = signing.may_object if verdict == Verdict.OBJECT else signing.mine
    return {**context, "verdict": verdict, "may": may}


def _with_decision(context: dict[str, Any], decision_id: int) -> dict[str, Any]:
    decision = next((each for each in context["signing"].decisions if each.pk == decision_id), None)
    if decision is None:
        raise NotFound
    return {**context, "decision": decision}


def _refused(
    request: HttpRequest, template: str, context: dict[str, Any], error: PortalError
) -> HttpResponse:
    return render(request, f"policy/{template}.html", {**context, "problem": error}, status=error.status)
