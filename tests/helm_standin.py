"""A stand-in for the helm program, for tests that have no Go: it knows what the portal asks, nothing else.

Copied beside its state and started as a program of its own. Strict about commands and flags; renders nothing
but `{{ .Values.a.b }}`, keeps revisions in a file, sends objects by merge patches as Helm 3 does, and never
sees a hook end. Where a file says so it lets the server apply, as Helm 4 does. The real programs are tested
below tests/cluster.
"""

import argparse
import base64
import json
import os
import re
import ssl
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, NoReturn

import yaml

Json = dict[str, Any]
STATE = Path(__file__).with_name("state.json")
ON_SERVER = Path(__file__).with_name("on-server")
VERSION = "v3.22.0"
PLURALS = {
    "Deployment": "apis/apps/v1/namespaces/{}/deployments",
    "StatefulSet": "apis/apps/v1/namespaces/{}/statefulsets",
    "Service": "api/v1/namespaces/{}/services",
    "ConfigMap": "api/v1/namespaces/{}/configmaps",
    "Secret": "api/v1/namespaces/{}/secrets",
    "HorizontalPodAutoscaler": "apis/autoscaling/v2/namespaces/{}/horizontalpodautoscalers",
}
STATES = ("deployed", "failed", "pending", "superseded", "uninstalling", "uninstalled")


def main() -> None:
    """Do what the command line says."""
    given = _parsed()
    if given.command == "version":
        _say(VERSION)
    elif given.command in {"lint", "template"}:
        found = _render(given)
        _say(found if given.command == "template" else "")
    else:
        {"upgrade": upgrade, "history": history, "list": listed, "get": get, "rollback": rollback}[
            given.command
        ](given)


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True)

    def command(name: str, *arguments: str, **flags: Any) -> argparse.ArgumentParser:
        made = commands.add_parser(name, allow_abbrev=False)
        for each in arguments:
            made.add_argument(each)
        for flag, options in flags.items():
            made.add_argument(f"--{flag.replace('_', '-')}", **options)
        return made

    text: Json = {"default": ""}
    number: Json = {"type": int, "default": 0}
    place: Json = {"required": True}
    json_only: Json = {"choices": ["json"], "required": True}
    command("version", template={"choices": ["{{.Version}}"]})
    command("lint", "chart", values=place, namespace=place)
    command("template", "release", "chart", values=place, namespace=place)
    command("history", "release", max=number, output=json_only, namespace=place)
    force: Json = {"action": "store_true"}
    command("rollback", "release", "revision", timeout=place, namespace=place, force_conflicts=force)
    command("get", "what", "release", revision=number, output=text, namespace=place)
    switches: Json = {state: {"action": "store_true"} for state in STATES}
    command("list", filter=place, selector=place, output=json_only, namespace=place, **switches)
    command(
        "upgrade",
        "release",
        "chart",
        install={"action": "store_true", "required": True},
        values=place,
        namespace=place,
        output=json_only,
        dry_run={"choices": ["server"]},
        labels=text,
        description=text,
        timeout=text,
        force_conflicts=force,
    )
    return parser.parse_args()


def upgrade(given: argparse.Namespace) -> None:
    """Write a revision and send its objects."""
    rows = _rows(given.release)
    manifest = _render(given)
    objects = [each for each in yaml.safe_load_all(manifest) if each]
    if rows and rows[-1]["status"].startswith("pending"):
        _fail("UPGRADE FAILED: another operation (install/upgrade/rollback) is in progress")
    for each in objects:
        if each["kind"] not in PLURALS and not _is_hook(each):
            _fail(f'unable to build kubernetes objects: no matches for kind "{each["kind"]}" in version "x"')
    kept = yaml.safe_dump_all([each for each in objects if not _is_hook(each)])
    hooks = [{"manifest": yaml.safe_dump(each)} for each in objects if _is_hook(each)]
    if given.dry_run:
        _say({"manifest": kept, "hooks": hooks, "version": len(rows) + 1, "apply_method": _apply_method()})
        return
    marks = dict(each.split("=") for each in given.labels.split(","))
    row = {
        "revision": len(rows) + 1,
        "status": "pending-upgrade",
        "description": "Preparing upgrade",
        "manifest": kept,
        "values": json.loads(Path(given.values).read_text()),
        "labels": {**(rows[-1]["labels"] if rows else {}), **marks},
    }
    _keep(given.release, [*rows, row])
    if hooks:
        time.sleep(int(given.timeout.removesuffix("s")))
        _end(given.release, [*rows, row], "failed", "pre-upgrade hooks failed: timed out")
    _send(given, [*rows, row], given.description)
    _say({"version": row["revision"], "info": {"status": "deployed", "description": given.description}})


def rollback(given: argparse.Namespace) -> None:
    """Write a revision with what an earlier one wrote."""
    rows = _rows(given.release)
    old = next((each for each in rows if str(each["revision"]) == given.revision), None)
    if old is None:
        _fail("release: not found")
    row = {**old, "revision": len(rows) + 1, "status": "pending-rollback"}
    _send(given, [*rows, row], f"Rollback to {given.revision}")
    _say("Rollback was a success! Happy Helming!")


def history(given: argparse.Namespace) -> None:
    """All revisions."""
    rows = _rows(given.release)
    if not rows:
        _fail("release: not found")
    names = ("revision", "status", "description")
    _say([{**{name: row[name] for name in names}, "chart": "standin-1.0.0"} for row in rows])


