"""Verifying the chain, and signing its head."""

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any

from django.db import connection, transaction
from django.utils.translation import gettext as _

from portal import clock
from portal.actors import Actor
from portal.audit import checkpoints, queries, witnesses
from portal.audit.chain import Walk
from portal.audit.keys import Signer, signer
from portal.audit.models import ChainCheck, Checkpoint, Verification
from portal.audit.record import record
from portal.audit.verifier import KEY_ACTION, Result, Tree, statement
from portal.errors import Conflict
from portal.jobs import enqueue

logger = logging.getLogger(__name__)
# Locks beside the chain's own, migration 0002.
SIGNING, VERIFYING = 2026112102, 2026112103
PIECE_JOB = "portal.audit.jobs.verify_piece"
# What a worker does at once: rollouts wait behind it for less than a second.
PIECE = 10_000
# How often the command line is told how far it is.
AT_ONCE = 5_000
# After so long without a word a piece is asked for again.
LOST = timedelta(seconds=15)
# Told of a verification's every piece, in its transaction; each returns the number of the event it made.
FOLLOWERS: list[Callable[[Verification], int]] = []
EVERY = timedelta(hours=1)
MOST_UNSIGNED = 1000
MOST_AT_ONCE = 50_000  # what one checkpoint covers, so that a late first one needs little memory


def verify_chain(
    received: Iterable[Mapping[str, Any]] = (), *, progress: Callable[[Result], None] | None = None
) -> Result:
    """Check the whole chain here and now, and keep the result.

    Args:
        received: checkpoints that came back from outside, such as those of a saved mail.
        progress: told now and then how far it is.
    """
    walk = Walk(received)
    while not walk.go(AT_ONCE):
        if progress is not None:
            progress(walk.result)
    _keep(walk.result)
    return walk.result


def start_verification(asked_by: str) -> Verification:
    """Let the workers verify the whole chain; where they do so already, join that.

    Reading is all that it does to the record, so that an auditor may ask for it: the row is the portal's own.

    Args:
        asked_by: an account's name, "" for the portal.
    """
    with transaction.atomic():
        # Two presses at once are one.
        _lock(VERIFYING)
        found = queries.running()
        if found is None:
            now = clock.now()
            found = Verification.objects.create(
                asked_by=asked_by, begun_at=now, seen_at=now, total=queries.count_to_verify()
            )
            enqueue(PIECE_JOB, found.pk)
            _save_and_tell(found)
    return found


def verify_piece(verification_id: int) -> None:
    """Take the next piece of a verification; the first to have it done writes it down and asks for the next.

    May be called twice or die at any point: what is not written down is walked again.
    """
    row = Verification.objects.filter(pk=verification_id, running=True).first()
    if row is None:
        return
    begun = time.monotonic()
    walk = Walk(so_far=row.so_far)
    is_over = walk.go(PIECE)
    with transaction.atomic():
        mine = Verification.objects.select_for_update().filter(pk=row.pk, running=True, pieces=row.pieces)
        locked = mine.first()
        if locked is None:
            return
        _note(locked, walk, seconds=time.monotonic() - begun, is_over=is_over)
        if not is_over:
            enqueue(PIECE_JOB, locked.pk)


def go_on_verifying() -> None:
    """Ask again for the next piece where nobody has taken it for a while."""
    row = queries.running()
    if row is not None and row.seen_at <= clock.now() - LOST:
        enqueue(PIECE_JOB, row.pk)


def _note(row: Verification, walk: Walk, *, seconds: float, is_over: bool) -> None:
    row.entries, row.pieces, row.seen_at = walk.result.entries, row.pieces + 1, clock.now()
    row.total = max(row.total, row.entries)
    row.seconds += seconds
    row.so_far = None if is_over else walk.as_json()
    if is_over:
        row.running, row.check_made = False, _keep(walk.result)
    _save_and_tell(row)


def _save_and_tell(row: Verification) -> None:
    row.told = max((tell(row) for tell in FOLLOWERS), default=0)
    row.save()


def _keep(result: Result) -> ChainCheck:
    """Keep what was found; a fault is logged as well."""
    fault = result.fault
    if fault:
        logger.critical("the record is broken at entry %s: %s", fault.number, fault.kind)
    return ChainCheck.objects.create(
        at=clock.now(),
        entries=result.entries,
        head=result.head,
        checkpoints=result.checkpoints,
        signed=result.signed,
        removed=result.removed,
        broken_at=fault.number if fault else None,
        fault=fault.kind if fault else "",
        code=fault.code if fault else "",
        values=dict(fault.values) if fault else {},
    )


def lock_signing() -> None:
    """Let nobody sign until this transaction ends."""
    _lock(SIGNING)


def _lock(key: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [key])


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
        _lock(SIGNING)
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
    if queries.entries(queries.Search(action=KEY_ACTION, subject=key.key)).exists():
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
