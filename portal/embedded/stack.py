"""`manage.py run`: everything that the portal needs on one machine, from the environment and one data folder.

Imports no Django models and reads no Django settings: the database they need is started here.
"""

import errno
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

from portal import env
from portal.embedded import accounts, ports, report, runlock
from portal.embedded.child import REPOSITORY, StartError
from portal.embedded.given import (
    check_database,
    check_kubeconfig,
    check_redis,
    check_settings,
    kubeconfig,
)
from portal.embedded.output import say
from portal.embedded.postgres import Postgres
from portal.embedded.roles import manage, role_parts
from portal.embedded.servers import PracticeCluster, cluster_part, postgres_part, valkey_part
from portal.embedded.supervisor import Part, StopRequested, Supervisor
from portal.embedded.valkey import Valkey

DEFAULT_PORT = 8000
PORT_NAMES = ("postgres", "valkey", "cluster", "registry", "prometheus")
FAILED = 1
MISCONFIGURED = 2


def run_all() -> int:
    """Run the whole portal until a signal comes; return the exit code."""
    started_at = time.monotonic()
    try:
        stack = Stack.from_environment()
        with runlock.take(stack.data / "lock") as lock, Supervisor(lock) as supervisor:
            return stack.run(supervisor, started_at=started_at)
    except (ImproperlyConfigured, runlock.AlreadyRunningError) as error:
        say("supervisor", str(error))
        return MISCONFIGURED
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        say("supervisor", f"the disk of PORTAL_DATA is full: make room there, then start again ({error})")
        return FAILED


