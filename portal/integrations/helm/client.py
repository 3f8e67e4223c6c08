"""Calls to helm: typed in, small out, and errors that say what to do (protocols.md, D).

Understands Helm 3 from 3.13 on, and Helm 4. Nothing here waits for pods: the portal watches them itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from django.utils.translation import gettext_lazy as _

from portal.errors import PermanentError, TemporaryError
from portal.integrations.answers import read_json, storable
from portal.integrations.helm.charts import Chart
from portal.integrations.helm.process import Finished, no_beat, run
from portal.integrations.kubernetes.connection import Access
from portal.integrations.kubernetes.errors import UNREACHABLE
from portal.masking import masked
from portal.sentences import sentence

Json = dict[str, Any]

OLDEST = (3, 13)
LOOK_SECONDS = 30.0
# What helm itself waits for are hooks; the process is ended somewhat later than helm should end by itself.
MARGIN_SECONDS = 10
MOST_WORDS = 2_000
PENDING, BUSY = "helm_pending", "helm_busy"
FAILED = "helm_failed"
CONFLICT = "helm_conflict"
# How Helm 4 notes a release that the server applies; it patches what Helm 3 installed.
ON_SERVER = "ssa"
NOT_RENDERED = "helm_does_not_render"
# What helm says, and the code under which the portal says what to do.
CODES = (
    (re.compile(r"another operation .* in progress"), BUSY),
    (re.compile(r"no matches for kind|resource mapping not found"), "helm_unknown_kind"),
    (re.compile(r"is forbidden: User"), "forbidden"),
    (re.compile(r"invalid ownership metadata|cannot be imported into the current release"), "helm_not_owned"),
    (re.compile(r"Unauthorized|must be logged in"), "unauthorized"),
    (re.compile(r"conflict occurred while applying object|Apply failed with \d+ conflict"), CONFLICT),
    (
        re.compile(r"execution error at|parse error at|error calling|values don't meet|YAML parse"),
        NOT_RENDERED,
    ),
)
AWAY = re.compile(
    r"cluster unreachable|connection refused|no such host|i/o timeout|TLS handshake timeout|"
    r"connection reset|context deadline exceeded|EOF$|timed out|too many requests|currently unable",
    re.IGNORECASE,
)
NO_RELEASE = re.compile(r"release: not found")


@dataclass(frozen=True, kw_only=True)
class Revision:
    """One entry of a release's history; `status` is deployed, superseded, failed, pending-upgrade, …"""

    number: int
    status: str
    chart: str
    description: str

    @property
    def is_pending(self) -> bool:
        """Whether an operation began that has not ended, or whose helm was killed."""
        return self.status.startswith("pending-") or self.status == "uninstalling"


@dataclass(frozen=True, kw_only=True)
class Draft:
    """What an upgrade would write.

    Attributes:
        text: its objects, and its hooks after them.
        on_server: whether the server applies them, which Helm 4 does for what it installed: then fields that
            somebody else has written are not overwritten.
    """

    text: str
    on_server: bool = False


@dataclass(frozen=True, kw_only=True)
class Charted:
    """What is released: a chart, under a name, with values."""

    release: str
    chart: Chart
    values: Mapping[str, Any]

    @property
    def files(self) -> dict[str, bytes]:
        """The files that helm is started beside; values are JSON, which is YAML as well."""
        return {**self.chart.below("chart"), "values.json": json.dumps(self.values).encode()}