def listed(given: argparse.Namespace) -> None:
    """The newest revision, if it carries the labels."""
    found = []
    for name, rows in _state().items():
        wanted = dict(each.split("=") for each in given.selector.split(","))
        if re.search(given.filter, name) and rows and wanted.items() <= rows[-1]["labels"].items():
            found.append({"name": name, "revision": str(rows[-1]["revision"]), "status": rows[-1]["status"]})
    _say(found)


def get(given: argparse.Namespace) -> None:
    """What a revision wrote, or was given."""
    rows = [each for each in _rows(given.release) if given.revision in {0, each["revision"]}]
    if not rows:
        _fail("release: not found")
    _say({"applyMethod": _apply_method()} if given.what == "metadata" else rows[-1][given.what])


def _apply_method() -> str:
    return "ssa" if ON_SERVER.exists() else "csa"


def _render(given: argparse.Namespace) -> str:
    values = json.loads(Path(given.values).read_text())
    texts = [path.read_text() for path in sorted(Path(given.chart, "templates").glob("*.yaml"))]
    return re.sub(
        r"\{\{ \.Values\.([\w.]+) \}\}", lambda found: _value(values, found[1]), "\n---\n".join(texts)
    )


def _value(values: Json, path: str) -> str:
    found: Any = values
    for part in path.split("."):
        if not isinstance(found, dict) or part not in found:
            _fail(f"execution error at (templates): {path} is required")
        found = found[part]
    return str(found)


def _send(given: argparse.Namespace, rows: list[Json], description: str) -> None:
    release = given.release
    if given.force_conflicts and not ON_SERVER.exists():
        _fail("invalid client update option(s): forceConflicts enabled when serverSideApply disabled")
    try:
        last = {_name(each): each for each in yaml.safe_load_all(rows[-2]["manifest"])} if rows[1:] else {}
        for each in yaml.safe_load_all(rows[-1]["manifest"]):
            if ON_SERVER.exists():
                _apply_on_server(each, given)
                continue
            _apply(_patch(last.get(_name(each), {}), each), each, given.namespace, release)
    except urllib.error.HTTPError as error:
        words = json.loads(error.read()).get("message", "")
        _end(release, rows, "failed", f'{given.command.capitalize()} "{release}" failed: {words}')
    earlier = [{**row, "status": "superseded"} if row["status"] == "deployed" else row for row in rows[:-1]]
    _keep(release, [*earlier, {**rows[-1], "status": "deployed", "description": description}])


def _end(release: str, rows: list[Json], status: str, description: str) -> NoReturn:
    _keep(release, [*rows[:-1], {**rows[-1], "status": status, "description": description}])
    _fail(f"UPGRADE FAILED: {description}")


def _name(found: Json) -> tuple[str, str]:
    return found["kind"], found["metadata"]["name"]


def _patch(old: Any, new: Any) -> Any:
    """What a merge patch must say so that what the last revision had, and this one has not, goes."""
    if not isinstance(old, dict) or not isinstance(new, dict):
        return new
    return {key: _patch(old.get(key), new[key]) if key in new else None for key in {*old, *new}}


def _apply(patch: Json, found: Json, namespace: str, release: str) -> None:
    path = PLURALS[found["kind"]].format(namespace)
    for each in (patch, found):
        each["metadata"].setdefault("annotations", {})["meta.helm.sh/release-name"] = release
    try:
        _ask("PATCH", f"{path}/{found['metadata']['name']}", patch)
    except urllib.error.HTTPError as error:
        if error.code != 404:
            raise
        _ask("POST", path, found)


def _apply_on_server(found: Json, given: argparse.Namespace) -> None:
    found["metadata"].setdefault("annotations", {})["meta.helm.sh/release-name"] = given.release
    path = f"{PLURALS[found['kind']].format(given.namespace)}/{found['metadata']['name']}"
    force = str(given.force_conflicts).lower()
    _ask("PATCH", path, found, query=f"&force={force}", kind="application/apply-patch+yaml")


def _ask(
    method: str, path: str, body: Json, *, query: str = "", kind: str = "application/merge-patch+json"
) -> None:
    config = json.loads(Path(os.environ["KUBECONFIG"]).read_text())
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    context = ssl.create_default_context(
        cadata=base64.b64decode(cluster.get("certificate-authority-data", "")).decode() or None
    )
    kind = kind if method == "PATCH" else "application/json"
    request = urllib.request.Request(
        f"{cluster['server']}/{path}?fieldManager=helm{query}",
        data=json.dumps(body).encode(),
        method=method,
        headers={"Content-Type": kind, "Authorization": f"Bearer {user.get('token', '')}"},
    )
    if user.get("client-certificate-data"):
        for name in ("client-certificate-data", "client-key-data"):
            Path(name).write_bytes(base64.b64decode(user[name]))
        context.load_cert_chain("client-certificate-data", "client-key-data")
    secure = cluster["server"].startswith("https")
    urllib.request.urlopen(request, context=context if secure else None, timeout=10).close()


def _is_hook(found: Json) -> bool:
    return "helm.sh/hook" in (found["metadata"].get("annotations") or {})


def _state() -> dict[str, list[Json]]:
    found: dict[str, list[Json]] = json.loads(STATE.read_text()) if STATE.exists() else {}
    return found


def _rows(release: str) -> list[Json]:
    return _state().get(release, [])


def _keep(release: str, rows: list[Json]) -> None:
    STATE.write_text(json.dumps({**_state(), release: rows}))


def _say(found: Any) -> None:
    sys.stdout.write(found if isinstance(found, str) else json.dumps(found))


def _fail(words: str) -> NoReturn:
    sys.stderr.write(f"Error: {words}\n")
    sys.exit(1)


if __name__ == "__main__":
    main()
