"""One look of a kind that measures, judged: a good or bad one counts, a place out of reach is neither.

(product.md, "Failed, errored and inconclusive are three things".)
"""

from typing import Any

from portal.errors import PermanentError, TemporaryError
from portal.integrations.kubernetes.errors import MISSING
from portal.sentences import kept
from releases.gates import Seen
from releases.models import GateResult
from releases.rollouts.steps.kind import Json, Outcome, StepKind, Verdict, Work, failed

RESULTS = {
    Verdict.DONE: GateResult.PASSED,
    Verdict.FAILED: GateResult.BREACHED,
    # A step would go on looking until its time is over; here each look is a measurement.
    Verdict.WAIT: GateResult.BREACHED,
    Verdict.ERRORED: GateResult.ERRORED,
    Verdict.INCONCLUSIVE: GateResult.INCONCLUSIVE,
    Verdict.HOLD: GateResult.INCONCLUSIVE,
}

# There was nothing to measure.
UNCLEAR = frozenset({"no_health_known", "log_no_pods"})


def look(kind: StepKind, work: Work) -> Seen:
    """Look once, and judge."""
    try:
        return judged(kind.measure(work))
    except TemporaryError as error:
        observed: Json = {"code": error.code, "args": {"message": kept(error.detail)}}
        return Seen(result=GateResult.ERRORED, observed=observed)
    except PermanentError as error:
        return judged(refused(error))


def refused(error: PermanentError, **more: Any) -> Outcome:
    """What a look came to that was refused: what is not there is measured, what may not be seen is not.

    Args:
        more: what the failure says besides, where it was not measured.
    """
    words = kept(error.detail)
    if error.code == MISSING:
        return failed(error.code, words)
    failure = {"code": error.code, "message": words, **more}
    return Outcome(verdict=Verdict.ERRORED, failure=failure)


def judged(outcome: Outcome) -> Seen:
    """What an outcome says as a measurement."""
    result = RESULTS[outcome.verdict]
    if outcome.observed.get("unmeasured"):
        result = GateResult.ERRORED
    elif outcome.observed.get("code") in UNCLEAR:
        result = GateResult.INCONCLUSIVE
    return Seen(result=result, observed={"failure": outcome.failure} if outcome.failure else outcome.observed)