@dataclass(frozen=True, kw_only=True)
class Helm:
    """The helm program, for one namespace of one cluster.

    Attributes:
        beat: called about once a second while helm runs; what it raises ends helm.
        takes_fields: whether Helm 4 may take fields that somebody else has written.
    """

    binary: str
    access: Access
    namespace: str
    beat: Callable[[], None] = no_beat
    takes_fields: bool = False

    @property
    def field_manager(self) -> str:
        """As whom Helm 4 applies: by the name of its program."""
        return PurePath(self.binary).name

    def lint(self, charted: Charted) -> None:
        """Let helm look at a chart with its values, without a cluster.

        Raises:
            PermanentError: with code "helm_does_not_render" and what helm found.
        """
        self._render("lint", "chart", "--values", "values.json", charted=charted)

    def template(self, charted: Charted) -> str:
        """Render without a cluster.

        Raises:
            PermanentError: with code "helm_does_not_render" and helm's words.
        """
        return self._render("template", charted.release, "chart", "--values", "values.json", charted=charted)

    def dry_run(self, charted: Charted) -> Draft:
        """Return what an upgrade would write now, as the cluster checked it.

        Raises:
            PermanentError: in helm's words; the code says which kind of trouble.
            TemporaryError: the cluster does not answer.
        """
        answer = self._ask(*_upgrading(charted), "--dry-run=server", "--output", "json", charted=charted)
        body = _read(answer, dict)
        hooks = [str(each.get("manifest") or "") for each in body.get("hooks") or []]
        text = "\n---\n".join([str(body.get("manifest") or ""), *hooks])
        return Draft(text=text, on_server=body.get("apply_method") == ON_SERVER)

    def history(self, release: str) -> list[Revision]:
        """Return what is known of a release, the newest last; empty where there is none of that name."""
        try:
            answer = self._ask("history", release, "--max", "20", "--output", "json")
        except PermanentError as error:
            if NO_RELEASE.search(str(error.detail)):
                return []
            raise
        rows = [_revision(each) for each in _read(answer, list)]
        return sorted(rows, key=lambda each: each.number)

    def is_marked(self, release: str, labels: Mapping[str, str]) -> bool:
        """Whether the newest revision of a release carries labels, whatever has become of it."""
        states = ("--deployed", "--failed", "--pending", "--superseded", "--uninstalling", "--uninstalled")
        selector = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
        answer = self._ask(
            "list", "--filter", f"^{release}$", "--selector", selector, *states, "--output", "json"
        )
        return bool(_read(answer, list))

    def manifest(self, release: str, *, revision: int = 0) -> str:
        """Return what a revision wrote, of the newest by default."""
        return self._ask("get", "manifest", release, *_of(revision))

    def values(self, release: str, *, revision: int = 0) -> Json:
        """Return the values that a revision was given."""
        answer = self._ask("get", "values", release, "--output", "json", *_of(revision))
        return _read(answer, dict) if answer.strip() not in {"", "null"} else {}

    def upgrade(
        self,
        charted: Charted,
        *,
        labels: Mapping[str, str],
        description: str,
        seconds: int,
        on_server: bool | None = None,
    ) -> Revision:
        """Write a new revision and send its objects; hooks are waited for, pods are not.

        Args:
            labels: by which a second start finds this revision, also when helm was killed meanwhile.
            seconds: what hooks may take.
            on_server: whether the server applies it, where a dry run has said so.

        Raises:
            PermanentError: helm refused or failed, in its own words.
            TemporaryError: the cluster did not answer, or helm took too long and was ended.
        """
        marks = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
        told = ["--labels", marks, "--description", description, "--timeout", f"{seconds}s"]
        told += self._taking(charted.release, on_server=on_server)
        answer = self._ask(
            *_upgrading(charted), *told, "--output", "json", charted=charted, seconds=seconds + MARGIN_SECONDS
        )
        body = _read(answer, dict)
        info = body.get("info") or {}
        return Revision(
            number=int(body["version"]),
            status=str(info.get("status", "")),
            chart=charted.chart.name,
            description=str(info.get("description", "")),
        )

    def rollback(self, release: str, *, revision: int, seconds: int) -> None:
        """Write a new revision with what an earlier one wrote.

        Raises:
            PermanentError: helm refused or failed, in its own words.
            TemporaryError: as `upgrade`.
        """
        arguments = ("rollback", release, str(revision), "--timeout", f"{seconds}s")
        self._ask(*arguments, *self._taking(release, revision=revision), seconds=seconds + MARGIN_SECONDS)

    def _taking(self, release: str, *, revision: int = 0, on_server: bool | None = None) -> tuple[str, ...]:
        """The flag that takes fields from others; where helm patches, it takes them anyway and refuses it."""
        if not self.takes_fields:
            return ()
        if on_server is None:
            answer = self._ask("get", "metadata", release, "--output", "json", *_of(revision))
            on_server = _read(answer, dict).get("applyMethod") == ON_SERVER
        return ("--force-conflicts",) if on_server else ()

    def _render(self, *arguments: str, charted: Charted) -> str:
        finished = self._run(*arguments, charted=charted, offline=True)
        if finished.code:
            raise PermanentError(masked(_words(finished)), code=NOT_RENDERED)
        return finished.out

    def _ask(
        self,
        *arguments: str,
        charted: Charted | None = None,
        offline: bool = False,
        seconds: float = LOOK_SECONDS,
    ) -> str:
        finished = self._run(*arguments, charted=charted, offline=offline, seconds=seconds)
        if finished.code:
            raise _error(_words(finished))
        return finished.out

    def _run(
        self,
        *arguments: str,
        charted: Charted | None = None,
        offline: bool = False,
        seconds: float = LOOK_SECONDS,
    ) -> Finished:
        return run(
            self.binary,
            [*arguments, "--namespace", self.namespace],
            access=None if offline else self.access,
            files=charted.files if charted else None,
            seconds=seconds,
            beat=self.beat,
        )


