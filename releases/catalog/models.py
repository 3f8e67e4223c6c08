"""What the catalog files say, one row per object; `source` is the document as loaded."""

from typing import ClassVar

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from guardian.models import GroupObjectPermissionBase

from portal.people.models import Team


class Named(models.Model):
    """An object of the catalog: a name, a title, and the document it came from."""

    name = models.CharField(max_length=120, unique=True)
    title = models.CharField(max_length=160, blank=True)
    source = models.JSONField(default=dict)

    class Meta:
        abstract = True
        ordering = ["name"]

    def __str__(self) -> str:
        return self.title or self.name


class ConnectionKind(models.TextChoices):
    """Outside systems that a connection can name."""

    KUBERNETES = "kubernetes", _("Kubernetes")
    REGISTRY = "registry", _("Image registry")
    HTTP = "http", _("HTTP hosts")
    PROMETHEUS = "prometheus", _("Prometheus")
    GITLAB = "gitlab", _("GitLab")
    GITHUB = "github", _("GitHub")
    CI = "ci", _("CI system")


class Connection(Named):
    """How an outside system is reached; secrets only by reference."""

    kind = models.CharField(max_length=20, choices=ConnectionKind.choices)
    spec = models.JSONField(default=dict)

    class Meta(Named.Meta):
        constraints = [
            models.CheckConstraint(
                condition=Q(kind__in=ConnectionKind.values), name="catalog_connection_kind"
            )
        ]


class Stage(models.TextChoices):
    """The column of the board an environment stands in."""

    PRODUCTION = "production", _("production")
    STAGING = "staging", _("staging")
    DEVELOPMENT = "development", _("development")


class Environment(Named):
    """One namespace on one cluster where services of a system run."""

    ACCESS_CODENAMES: ClassVar[dict[str, str]] = {
        "view": "view_environment",
        "deploy": "deploy_environment",
        "operate": "operate_environment",
        "stop": "stop_environment",
    }

    system = models.CharField(max_length=120)
    stage = models.CharField(max_length=12, choices=Stage.choices)
    cluster = models.ForeignKey(Connection, models.PROTECT, related_name="environments")
    cluster_group = models.CharField(max_length=60, default="default")
    namespace = models.CharField(max_length=63)
    protected = models.BooleanField(default=True)
    spec = models.JSONField(default=dict)

    class Meta(Named.Meta):
        constraints = [
            # Deferred: one load may give an environment another name, or exchange two namespaces.
            models.UniqueConstraint(
                fields=["cluster", "namespace"],
                name="catalog_one_environment_per_namespace",
                deferrable=models.Deferrable.DEFERRED,
            ),
            models.CheckConstraint(condition=Q(stage__in=Stage.values), name="catalog_environment_stage"),
        ]
        permissions = [
            ("deploy_environment", "Start a rollout here"),
            ("operate_environment", "Resume, retry, skip and roll back here"),
            ("stop_environment", "Pause and stop here"),
        ]


class Service(Named):
    """Something that is released: its owner, its cluster objects, its health."""

    ACCESS_CODENAMES: ClassVar[dict[str, str]] = {
        "view": "view_service",
        "compose": "compose_service",
        "restore": "restore_service",
    }

    team = models.ForeignKey(Team, models.PROTECT, related_name="services")
    system = models.CharField(max_length=120)
    core = models.BooleanField(default=False)
    image = models.CharField(max_length=250)
    environments = models.ManyToManyField(Environment, related_name="services")
    spec = models.JSONField(default=dict)

    class Meta(Named.Meta):
        permissions = [
            ("compose_service", "Compose a release of this service"),
            ("restore_service", "Ask for and start a restore of its database"),
        ]

    @property
    def scale(self) -> dict[str, int] | None:
        """{"min", "max"} pods within which people may scale it; None where the catalog does not say."""
        bounds: dict[str, int] | None = self.spec.get("scale")
        return bounds


class Plan(Named):
    """How a release is carried out in an environment: steps before, waves of services, steps after."""

    environments = models.ManyToManyField(Environment, related_name="plans")
    strategy = models.CharField(max_length=40, default="rolling")
    spec = models.JSONField(default=dict)


class Checklist(Named):
    """A template of checks in three phases, by grade and environment."""

    version = models.PositiveIntegerField(default=1)
    spec = models.JSONField(default=dict)


class Running(models.Model):
    """What was last seen to run: one row per service and environment, written by the watcher.

    `seen` is {"version", "images": {container: image}, "digests": [...], "ready", "wanted", "health",
    "text", "generation", "workloads": {"Deployment/web": {"uid", "replicas", "images", "digests",
    "autoscaler"} or null}, "selectors": {Service: labels}}. `expected` is what should be seen: the digests of
    the last release verified here, the workloads and selectors as they were first seen after it, and
    "rollout", the newest one that it takes account of; "looked" where the digests themselves were only seen,
    not approved. `release` is the number of that release.
    """

    service = models.ForeignKey(Service, models.CASCADE, related_name="running")
    environment = models.ForeignKey(Environment, models.CASCADE, related_name="running")
    seen = models.JSONField(default=dict, encoder=DjangoJSONEncoder)
    expected = models.JSONField(default=dict, encoder=DjangoJSONEncoder)
    release = models.BigIntegerField(null=True)
    since = models.DateTimeField(null=True, blank=True)
    seen_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["service", "environment"], name="catalog_running_once")
        ]

    def __str__(self) -> str:
        return f"{self.service_id}@{self.environment_id}"


class ServiceGroupPermission(GroupObjectPermissionBase):
    """A right on a service, granted to a group (a direct key: guardian's fast form)."""

    content_object = models.ForeignKey(Service, models.CASCADE)


class EnvironmentGroupPermission(GroupObjectPermissionBase):
    """A right on an environment, granted to a group."""

    content_object = models.ForeignKey(Environment, models.CASCADE)


class StoredDocument(models.Model):
    """A loaded document with the file it came from, so that an export gives the same files back.

    `text` is the exact slice of the file; joined by `position`, the slices of `root`/`file` are the file.
    """

    kind = models.CharField(max_length=20)
    name = models.CharField(max_length=120)
    root = models.CharField(max_length=120)
    file = models.CharField(max_length=250)
    position = models.PositiveIntegerField()
    text = models.TextField()
    source = models.JSONField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["kind", "name"], name="catalog_one_document_a_name")]
        ordering = ["root", "file", "position"]

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"
