"""Where checkpoints go that the portal cannot rewrite: to the auditors by mail, and into a log of its own.

A further place (a chat room, a Git repository) registers a function here; it is called in the transaction of
the checkpoint and lets the outbox carry what it says.
"""

import errno
import logging
import os
from collections.abc import Callable
from functools import partial
from io import FileIO
from pathlib import Path

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import override

from portal.audit import checkpoints
from portal.audit.models import Checkpoint
from portal.outbox.post import post

logger = logging.getLogger(__name__)
Witness = Callable[[Checkpoint], None]
WITNESSES: list[Witness] = []


def witness(tell: Witness) -> Witness:
    """Register a place that is told of every checkpoint."""
    WITNESSES.append(tell)
    return tell


def tell_all(checkpoint: Checkpoint) -> None:
    """Tell every place; called in the transaction of the checkpoint."""
    for tell in WITNESSES:
        tell(checkpoint)


@witness
def tell_auditors(checkpoint: Checkpoint) -> None:
    """Mail it to every auditor, whose mailbox the portal cannot change."""
    held = {"assignments__role": "auditor", "assignments__revoked_at": None}
    for user in get_user_model().objects.filter(is_active=True, **held).distinct().order_by("pk"):
        with override(user.language or settings.LANGUAGE_CODE):
            post(
                f"record.checkpoint.{checkpoint.number}:{user.username}",
                channel="mail" if user.email else "console",
                recipient=user.email or user.username,
                subject=_("Checkpoint of the record: entry {number}").format(number=checkpoint.number),
                body="\n\n".join(
                    [_("Keep this mail. It proves later what the record was now."), _line(checkpoint)]
                ),
                link="/audit/",
            )


@witness
def write_log(checkpoint: Checkpoint) -> None:
    """Append it to the log once it is committed; a restored older database does not bring the log back."""
    if settings.AUDIT_CHECKPOINT_LOG:
        transaction.on_commit(partial(_append, _line(checkpoint)))


def _line(checkpoint: Checkpoint) -> str:
    return checkpoints.line(checkpoint)


def _append(text: str) -> None:
    try:
        with Path(settings.AUDIT_CHECKPOINT_LOG).open("ab", buffering=0) as log:
            _write_whole(log, f"{text}\n".encode())
    except OSError:
        logger.exception("the checkpoint could not be written to AUDIT_CHECKPOINT_LOG")


def _write_whole(log: FileIO, line: bytes) -> None:
    """Write all of it or nothing: half a line would spoil the next one.

    Raises:
        OSError: there was no room.
    """
    end = log.tell()
    if log.write(line) < len(line):
        log.truncate(end)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
