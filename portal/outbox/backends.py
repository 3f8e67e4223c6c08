"""The ways out: one function for each channel. They raise TemporaryError to be tried again."""

import logging
import smtplib
from collections.abc import Callable
from email.utils import parseaddr
from hashlib import sha256

from django.conf import settings
from django.core.mail import EmailMessage
from django.utils.translation import gettext_lazy as _

from portal.errors import PermanentError, TemporaryError
from portal.outbox.models import Message

logger = logging.getLogger(__name__)
BACKENDS: dict[str, Callable[[Message], None]] = {}


def backend(channel: str) -> Callable[[Callable[[Message], None]], Callable[[Message], None]]:
    """Register the function that carries a channel's messages."""

    def register(function: Callable[[Message], None]) -> Callable[[Message], None]:
        BACKENDS[channel] = function
        return function

    return register


def carry(message: Message) -> None:
    """Hand a message to its channel.

    Raises:
        TemporaryError: it may be tried again.
        PermanentError: it can never leave as it is.
    """
    function = BACKENDS.get(message.channel)
    if function is None:
        raise PermanentError(_("There is no channel {name}.").format(name=message.channel))
    function(message)


@backend("console")
def to_console(message: Message) -> None:
    """Write it where the process writes: for trying out."""
    logger.info("to %s: %s\n%s\n%s", message.recipient, message.subject, message.body, link_of(message))


@backend("mail")
def by_mail(message: Message) -> None:
    """Send a mail whose identity follows from the key, so that mail systems see a repetition as one."""
    if "@" not in parseaddr(message.recipient)[1]:
        raise PermanentError(_("{address} is no mail address.").format(address=message.recipient))
    identity = f"<{sha256(message.key.encode()).hexdigest()[:32]}@release-portal>"
    mail = EmailMessage(
        subject=" ".join(message.subject.split()),
        body="\n\n".join(part for part in (message.body, link_of(message)) if part),
        to=[message.recipient],
        headers={"Message-ID": identity, "Auto-Submitted": "auto-generated"},
    )
    try:
        mail.send()
    except (smtplib.SMTPRecipientsRefused, smtplib.SMTPSenderRefused) as error:
        raise _refusal(error) from error
    except (smtplib.SMTPException, OSError) as error:
        raise TemporaryError(str(error)) from error


def link_of(message: Message) -> str:
    """The address a person can open; "" without one."""
    if not message.link or "://" in message.link:
        return message.link
    return f"{settings.PUBLIC_URL}/{message.link.lstrip('/')}"


def _refusal(error: smtplib.SMTPRecipientsRefused | smtplib.SMTPSenderRefused) -> Exception:
    """Codes from 500 on are final, those below (greylisting, full boxes) are not (RFC 5321, 4.2.1)."""
    if isinstance(error, smtplib.SMTPSenderRefused):
        codes = [error.smtp_code]
    else:
        codes = [code for code, _text in error.recipients.values()]
    return PermanentError(str(error)) if min(codes, default=500) >= 500 else TemporaryError(str(error))
