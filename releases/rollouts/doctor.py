"""Looks at everything the portal stands on: what is configured, what is missing, what was reached."""

import smtplib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import django_rq
from django.conf import settings
from django.core.mail import get_connection
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from redis.exceptions import RedisError
from rq import Worker

from approvals.models import PolicyVersion
from portal import clock
from portal.audit import queries as record
from portal.audit.grants import could_rewrite
from portal.audit.keys import signer
from portal.errors import PortalError
from portal.integrations.helm.client import program_version
from portal.integrations.kubernetes.client import Cluster, connect
from portal.people.models import User
from releases.catalog.charts import chart_of
from releases.catalog.manifests import manifests_of
from releases.catalog.models import Connection, ConnectionKind, Environment, Service
from releases.catalog.references import value_of
from releases.catalog.versions import registry_for
from releases.rollouts.cluster_rights import standing_in

# Until then every role may make objects in `public`, where the record's trigger runs with its owner's rights.
OLDEST_POSTGRES = 15
LEAST_SECRET = 32
LOCAL = frozenset({"127.0.0.1", "localhost", "::1"})
GOOD, REMARK, FAULT = "ok", "remark", "fault"


@dataclass(frozen=True)
class Finding:
    """One line of the doctor; only a fault stops the portal from doing its work."""

    level: str
    about: str
    text: str


def examine() -> Iterator[Finding]:
    """Look at one part after the other; what stands on a part that is away is not looked at."""
    yield from _settings()
    yield from _redis()
    yield from _mail()
    reached = False
    for finding in _database():
        reached = finding.level != FAULT
        yield finding
    if reached:
        yield from _record()
        yield from _catalog()
        yield from _connections()
        yield from _helm()
        yield from _manifests()


def _settings() -> Iterator[Finding]:
    url = urlsplit(settings.PUBLIC_URL)
    words = _("{url}, {language}, {zone}, demo {demo}").format(
        url=settings.PUBLIC_URL,
        language=settings.LANGUAGE_CODE,
        zone=settings.TIME_ZONE,
        demo=settings.DEMO,
    )
    yield Finding(GOOD, "PUBLIC_URL", words)
    if not settings.SECURE and url.hostname not in LOCAL:
        yield Finding(
            REMARK, "PUBLIC_URL", _("People reach the portal without TLS; it should begin with https://.")
        )
    host = url.hostname or ""
    hosts = settings.ALLOWED_HOSTS
    if not any(
        each in {host, f"[{host}]", "*"} or (each[0] == "." and host.endswith(each)) for each in hosts
    ):
        text = _("It does not name {host}, the host of PUBLIC_URL; nobody would get in.").format(host=host)
        yield Finding(FAULT, "ALLOWED_HOSTS", text)
    if len(settings.SECRET_KEY) < LEAST_SECRET:
        text = _("It is set, and shorter than {count} characters.").format(count=LEAST_SECRET)
        yield Finding(REMARK, "SECRET_KEY", text)
    else:
        yield Finding(GOOD, "SECRET_KEY", _("set"))


def _database() -> Iterator[Finding]:
    place = "{HOST}:{PORT}/{NAME}".format(**settings.DATABASES["default"])
    try:
        with connection.cursor() as cursor:
            cursor.execute("SHOW server_version_num")
            version = int(cursor.fetchone()[0])
        executor = MigrationExecutor(connection)
        missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseError:
        # The driver's own words may hold the address with its password.
        yield Finding(
            FAULT, "DATABASE_URL", _("{place} does not answer or does not let us in.").format(place=place)
        )
        return
    yield _version(version, place)
    if missing:
        names = ", ".join(f"{step.app_label}.{step.name}" for step, _backwards in missing)
        yield Finding(FAULT, "migrate", _("Not applied: {names}. Run manage.py migrate.").format(names=names))
    else:
        count = len(executor.loader.applied_migrations)
        yield Finding(GOOD, "migrate", _("{count} migrations applied, none missing").format(count=count))


