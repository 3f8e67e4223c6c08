"""Who is told what about a release: messages in the outbox, and a nudge to the inboxes concerned."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext, override
from django.utils.translation import gettext_noop as _

from approvals import policy
from approvals import queries as approval_queries
from approvals.models import Decision
from approvals.states import Phase
from portal import access, clock
from portal.audit.models import AuditEntry
from portal.live.publish import touch_each
from portal.notices.telling import Notice, tell, zone_of
from portal.outbox.models import Message
from portal.people.models import Role, RoleAssignment, User
from portal.people.queries import administrators
from portal.sentences import Text
from portal.statements import Given, Question
from portal.ui import times
from releases import observations, wording
from releases.announcement import announcement_of
from releases.catalog.models import Connection, Service
from releases.catalog.rights import in_charge
from releases.gates import breach_sentence
from releases.items import items_of
from releases.models import Answer, Gate, Release
from releases.queries import scopes_of

LEADS = (Role.PL, Role.TEAM_LEAD, Role.DIRECTOR)
_HOLDERS = Question(
    lambda: (
        User.objects.defer("password")
        .filter(
            assignments__scope__among=Given("scopes"),
            assignments__role__among=Given("roles"),
            assignments__revoked_at=None,
            is_active=True,
        )
        .distinct()
        .order_by("pk")
    )
)


def tell_submitted(release: Release, rows: Sequence[policy.RequiredRow]) -> None:
    """Ask those who can decide, and tell those whom the grade's policy names."""
    deciders = _deciders(release, Phase.REVIEW)
    notices = [
        _about(user, release, "review", "decision", _("Please review: {release}")) for user in deciders
    ]
    for user in set(shared_with(release)) - set(deciders):
        notices.append(_about(user, release, "shared", "shared", _("Submitted: {release}")))
    lacking = policy.missing(rows)
    for user in administrators() if lacking else ():
        with _language_of(user):
            roles = ", ".join(wording.role_name(row.role) for row in lacking)
        title = _("Nobody can review {release}: {roles}")
        notices.append(_about(user, release, "nobody", "decision", title, roles=roles))
    _tell(release, notices)
    _touch([*deciders, release.author])


def tell_settled(release: Release, *, reason: Text) -> None:
    """Tell author and contributors that the review came to something, or opened again."""
    people = _owners(release)
    what = f"settled.{release.state}.{_times(release)}"
    _tell(release, [_state_of(user, release, what, "settled", reason) for user in people])
    _touch(people)
    touch_deciders(release)


def tell_superseded(old: Release, new: Release) -> None:
    """Tell author and contributors of a replaced release which one replaced it."""
    people = _owners(old)
    title = _("{release} was replaced by #{number}")
    _tell(old, [_about(user, old, "superseded", "settled", title, number=new.number) for user in people])
    _touch(people)
    touch_deciders(old)


def tell_overlap(old: Release, new: Release, services: Sequence[str]) -> None:
    """Warn the authors of two pending releases that share services."""
    title = _("{release} shares services with #{number}: {names}")
    names = ", ".join(services)
    for release, other in ((old, new), (new, old)):
        what = f"overlap.{other.number}"
        _tell(
            release,
            [_about(release.author, release, what, "settled", title, number=other.number, names=names)],
        )
    _touch([old.author, new.author])


def tell_objection(release: Release, objection: Decision) -> None:
    """Show an objection to the author and to everybody who decides."""
    people = {release.author, *_deciders(release)}
    what, title = f"objection.{objection.pk}", _("{name} objects to {release}")
    _tell(
        release,
        [
            _about(user, release, what, "objection", title, body=objection.reason, name=objection.person)
            for user in people
        ],
    )
    _touch(people)


def tell_signoff_due(release: Release) -> None:
    """Ask for the sign-off of the result."""
    _ask(release, Phase.SIGNOFF, _("Please sign off the result: {release}"))


def tell_breach(release: Release, gate: Gate) -> None:
    """Tell those who can sign off that what they would sign is measured bad, once for each breach."""
    people = _deciders(release, Phase.SIGNOFF)
    notices = []
    for user in people:
        with _language_of(user), timezone.override(zone_of(user)):
            body = breach_sentence(gate)
        title = _("The result cannot be signed off now: {release}")
        what = f"breach.{gate.pk}.{gate.breaches}"
        notices.append(_about(user, release, what, "decision", title, body=body))
    _tell(release, notices)
    _touch(people)


def tell_review_owed(release: Release) -> None:
    """Ask for the review of what went out before anybody approved it."""
    _ask(release, Phase.OWED, _("Please review what went out: {release}"))


