"""Verifying the chain, and signing its head."""

import logging
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from django.db import connection, transaction
from django.utils.translation import gettext as _

from portal import clock
from portal.actors import Actor
from portal.audit import checkpoints, queries, witnesses
from portal.audit.chain import check_chain
from portal.audit.keys import Signer, signer
from portal.audit.models import AuditEntry, ChainCheck, Checkpoint
from portal.audit.record import record
from portal.audit.verifier import KEY_ACTION, Result, Tree, statement
from portal.errors import Conflict

logger = logging.getLogger(__name__)
LOCK = 2026112102  # beside the chain's own, migration 0002
EVERY = timedelta(hours=1)
MOST_UNSIGNED = 1000
MOST_AT_ONCE = 50_000  # what one checkpoint covers, so that a late first one needs little memory


def verify_chain(received: Iterable[Mapping[str, Any]] = ()) -> Result:
    """Check the whole chain and keep the result; a fault is logged as well."""
    result = check_chain(received)
    fault = result.fault
    ChainCheck.objects.create(
        at=clock.now(),
        entries=result.entries,
        head=result.head,
        checkpoints=result.checkpoints,
        signed=result.signed,
        broken_at=fault.number if fault else None,
        fault=fault.kind if fault else "",
        text=fault.sentence(_) if fault else "",
    )
    if fault:
        logger.critical("the record is broken at entry %s: %s", fault.number, fault.kind)
    return result


def sign_when_due() -> Checkpoint | None:
    """Sign the head when it is time."""
    return sign_head() if is_signing_due() else None


def is_signing_due() -> bool:
    """Whether an hour or 1,000 entries have passed since the last checkpoint (attacks.md, section 2)."""
    unsigned, last = queries.unsigned(), queries.last_checkpoint()
    if not unsigned or signer() is None:
        return False
    return last is None or unsigned >= MOST_UNSIGNED or last.at <= clock.now() - EVERY


def sign_head() -> Checkpoint | None:
    """Sign the newest entry and send that out; None where it is signed already.

    Raises:
        Conflict: no key is configured.
    """
    key = signer()
    if key is None:
        raise Conflict(_("No key signs the record. Set AUDIT_KEY_FILE to an Ed25519 key, then restart."))
    _introduce(key)
    newest = None
    while checkpoint := _sign_next(key):
        newest = checkpoint
    return newest


def _sign_next(key: Signer) -> Checkpoint | None:
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
        last = queries.last_checkpoint()
        first = last.number + 1 if last else 1
        digests = queries.digests(first, first + MOST_AT_ONCE - 1)
        if not digests:
            return None
        checkpoint = _signed(key, digests, first)
        checkpoint.save(force_insert=True)
        witnesses.tell_all(checkpoint)
    return checkpoint


def _introduce(key: Signer) -> None:
    """Record the public key before it signs for the first time; a change of keys stands in the chain."""
    if AuditEntry.objects.filter(action=KEY_ACTION, subject=key.key).exists():
        return
    with transaction.atomic():
        actor = Actor.portal("checkpoint")
        record(KEY_ACTION, actor=actor, subject=("key", key.key), after={"public_key": key.public})


def _signed(key: Signer, digests: list[str], first: int) -> Checkpoint:
    checkpoint = Checkpoint(
        number=first + len(digests) - 1,
        first=first,
        head=digests[-1],
        root=Tree(digests).root(),
        at=clock.now(),
        key=key.key,
    )
    checkpoint.signature = key.sign(statement(checkpoints.as_json(checkpoint)))
    return checkpoint
