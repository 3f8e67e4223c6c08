"""Preflight: no placeholder and nothing too short is left in the Secrets that the plan names.

Only where a plan asks, and only where the environment's own account may read them. No value is shown,
logged, recorded or kept: this step sees keys and codes (reference-systems.md 2).
"""

from collections.abc import Iterable

from portal.errors import PermanentError
from portal.integrations.kubernetes.secrets import ABSENT, SHORT, Fault, faults_of_secret
from releases.rollouts.steps.kind import Json, Outcome, Planned, StepKind, Verdict, Work, done, failed

FORBIDDEN = "forbidden"
SHOWN = 20
NOTHING = "–"


class SecretHygiene(StepKind):
    """Reads the Secrets once, and says which of their keys have no value yet."""

    name = "secret_hygiene"
    measures = True

    def plan(self, work: Work) -> Planned:
        """Name what is not set before anybody starts."""
        return Planned(error=self.observe(work).failure)

    def observe(self, work: Work) -> Outcome:
        """Look once; an account that may not read them gives no clear result."""
        found: list[tuple[str, Fault]] = []
        unread: list[str] = []
        for document in work.step.params["secrets"]:
            try:
                found += [(document["name"], fault) for fault in _faults(work, document)]
            except PermanentError as error:
                if error.code != FORBIDDEN:
                    raise
                unread.append(document["name"])
        if found:
            return failed("secrets_unset", args=_told(found))
        if unread:
            observed = {"code": "secrets_unread", "args": {"names": ", ".join(unread)}}
            return Outcome(verdict=Verdict.INCONCLUSIVE, observed=observed)
        return done("secrets_set", count=len(work.step.params["secrets"]))


def _faults(work: Work, document: Json) -> list[Fault]:
    found = faults_of_secret(
        work.cluster,
        work.environment.namespace,
        document["name"],
        least=document.get("minLengths") or {},
        ignored=document.get("ignore") or (),
    )
    return [Fault(key="", code=ABSENT)] if found is None else found


def _told(found: Iterable[tuple[str, Fault]]) -> Json:
    """The keys, by what is wrong with them."""
    by_code: dict[str, list[str]] = {"unset": [], SHORT: [], ABSENT: []}
    for secret, fault in found:
        name = f"{secret}/{fault.key}" if fault.key else secret
        wanted = f" (≥ {fault.least})" if fault.code == SHORT else ""
        by_code[fault.code if fault.code in by_code else "unset"].append(f"{name}{wanted}")
    return {code: ", ".join(names[:SHOWN]) or NOTHING for code, names in by_code.items()}
