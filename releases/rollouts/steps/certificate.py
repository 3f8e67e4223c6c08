"""Whether a TLS endpoint shows a certificate that is trusted, for the right name, and not about to end."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from portal import clock
from portal.errors import TemporaryError
from portal.integrations.tls.client import Shown, shown_certificate
from portal.sentences import kept
from releases.catalog.outbound import allowed
from releases.catalog.references import value_of
from releases.rollouts.steps.health import address_of_service
from releases.rollouts.steps.kind import Json, Outcome, Planned, StepKind, Work, done, failed, wait

ASK_SECONDS = 2.0
ANSWER_SECONDS = 5.0
HTTPS = 443
# What is left of a certificate that is renewed by itself is rarely less.
MIN_DAYS = 14


class Certificate(StepKind):
    """Shakes hands with a host, or with a Kubernetes Service, and reads the certificate."""

    name = "certificate"
    measures = True

    def plan(self, work: Work) -> Planned:
        """Name what is wrong with it before anybody starts."""
        return Planned(error=self.observe(work).failure)

    def observe(self, work: Work) -> Outcome:
        """Look once; who does not answer is asked again until the step's time is over."""
        params = work.step.params
        host, port, addresses = _place(work)
        name = str(params.get("serverName") or host)
        authority = params.get("authorityRef")
        try:
            shown = shown_certificate(
                addresses[0] if addresses else host,
                port,
                server_name=name,
                timeout_seconds=ANSWER_SECONDS,
                allow=allowed(work.environment, addresses=addresses),
                authority=value_of(authority) if authority else "",
            )
        except TemporaryError as error:
            args = {"message": kept(error.detail)}
            return wait("no_answer", seconds=ASK_SECONDS, args=args, unmeasured=True)
        return judge(shown, name=name, least=int(params.get("minDays", MIN_DAYS)), now=clock.now())


def judge(shown: Shown, *, name: str, least: int, now: datetime) -> Outcome:
    """Say what is wrong with a certificate, the plainest first.

    Args:
        name: for which it must be.
        least: so many days it must go on.
    """
    args: Json = {
        "host": name,
        "subject": shown.subject or shown.names,
        "issuer": shown.issuer,
        "since": shown.begins.date().isoformat(),
        "until": shown.ends.date().isoformat(),
        "days": (shown.ends - now).days,
        "least": least,
    }
    told = f"{args['subject']} ({shown.issuer})"
    if now >= shown.ends:
        return failed("certificate_ended", told, args=args)
    if now < shown.begins:
        return failed("certificate_early", told, args=args)
    if shown.fits is False:
        return failed("certificate_other_name", shown.names or told, args=args)
    if shown.doubt:
        return failed("certificate_untrusted", f"{shown.doubt}: {told}", args=args)
    if args["days"] < least:
        return failed("certificate_ends", told, args=args)
    return done("certificate_good", args=args)


def _place(work: Work) -> tuple[str, int, tuple[str, ...]]:
    """The name and port to ask, and the address where the cluster named it."""
    params: Mapping[str, Any] = work.step.params
    port = int(params.get("port", HTTPS))
    if "host" in params:
        return str(params["host"]), port, ()
    _service, address = address_of_service(work, str(params["service"]))
    return f"{params['service']}.{work.environment.namespace}.svc", port, (address,)