def _version(number: int, place: str) -> Finding:
    major, minor = divmod(number, 10_000)
    name = f"PostgreSQL {major}.{minor}, {place}"
    if major >= OLDEST_POSTGRES:
        return Finding(GOOD, "DATABASE_URL", name)
    text = _("{name}: it is too old, the portal needs {oldest} or newer.")
    return Finding(FAULT, "DATABASE_URL", text.format(name=name, oldest=OLDEST_POSTGRES))


def _redis() -> Iterator[Finding]:
    parts = urlsplit(settings.REDIS_URL)
    place = f"{parts.hostname}:{parts.port or 6379}"
    try:
        queue = django_rq.get_connection("default")
        told: dict[str, Any] = queue.info("server")
        workers = len(Worker.all(connection=queue))
    except RedisError:
        yield Finding(
            FAULT, "REDIS_URL", _("{place} does not answer or does not let us in.").format(place=place)
        )
        return
    number = told.get("valkey_version") or told.get("redis_version")
    name = f"{str(told.get('server_name', 'redis')).title()} {number}"
    yield Finding(GOOD, "REDIS_URL", f"{name}, {place}")
    if workers:
        yield Finding(GOOD, "workers", _("{count} at work").format(count=workers))
    else:
        yield Finding(REMARK, "workers", _("None is at work; start one with manage.py run worker."))


def _mail() -> Iterator[Finding]:
    if not settings.EMAIL_HOST:
        yield Finding(REMARK, "EMAIL_HOST", _("It is not set: mail is written to the console."))
        return
    place = f"{settings.EMAIL_HOST}:{settings.EMAIL_PORT}"
    try:
        server = get_connection()
        server.open()
        server.close()
    except (smtplib.SMTPException, OSError) as error:
        text = _("{place} does not take mail ({reason}).").format(place=place, reason=type(error).__name__)
        yield Finding(FAULT, "EMAIL_HOST", text)
        return
    yield Finding(GOOD, "EMAIL_HOST", place)


def _record() -> Iterator[Finding]:
    head, check = record.head(), record.last_check()
    number = head.number if head else 0
    if check is None:
        text = _("entry {number}, never verified; run manage.py audit verify").format(number=number)
        yield Finding(REMARK, "audit", text)
    elif check.fault:
        yield Finding(FAULT, "audit", _("The record is broken: {text}").format(text=check.said))
    else:
        when = timezone.localtime(check.at).strftime("%Y-%m-%d %H:%M")
        digest = (head.digest or "")[:12] if head else ""
        text = _("entry {number} {digest}, verified {when}").format(number=number, digest=digest, when=when)
        yield Finding(GOOD, "audit", text)
    if could_rewrite():
        text = _(
            "This account could rewrite the record: connect as one that does not own it (docs/record.md)."
        )
        yield Finding(REMARK, "append-only", text)
    else:
        yield Finding(GOOD, "append-only", _("this account can add to the record and change nothing in it"))
    if signer() is None:
        text = _("No key signs the record: an end that was cut off would not be found.")
        yield Finding(REMARK, "AUDIT_KEY", text)
    drift = abs((timezone.now() - clock.now()).total_seconds())
    if drift > 5:
        text = _("This machine and the database are {seconds} s apart.").format(seconds=round(drift))
        yield Finding(REMARK, "clock", text)


def _catalog() -> Iterator[Finding]:
    services, environments = Service.objects.count(), Environment.objects.count()
    if not services or not environments:
        text = _("Nothing can be released: load files with manage.py catalog load.")
        yield Finding(REMARK, "catalog", text)
    else:
        text = _("{services} services, {environments} environments")
        yield Finding(GOOD, "catalog", text.format(services=services, environments=environments))
    if services and not PolicyVersion.objects.exists():
        yield Finding(FAULT, "catalog", _("No policy is loaded: nobody could approve anything."))