def tell_qa_asked(release: Release) -> None:
    """Ask QA to look at what runs now; what follows in the row waits for their answers."""
    items = list(release.items.select_related("service__team"))
    held = RoleAssignment.objects.filter(role=Role.QA, revoked_at=None, scope__in=scopes_of(release, items))
    people = User.objects.filter(is_active=True, pk__in=held.values("user")).order_by("pk")
    title = _("Please test: {release} runs in {environment}")
    where = release.environment
    what = f"qa.{_times(release)}"
    _tell(release, [_about(user, release, what, "decision", title, environment=where) for user in people])
    _touch(people)


def tell_qa_done(release: Release) -> None:
    """Tell its owners that QA has answered everything, so that it can be carried on."""
    title = _("QA has answered: {release} can go on")
    what = f"qa_done.{Answer.objects.filter(release=release).count()}"
    people = _owners(release)
    _tell(release, [_about(user, release, what, "settled", title) for user in people])
    _touch(people)


def tell_announced(release: Release, text: str) -> None:
    """Post the announcement to everybody the grade's policy names."""
    people, title = {release.author, *shared_with(release)}, _("Released: {release}")
    _tell(release, [_about(user, release, "announced", "shared", title, body=text) for user in people])


def tell_missed(release: Release, *, scheduled_by: User | None, reason: Text) -> None:
    """Tell its owners and who scheduled it that the release did not start at its time, and why."""
    people = _readers(release, [*_owners(release), *([scheduled_by] if scheduled_by else [])])
    title = _("{release} did not start at its time")
    what = f"missed.{_times(release)}"
    tell([_about(user, release, what, "trouble", title, body=reason) for user in people])
    _touch(people)


def tell_given_back(release: Release, place: int, *, asked_by: User | None, reason: Text) -> None:
    """Tell its owners and who asked for it that the release did not start when its turn came, and why."""
    people = _readers(release, [*_owners(release), *([asked_by] if asked_by else [])])
    title = _("{release} did not start when its turn came")
    what = f"given_back.{place}"
    tell([_about(user, release, what, "trouble", title, body=reason) for user in people])
    _touch(people)


def tell_trouble(release: Release, *, reason: Text) -> None:
    """Tell those in charge of the rollout, its author and who started it, that it needs somebody."""
    started = User.objects.filter(is_active=True, pk__in=release.rollouts.values("started_by"))
    people = _readers(release, [release.author, *started])
    what = f"trouble.{release.state}.{_times(release)}"
    _tell(release, [_state_of(user, release, what, "trouble", reason) for user in people])
    _touch(people)


def tell_deadline_near(release: Release, people: Iterable[User], *, at: datetime, phase: Phase) -> None:
    """Remind those who can still decide, once, before the review should be done."""
    title = (
        _("Please review soon: {release}") if phase == Phase.REVIEW else _("The review is owed: {release}")
    )
    _tell(release, [_dated(user, release, "deadline", title, at=at) for user in people])


def tell_overdue(
    release: Release, deciders: Sequence[User], above: Mapping[User, Iterable[str]], *, at: datetime
) -> None:
    """Tell author and deciders that the review is overdue, and ask the next role up the ladder to help.

    Args:
        above: who holds the next role, with the roles that did not decide.
    """
    near = dict.fromkeys([*_owners(release), *deciders])
    notices = [
        _dated(user, release, "overdue", _("The review is overdue: {release}"), at=at) for user in near
    ]
    for user, late in above.items():
        if user not in near:
            with _language_of(user):
                roles = ", ".join(wording.role_name(role) for role in late)
            title = _("Nobody decided in time on {release}: {roles}")
            notices.append(_dated(user, release, "escalated", title, at=at, roles=roles))
    _tell(release, notices)
    _touch([notice.person for notice in notices])


def tell_expiring(release: Release, deciders: Iterable[User], *, at: datetime) -> None:
    """Say once that a release is worth nothing soon: to its owners, and to those it still waits for."""
    title = _("It expires soon: {release}")
    people = dict.fromkeys([*_owners(release), *deciders])
    _tell(release, [_dated(user, release, "expiring", title, at=at) for user in people])


def touch_deciders(release: Release) -> None:
    """Let the inboxes of all who decide read again; who they are is read once the locks are gone."""
    transaction.on_commit(lambda: _touch(_deciders(release, *Phase.values)))


