"""What the portal changed in a real cluster, as the API server itself noted it."""

import json
from pathlib import Path

from tests.cluster.api import Json

# As whom the portal comes: the account with its rights only (rights.py).
USER = "portal"
WRITES = ("create", "update", "patch", "delete", "deletecollection")
# Whole answers, of its writes alone: a test run reads much.
POLICY: Json = {
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "RequestResponse", "users": [USER], "verbs": list(WRITES)}, {"level": "None"}],
}


def effective(log: Path, *, namespace: str) -> dict[str, int]:
    """Return by path how often an object was changed; dry runs and writes that changed nothing left out.

    Raises:
        ValueError: a line is not whole.
    """
    versions: dict[str, set[str]] = {}
    for line in log.read_text().splitlines():
        entry = json.loads(line)
        path, _, query = entry["requestURI"].partition("?")
        if entry["objectRef"].get("namespace") != namespace or "dryRun" in query:
            continue
        if entry["responseStatus"]["code"] < 300:
            version = entry["responseObject"].get("metadata", {}).get("resourceVersion")
            versions.setdefault(path, set()).add(str(version))
    return {path: len(seen) for path, seen in versions.items()}
