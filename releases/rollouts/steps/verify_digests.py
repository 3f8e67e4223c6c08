"""Last: read back what truly runs and say "exactly these, nothing else", or name the difference."""

from releases.rollouts.states import Direction
from releases.rollouts.steps.kind import Outcome, StepKind, Verdict, Work
from releases.rollouts.verification import read_back


class VerifyDigests(StepKind):
    """Compares the nodes' digests with the approved content, or with the record after a rollback."""

    name = "verify_digests"
    measures = True

    def observe(self, work: Work) -> Outcome:
        """Compare; pods that are about to end get a moment."""
        found = read_back(work)
        if found["exact"]:
            back = work.step.direction == Direction.BACK
            observed = {
                "code": "exactly_before" if back else "exactly_these",
                "count": len(found["services"]),
            }
            return Outcome(verdict=Verdict.DONE, observed=observed, verdict_found=found)
        different = [each for each in found["services"] if not each["ok"]]
        names = ", ".join(each["service"] for each in different)
        return Outcome(
            verdict=Verdict.WAIT,
            observed={"code": "digests_differ", "args": {"services": names}, "different": different},
            verdict_found=found,
            wake_seconds=1.0,
        )
