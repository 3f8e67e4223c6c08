"""Last: read back what truly runs and say "exactly these, nothing else", or name the difference."""

from releases.rollouts.states import Direction
from releases.rollouts.steps.kind import Outcome, StepKind, Verdict, Work
from releases.rollouts.verification import read_back

# By whether it went back, and whether something was skipped.
CODES = {
    (False, False): "exactly_these",
    (False, True): "exactly_these_but",
    (True, False): "exactly_before",
    (True, True): "exactly_before_but",
}


class VerifyDigests(StepKind):
    """Compares the nodes' digests with the approved content, or with the record after a rollback."""

    name = "verify_digests"
    measures = True

    def observe(self, work: Work) -> Outcome:
        """Compare; pods that are about to end get a moment, what was skipped is named."""
        found = read_back(work)
        different = [each for each in found["services"] if not each["ok"]]
        # Who skipped a service has decided that it stays as it is: it is named, and waited for no more.
        others = [each for each in different if not each.get("skipped")]
        names = ", ".join(dict.fromkeys(each["service"] for each in others or different))
        if others:
            return Outcome(
                verdict=Verdict.WAIT,
                observed={"code": "digests_differ", "args": {"services": names}, "different": different},
                verdict_found=found,
                wake_seconds=1.0,
            )
        back = work.step.direction == Direction.BACK
        observed = {"code": CODES[back, bool(different)], "count": len(found["services"])}
        args = {"args": {"services": names}} if different else {}
        return Outcome(verdict=Verdict.DONE, observed={**observed, **args}, verdict_found=found)