@dataclass
class Stack:
    """The parts of one start, and what they are told."""

    data: Path
    environment: dict[str, str]
    owner_url: str
    demo: str
    port: int
    ports: Mapping[str, int] = field(default_factory=dict)
    people: list[report.Person] = field(default_factory=list)

    @classmethod
    def from_environment(cls) -> "Stack":
        """Read the variables that concern the whole; the settings of each part read theirs.

        Raises:
            ImproperlyConfigured: One is wrong; the text names it.
        """
        data = Path(env.text("PORTAL_DATA", str(REPOSITORY / "var"))).absolute()
        demo = env.choice("DEMO", "off" if kubeconfig() else "full", ("full", "people", "off"))
        port = env.port("PORT", DEFAULT_PORT)
        check_settings()
        owner_url = env.text("DATABASE_OWNER_URL", "")
        for value, check in (
            (env.text("DATABASE_URL", ""), check_database),
            (owner_url, partial(check_database, name="DATABASE_OWNER_URL")),
            (env.text("REDIS_URL", ""), check_redis),
            (kubeconfig(), check_kubeconfig),
        ):
            if value:
                check(value)
        accounts.make_folder(data)
        return cls(data=data, environment={}, owner_url=owner_url, demo=demo, port=port)

    def run(self, supervisor: Supervisor, *, started_at: float) -> int:
        """Start in order, tell people where, keep running."""
        try:
            self._start(supervisor)
            self._announce(time.monotonic() - started_at)
            supervisor.watch()
        except StopRequested:
            return 0
        except StartError as error:
            say("supervisor", str(error))
            return FAILED
        finally:
            say("supervisor", "stopping")
        return 0

    def _start(self, supervisor: Supervisor) -> None:
        self._choose_ports()
        supervisor.start(self._servers())
        as_owner = {**self.environment, "DATABASE_OWNER_URL": self.owner_url}
        command = manage("migrate", "--noinput", "--skip-checks", "-v", "0", env=as_owner)
        supervisor.run_once("migrate", command)
        supervisor.on_change = lambda: self._write_report(supervisor)
        roles = role_parts(self.data, env=self.environment)
        supervisor.start(roles, meanwhile=lambda: self._load_demo(supervisor))
        self._write_report(supervisor)

    def _choose_ports(self) -> None:
        self.ports = ports.kept_ports(self.data / "ports.json", PORT_NAMES)
        free = ports.next_free_port(self.port)
        if free != self.port:
            say("supervisor", f"port {self.port} is taken, using {free}")
        self.port = free
        self.environment = {
            "PORTAL_DATA": str(self.data),
            "PORT": str(free),
            "PUBLIC_URL": env.text("PUBLIC_URL", f"http://{ports.HOST}:{free}"),
            "SECRET_KEY": env.text("SECRET_KEY", accounts.kept_secret(self.data / "secret_key")),
            "AUDIT_CHECKPOINT_LOG": env.text("AUDIT_CHECKPOINT_LOG", str(self.data / "checkpoints.jsonl")),
            "DEMO": self.demo,
            "METRICS_PORT": str(env.optional_port("METRICS_PORT") or ""),
            "STOREBRIDGE_CI_SECRET": accounts.kept_secret(self.data / "ci_secret"),
            "DATABASE_OWNER_URL": "",  # who migrates is told; no running role is
            "PYTHONUNBUFFERED": "1",
        }
        if not env.text("AUDIT_KEY", ""):
            self.environment["AUDIT_KEY_FILE"] = str(accounts.kept_key(self.data / "audit_key"))

    def _servers(self) -> list[Part]:
        """Return the servers that the environment does not name, and tell the portal where all are."""
        parts: list[Part] = []
        self.environment["DATABASE_URL"] = env.text("DATABASE_URL", "") or self._postgres(parts)
        self.environment["REDIS_URL"] = env.text("REDIS_URL", "") or self._valkey(parts)
        self.environment["KUBECONFIG"] = kubeconfig() or self._cluster(parts)
        return parts[::-1]  # making a new database takes longest; the others start meanwhile

    def _postgres(self, parts: list[Part]) -> str:
        server = Postgres(self.data / "postgres", self.ports["postgres"])
        parts.append(postgres_part(server))
        accounts.make_folder(server.folder)
        self.owner_url = server.owner_url
        return server.url

    def _valkey(self, parts: list[Part]) -> str:
        server = Valkey(self.data / "valkey", self.ports["valkey"])
        parts.append(valkey_part(server))
        accounts.make_folder(server.folder)
        return server.url

    def _cluster(self, parts: list[Part]) -> str:
        full = self.demo == "full"
        cluster = PracticeCluster(
            self.data,
            port=self.ports["cluster"],
            registry_port=self.ports["registry"],
            prometheus_port=self.ports["prometheus"],
            with_examples=full,
            audit_log=env.text("PRACTICE_AUDIT_LOG", ""),
        )
        parts.append(cluster_part(cluster))
        registry = f"http://{ports.HOST}:{cluster.registry_port}"
        self.environment["PRACTICE_REGISTRY_URL"] = registry
        prometheus = f"http://{ports.HOST}:{cluster.prometheus_port}"
        self.environment["STOREBRIDGE_PROMETHEUS_URL"] = env.text("STOREBRIDGE_PROMETHEUS_URL", prometheus)
        self.environment["PRACTICE_AUTHORITY_FILE"] = str(cluster.authority)
        self.environment["MANIFESTS"] = env.text("MANIFESTS", str(REPOSITORY / "deploy" / "manifests"))
        return str(cluster.kubeconfig)

    def _load_demo(self, supervisor: Supervisor) -> None:
        if self.demo == "off":
            return
        command = manage("demo", "--load", "--print-people", env=self.environment)
        try:
            self.people = report.people_in(supervisor.run_once("demo", command, show=False))
        except ValueError as error:
            raise StartError(f"the demo people could not be read: {error}") from error

    def _write_report(self, supervisor: Supervisor) -> None:
        pids: dict[str, object] = {"supervisor": os.getpid()}
        pids |= {kind: supervisor.pids(kind) for kind in report.ROLES}
        pids |= {kind: next(iter(supervisor.pids(kind)), None) for kind in report.SERVERS}
        content = {
            "url": self.environment["PUBLIC_URL"],
            "kubeconfig": self.environment["KUBECONFIG"],
            "database_url": self.environment["DATABASE_URL"],
            "database_owner_url": self.owner_url or self.environment["DATABASE_URL"],
            "redis_url": self.environment["REDIS_URL"],
            "pids": pids,
            "people": self.people,
        }
        report.write_report(self.data / "demo.json", content)

    def _announce(self, seconds: float) -> None:
        for line in report.table(self.people):
            say("supervisor", line)
        say(
            "supervisor",
            f"ready in {seconds:.1f} s at {self.environment['PUBLIC_URL']} (Ctrl-C ends everything)",
        )