def _connections() -> Iterator[Finding]:
    looks: dict[str, Callable[[Connection], Iterator[Finding]]] = {
        ConnectionKind.KUBERNETES: _cluster,
        ConnectionKind.REGISTRY: _registry,
        ConnectionKind.GITLAB: _hook,
        ConnectionKind.GITHUB: _hook,
        ConnectionKind.CI: _hook,
    }
    for each in Connection.objects.order_by("kind", "name"):
        look = looks.get(each.kind)
        if look is None:
            yield Finding(GOOD, f"connection {each.name}", _("configured"))
            continue
        try:
            yield from look(each)
        except PortalError as error:
            yield Finding(FAULT, f"connection {each.name}", _words(error))


def _helm() -> Iterator[Finding]:
    """Services under Helm need its program and their charts; a portal without such services needs neither."""
    services = Service.objects.filter(spec__has_key="helm").order_by("name")
    if not services:
        return
    try:
        version = program_version(settings.HELM_BINARY)
        yield Finding(GOOD, "HELM_BINARY", f"Helm {'.'.join(map(str, version))}")
    except PortalError as error:
        yield Finding(FAULT, "HELM_BINARY", _words(error))
    for service in services:
        try:
            chart = chart_of(service.spec["helm"])
            yield Finding(GOOD, f"service {service.name}", f"{chart.name} {chart.digest[:19]}")
        except PortalError as error:
            yield Finding(FAULT, f"service {service.name}", _words(error))


def _manifests() -> Iterator[Finding]:
    """The folders of manifests that the catalog names can be read, and hold what may be applied."""
    for service in Service.objects.filter(spec__has_key="manifests").order_by("name"):
        for environment in sorted(service.spec["manifests"]):
            name = f"service {service.name}"
            try:
                found = manifests_of(service.spec["manifests"], environment)
            except PortalError as error:
                yield Finding(FAULT, name, f"{environment}: {_words(error)}")
                continue
            assert found is not None
            yield Finding(GOOD, name, f"{environment}: {found.folder} {found.digest[:19]}")


def _cluster(row: Connection) -> Iterator[Finding]:
    cluster = connect(row.spec)
    version = cluster.get("/version").get("gitVersion", "?")
    yield Finding(GOOD, f"connection {row.name}", f"Kubernetes {version}, {cluster.access.server}")
    if not cluster.access.verify:
        text = _("The server's certificate is not checked.")
        yield Finding(REMARK, f"connection {row.name}", text)
    for environment in row.environments.order_by("name"):
        yield from _rights(environment, cluster)


def _rights(environment: Environment, cluster: Cluster) -> Iterator[Finding]:
    about = f"environment {environment.name}"
    found = standing_in(cluster, environment.namespace)
    place = _("namespace {name}").format(name=environment.namespace)
    if found.missing:
        text = _("{place}: missing rights: {names}").format(place=place, names=", ".join(found.missing))
        yield Finding(FAULT, about, text)
    else:
        yield Finding(GOOD, about, _("{place}: every needed right is there").format(place=place))
    if found.wanting:
        names = ", ".join(found.wanting)
        text = _("{place}: some steps would need: {names}").format(place=place, names=names)
        yield Finding(REMARK, about, text)
    if found.excessive:
        names = ", ".join(found.excessive)
        text = _("{place}: more than a release needs: {names}").format(place=place, names=names)
        yield Finding(REMARK, about, text)


def _registry(row: Connection) -> Iterator[Finding]:
    registry = registry_for(row.spec["host"])
    try:
        registry.check()
    finally:
        registry.close()
    yield Finding(
        GOOD, f"connection {row.name}", _("the registry {host} answers").format(host=row.spec["host"])
    )


def _hook(row: Connection) -> Iterator[Finding]:
    """Whether its events could be believed, and in whose name they would act."""
    about, account = f"connection {row.name}", row.spec["account"]
    value_of(row.spec["secretRef"])
    if User.objects.filter(username=account, is_active=True).exists():
        yield Finding(GOOD, about, _("its secret is set; it acts as {account}").format(account=account))
    else:
        text = _("There is no open account {account}; its events would start nothing.")
        yield Finding(FAULT, about, text.format(account=account))


def _words(error: PortalError) -> str:
    text: str | Promise = error.detail or error.title
    return str(text)
