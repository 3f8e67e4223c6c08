"""Asking for a restore: a release of its own, with a right of its own, for one named backup (product.md)."""

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _

from portal import access
from portal.actors import Actor
from portal.errors import Conflict, Invalid, NotAllowed
from releases.catalog.models import Environment, Service
from releases.catalog.schedule_checks import restores_of
from releases.models import Release
from releases.operating import OperationKind
from releases.operations.create import store
from releases.operations.fields import Faults
from releases.operations.locking import noting_refusals, require_compose
from releases.operations.operate import composed
from releases.schedules.models import Backup
from releases.schedules.queries import backups_of

FIELDS = ("backup", "confirm")


def request_restore(name: str, env: str, data: object, *, actor: Actor) -> Release:
    """Draft the restore of a database; nothing happens before it is approved and started.

    Args:
        name: of the service.
        env: of the environment.
        data: {"backup": its name, "confirm": the service's name, typed}.

    Raises:
        NotFound: no such service or environment, or the person may not see it.
        NotAllowed: the person may not restore the service's database.
        Invalid: names every wrong field.
        Conflict: `no_restore`, the catalog names no Job, or several, that restore; `running_unknown`.
    """
    if actor.user is None:
        raise NotAllowed
    environment = access.get_or_404(actor.user, Environment, name=env)
    service = access.get_or_404(actor.user, Service, name=name, environments=environment)
    with noting_refusals(None, actor=actor):
        access.require(actor, "restore", service)
        require_compose(actor, [service])
        backup = _read(service, environment, data)
        composition = composed(_operation(service, backup), service, environment)
    return store(composition, actor=actor)


def _read(service: Service, environment: Environment, data: object) -> Backup:
    if not isinstance(data, Mapping):
        raise Invalid(_("An object is expected."))
    faults = Faults()
    faults.unknown("", data, FIELDS)
    wanted = faults.text("backup", data.get("backup"), most=200, required=True)
    backup = backups_of(service, environment).filter(name=wanted).first()
    if wanted and backup is None:
        faults.add("backup", _("There is no such backup."))
    if faults.text("confirm", data.get("confirm"), most=200) != service.name:
        faults.add("confirm", _("Type {name} to restore its database.").format(name=service.name))
    if faults.found or backup is None:
        raise Invalid(missing=faults.found)
    return backup


def _operation(service: Service, backup: Backup) -> dict[str, Any]:
    jobs = restores_of(service.spec)
    if len(jobs) != 1:
        text = _("The catalog must name one Job of {service} whose purpose is restore.")
        raise Conflict(text.format(service=service.name), code="no_restore")
    return {
        "kind": str(OperationKind.RESTORE),
        "service": service.name,
        "job": jobs.pop(),
        "backup": backup.name,
        "made_at": backup.made_at.isoformat(),
        "rows": backup.rows,
    }
