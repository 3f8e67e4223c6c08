"""Before Helm changes anything: the revision that is deployed, its values and manifest, kept by the portal.

Helm's own history is what a rollback goes back to; what is kept here stays after Helm has dropped it. The
values of Secrets are in neither.
"""

import re
from typing import Any

from portal.integrations.helm import manifests
from portal.integrations.helm.client import PENDING
from releases.rollouts.steps.helm import helm_of, release_of, went_out
from releases.rollouts.steps.kind import Json, Outcome, StepKind, Verdict, Work, failed

MOST_CHARACTERS = 200_000
SECRET_KEY = re.compile(r"pass|secret|token|credential|private|apikey|api_key|accesskey", re.IGNORECASE)


class HelmBackup(StepKind):
    """Reads what Helm has deployed, and keeps it with the step. Skipping it takes a reason."""

    name = "helm_backup"

    def observe(self, work: Work) -> Outcome:
        """Keep the newest revision, and what the last one that went out wrote."""
        helm, release = helm_of(work), release_of(work)
        history = helm.history(release)
        if not history:
            return Outcome(
                verdict=Verdict.DONE, observed={"code": "helm_none_before"}, before={"revision": 0}
            )
        newest = history[-1]
        if newest.is_pending:
            return failed(PENDING, args={"revision": newest.number, "status": newest.status})
        revision = went_out(history)
        before = {"revision": newest.number, "return_to": revision, "chart": newest.chart}
        if revision:
            found = manifests.objects(helm.manifest(release, revision=revision))
            before["manifest"] = manifests.dumped(found)[:MOST_CHARACTERS]
            before["values"] = hidden(helm.values(release, revision=revision))
        observed = {"code": "helm_backed_up", "args": {"revision": newest.number}}
        return Outcome(verdict=Verdict.DONE, observed=observed, before=before)


def hidden(values: Json) -> Json:
    """Return values without what their names say is a secret."""
    return {key: _hidden(key, value) for key, value in values.items()}


def _hidden(key: str, value: Any) -> Any:
    if isinstance(value, dict):
        return hidden(value)
    if isinstance(value, list):
        return [_hidden(key, each) for each in value]
    return manifests.HIDDEN if value and SECRET_KEY.search(key) else value
