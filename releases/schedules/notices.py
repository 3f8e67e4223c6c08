"""Who is told of a run that did not do its work: those in charge of its service there."""

from django.conf import settings
from django.utils.translation import gettext, override
from django.utils.translation import gettext_noop as _

from portal.notices.kinds import TROUBLE
from portal.notices.telling import Notice
from portal.notices.telling import tell as tell_people
from portal.people.models import User
from portal.people.queries import administrators
from releases.catalog.rights import in_charge
from releases.schedules.models import Outcome, ScheduledRun
from releases.schedules.wording import outcome_text, title_of

TITLES = {
    Outcome.SUCCEEDED: _("{name} in {environment} is well again"),
    Outcome.FAILED: _("{name} in {environment} failed"),
    Outcome.ERRORED: _("{name} in {environment} could not be carried out"),
    Outcome.MISSED: _("{name} in {environment} was missed"),
    Outcome.SKIPPED: _("{name} in {environment} was skipped"),
}


def tell(run: ScheduledRun) -> None:
    """Tell those in charge of the service, or of all services of the environment; once for each run.

    Where nobody is, the administrators are told.
    """
    link = f"/environments/{run.environment.name}/schedules/"
    notices = []
    for person in _in_charge(run):
        with override(person.language or settings.LANGUAGE_CODE):
            title = gettext(TITLES[Outcome(run.outcome)])
            names = {"name": title_of(run.spec, run.what), "environment": run.environment}
            notices.append(
                Notice(
                    person=person,
                    kind=TROUBLE,
                    key=f"schedule.{run.environment.name}.{run.schedule}.{run.due_at:%s}:{person.username}",
                    subject=title.format(**names),
                    body=outcome_text(run),
                    link=link,
                )
            )
    tell_people(notices)


def _in_charge(run: ScheduledRun) -> list[User]:
    services = [run.service] if run.service else run.environment.services.select_related("team")
    return list(in_charge(run.environment, services) or administrators())