def program_version(binary: str) -> tuple[int, ...]:
    """Return the version of a helm program.

    Raises:
        PermanentError: with code "helm_missing", or "helm_too_old" for one that lacks what is used here.
        TemporaryError: it did not say in time.
    """
    told = run(binary, ["version", "--template", "{{.Version}}"], seconds=LOOK_SECONDS).out
    numbers = re.search(r"v?(\d+)\.(\d+)\.(\d+)", told)
    found = tuple(int(each) for each in numbers.groups()) if numbers else ()
    if found[:2] < OLDEST:
        text = _("{binary} is version {version}; Helm 3.13 or newer is needed.")
        words = sentence(text, binary=binary, version=told.strip()[:80] or "?")
        raise PermanentError(words, code="helm_too_old")
    return found


def _upgrading(charted: Charted) -> tuple[str, ...]:
    return ("upgrade", charted.release, "chart", "--install", "--values", "values.json")


def _of(revision: int) -> tuple[str, ...]:
    return ("--revision", str(revision)) if revision else ()


def _read(text: str, wanted: type[Any]) -> Any:
    try:
        found = read_json(text)
    except ValueError as error:
        raise PermanentError(_("helm did not answer in JSON."), code=FAILED) from error
    if not isinstance(found, wanted):
        raise PermanentError(_("helm did not answer in JSON."), code=FAILED)
    return found


def _revision(row: Json) -> Revision:
    return Revision(
        number=int(row["revision"]),
        status=str(row["status"]),
        chart=str(row.get("chart", "")),
        description=masked(str(row.get("description", ""))),
    )


def _words(finished: Finished) -> str:
    """Return what helm says is wrong: of its own lines the errors, of a lint what it complains of."""
    said = [line.strip() for line in finished.err.splitlines() if line.strip()]
    lines = [line for line in said if not line.startswith(("WARNING", "level=", "I0", "W0"))]
    lines += [line for line in finished.out.splitlines() if line.startswith("[ERROR]")]
    return str(storable("\n".join(lines).removeprefix("Error: ")[-MOST_WORDS:]))


def _error(words: str) -> PermanentError | TemporaryError:
    told = masked(words)
    for pattern, code in CODES:
        if pattern.search(words):
            return PermanentError(told, code=code)
    if AWAY.search(words):
        return TemporaryError(told, retry_in=2.0, code=UNREACHABLE)
    return PermanentError(told, code=FAILED)