def shared_with(release: Release) -> list[User]:
    """Whom the policy of the chosen grade wants told (product.md, "The five grades")."""
    request = release.approval_request
    if request is None:
        return []
    audience = approval_queries.grade_policy(request.policy, request.grade).shared
    services = [item.service for item in items_of(release)]
    if audience == "core_pls":
        core = Service.objects.filter(core=True, system=release.environment.system)
        services = list(core.select_related("team"))
    scopes = {f"service:{service.name}" for service in services}
    scopes |= {f"team:{service.team.key}" for service in services}
    roles = Role.values if audience == "team" else LEADS
    return _HOLDERS.ask(scopes=list(scopes), roles=list(roles))


def _ask(release: Release, phase: Phase, title: str) -> None:
    people = _deciders(release, phase)
    _tell(release, [_about(user, release, str(phase), "decision", title) for user in people])
    _touch(people)


def _touch(people: Iterable[User]) -> None:
    """Let these people's inboxes read again."""
    touch_each(f"inbox.{user.pk}" for user in people)


def _owners(release: Release) -> list[User]:
    """The author, and whoever contributed."""
    return list(dict.fromkeys([release.author, *release.contributors.all()]))


def _readers(release: Release, people: Iterable[User]) -> list[User]:
    """These people; where they are accounts of CI systems only, who built it or is in charge as well."""
    found = list(dict.fromkeys(people))
    named = Connection.objects.filter(spec__account__in=[user.username for user in found])
    accounts = set(named.values_list("spec__account", flat=True))
    if any(user.username not in accounts for user in found):
        return found
    items = release.items.select_related("service__team")
    builders = User.objects.filter(is_active=True, username__in=items.values("built_by"))
    built_by = [user for user in builders if access.allowed(user, "view", release)]
    charged = in_charge(release.environment, [item.service for item in items])
    others = built_by or charged.exclude(username__in=accounts) or administrators()
    return list(dict.fromkeys([*found, *others]))


def _deciders(release: Release, *phases: str) -> list[User]:
    if release.approval_request is None:
        return []
    standing = approval_queries.standing(release.approval_request)
    rows = [row for phase in phases or (Phase.REVIEW,) for row in standing.phase(phase)]
    return list(dict.fromkeys(user for row in rows for user in row.deciders))


def _tell(release: Release, notices: Sequence[Notice]) -> None:
    """Write them all in one insert; those that say nothing else carry the announcement."""
    if any(not notice.body for notice in notices):
        text = announcement_of(release)
        notices = [replace(notice, body=notice.body or text) for notice in notices]
    tell(notices)


def _about(
    user: User, release: Release, what: str, kind: str, title: str, *, body: Text = "", **words: object
) -> Notice:
    """One message for each person, occasion and round; the key makes a repetition harmless.

    Args:
        title: a msgid, put into the reader's language here; `words` fill its places beside {release}.
        body: what to say; "" for the announcement.
    """
    request = release.approval_request
    rounds = request.round if request else 0
    with _language_of(user):
        return Notice(
            person=user,
            kind=kind,
            key=f"release.{release.number}.round.{rounds}.{what}:{user.username}",
            subject=gettext(title).format(release=release, **words),
            body=str(body),
            link=f"/releases/{release.number}/",
        )


def _state_of(user: User, release: Release, what: str, kind: str, reason: Text) -> Notice:
    with _language_of(user):
        state, why = release.get_state_display(), observations.reason(str(reason))
    return _about(user, release, what, kind, _("{release} is {state}"), body=why, state=state)


def _dated(user: User, release: Release, what: str, title: str, *, at: datetime, **words: object) -> Notice:
    """About a deadline, said in the reader's own time; another deadline is another occasion."""
    with _language_of(user), timezone.override(zone_of(user)):
        body = gettext("The time is {time}.").format(time=times.absolute(at, now=clock.now()))
    return _about(user, release, occasion(what, at), "deadline", title, body=body, **words)


def occasion(what: str, at: datetime) -> str:
    """The part of a message's key that names a deadline."""
    return f"{what}.{int(at.timestamp())}"


def is_told(release: Release, what: str) -> bool:
    """Whether messages of this occasion were written in the present round."""
    request = release.approval_request
    rounds = request.round if request else 0
    return Message.objects.filter(key__startswith=f"release.{release.number}.round.{rounds}.{what}:").exists()


def _language_of(user: User) -> override:
    """Messages are written in the language of who reads them."""
    return override(user.language or settings.LANGUAGE_CODE)


def _times(release: Release) -> int:
    """How often it has come to its present state: each time is an occasion of its own."""
    action = f"release.{release.state}"
    return AuditEntry.objects.filter(release=release.number, action=action).count()
