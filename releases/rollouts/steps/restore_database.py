"""Restores a service's database from a named backup, and compares what is there then with the backup."""

from releases.catalog.counts import count_in
from releases.rollouts.steps.kind import Json, Outcome, Verdict, Work, done, failed
from releases.rollouts.steps.run_job import RunJob


class RestoreDatabase(RunJob):
    """A Job of the purpose `restore`, told the backup's name; its rows must be the backup's.

    What it says as JSON in its last message counts: `rows` after the restore, `rowsBefore` before it.
    """

    name = "restore_database"

    def variables(self, work: Work) -> dict[str, str]:
        """Return the name of the backup."""
        return {"PORTAL_BACKUP": str(work.step.params["backup"])}

    def succeeded(self, work: Work, name: str, report: Json) -> Outcome:
        """Compare the rows; what cannot be compared, a person looks at."""
        rows, expected = count_in(report, "rows"), work.step.params.get("rows")
        if rows is None:
            return Outcome(verdict=Verdict.ERRORED, failure={"code": "rows_unsaid"})
        args = {"rows": rows, "expected": expected}
        if expected is None:
            return Outcome(verdict=Verdict.INCONCLUSIVE, failure={"code": "rows_uncompared", "args": args})
        if rows != expected:
            return failed("rows_differ", args=args)
        before = count_in(report, "rowsBefore")
        told = {"name": work.step.params["backup"], "rows": rows, "before": "–" if before is None else before}
        return done("database_restored", args=told, job=name)
