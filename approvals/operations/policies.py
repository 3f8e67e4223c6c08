"""Putting a grade table into force: the first one directly, every later one once its change is signed."""

from collections.abc import Mapping
from typing import Any

from django.db import connection, transaction
from django.utils.translation import gettext as _

from approvals import policy_table
from approvals.models import PolicyVersion
from portal import clock
from portal.actors import Actor
from portal.audit.record import record
from portal.errors import Invalid, field_error
from portal.people.models import RoleAssignment, User


def publish_policy(table: Mapping[str, Any], *, actor: Actor, note: str = "") -> PolicyVersion:
    """Put a grade table into force as the next version; the same table again changes nothing.

    No door leads here but the first load of an empty portal: see approvals.operations.proposals.

    Raises:
        Invalid: the table is wrong, or asks for more people of a role than hold it.
    """
    check_enough_people(policy_table.read(table))
    with transaction.atomic():
        lock_versions()
        last = PolicyVersion.objects.first()
        if last is not None and last.table == table:
            return last
        return write_version(table, last, author=actor.user, actor=actor, note=note)


def write_version(
    table: Mapping[str, Any],
    last: PolicyVersion | None,
    *,
    author: User | None,
    actor: Actor,
    note: str,
    content_digest: str = "",
) -> PolicyVersion:
    """Write the next version while the versions are locked."""
    version = PolicyVersion.objects.create(
        version=last.version + 1 if last else 1,
        table=dict(table),
        note=note[:250],
        created_at=clock.now(),
        created_by=author,
    )
    record(
        "policy.changed",
        actor=actor,
        subject=("policy", str(version.version)),
        before={"table": last.table} if last else {},
        after={"table": version.table},
        reason=note,
        content_digest=content_digest,
    )
    return version


def lock_versions() -> None:
    """Two tables published at once get two numbers, one after the other."""
    with connection.cursor() as cursor:
        cursor.execute("LOCK TABLE approvals_policyversion IN SHARE ROW EXCLUSIVE MODE")


def check_enough_people(grades: Mapping[str, policy_table.GradePolicy]) -> None:
    """A row may not ask for more people than hold the role; one may always be asked for."""
    held = RoleAssignment.objects.filter(revoked_at=None, user__is_active=True)
    errors = []
    for grade, rules in grades.items():
        for rule in (*rules.review, *rules.signoff, *rules.owed):
            roles = (rule.role, *rule.alternatives)
            holders = held.filter(role__in=roles).values("user").distinct().count() if rule.count > 1 else 1
            if rule.count > holders:
                sentence = _("{count} people are asked for, {holders} hold the role.")
                text = sentence.format(count=rule.count, holders=holders)
                errors.append(field_error(f"{grade}.{rule.role}", text))
    if errors:
        raise Invalid(missing=errors)
