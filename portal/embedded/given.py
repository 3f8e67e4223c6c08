"""Servers that the environment names: looked at first, so that a wrong name is told at once."""

import os
from pathlib import Path

import psycopg
import redis
from django.core.exceptions import ImproperlyConfigured

from portal import env

TIMEOUT_SECONDS = 5


def check_database(url: str, *, name: str = "DATABASE_URL") -> None:
    """Refuse an address where no PostgreSQL lets us in.

    Args:
        name: the variable that holds it.

    Raises:
        ImproperlyConfigured: It does not; the text says why, without the password.
    """
    try:
        psycopg.connect(url, connect_timeout=TIMEOUT_SECONDS).close()
    except psycopg.Error as error:
        raise ImproperlyConfigured(
            f"{name} should be postgresql://user:password@host:5432/name of a running server: {error}"
        ) from error


def check_redis(url: str) -> None:
    """Refuse a REDIS_URL where no Redis or Valkey answers.

    Raises:
        ImproperlyConfigured: It does not; the text says why, without the password.
    """
    try:
        with redis.Redis.from_url(url, socket_connect_timeout=TIMEOUT_SECONDS) as client:
            client.ping()
    except (redis.RedisError, ValueError) as error:
        raise ImproperlyConfigured(
            f"REDIS_URL should be redis://:password@host:6379/0 of a running server: {error}"
        ) from error


def check_kubeconfig(path: str) -> None:
    """Refuse a KUBECONFIG that is no file; whether the cluster answers shows later, and may change.

    Raises:
        ImproperlyConfigured: There is no such file.
    """
    if not Path(path).is_file():
        raise ImproperlyConfigured(f"KUBECONFIG should name one kubeconfig file; {path} is none.")


def kubeconfig() -> str:
    """Return the path of the kubeconfig that KUBECONFIG or KUBECONFIG_FILE names, or nothing."""
    return os.environ.get("KUBECONFIG", "") or os.environ.get("KUBECONFIG_FILE", "")


def check_settings() -> None:
    """Refuse what every role would refuse at its own start, so that a wrong variable is told at once.

    Raises:
        ImproperlyConfigured: One is wrong; the text names it.
    """
    env.secret("SECRET_KEY", "made at the first start")
    env.choice("LANGUAGE_CODE", "ko", ("ko", "en"))
    env.time_zone("TIME_ZONE", "UTC")
    env.optional_port("METRICS_PORT")
    env.hosts("ALLOWED_HOSTS", "localhost")
    env.address("PUBLIC_URL", "http://localhost", like="http://release.example.com")
    if key := env.text("AUDIT_KEY", ""):
        env.signing_key("AUDIT_KEY", key)
