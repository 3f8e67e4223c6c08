"""Django's settings, read from the environment; embedded and production differ by values only."""

import sys
from pathlib import Path
from urllib.parse import unquote

from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_lazy as _

from portal import env, logs

BASE_DIR = Path(__file__).resolve().parent.parent
DATABASE_LIKE = "postgresql://user:password@host:5432/name"
ROLE_WITHOUT_DATABASE = sys.argv[1:2] == ["run"] and sys.argv[2:3] in ([], ["all"])


# A host that vanished without a word is noticed before a lease would run out twice, not after many minutes.
LINE_TO_DATABASE = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,  # milliseconds
}


def database(name: str, url: str) -> dict[str, object]:
    """Turn the postgresql:// address that a variable holds into Django's form."""
    parts = env.url_parts(name, url, like=DATABASE_LIKE)
    if parts.scheme not in {"postgres", "postgresql"} or not parts.path.strip("/"):
        raise ImproperlyConfigured(f"{name} should look like {DATABASE_LIKE}.")
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.strip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": parts.hostname or "",
        "PORT": parts.port or 5432,
        "CONN_HEALTH_CHECKS": True,
        "CONN_MAX_AGE": 60,
        "OPTIONS": LINE_TO_DATABASE,
    }


# The supervisor starts the database itself and never connects to it.
_unset = "postgresql://unset@127.0.0.1:1/unset" if ROLE_WITHOUT_DATABASE else None
DATABASE_URL = env.text("DATABASE_URL", _unset)
# Who owns the tables migrates them, and gives the account of DATABASE_URL its rights (portal.audit.grants).
DATABASE_OWNER_URL = env.text("DATABASE_OWNER_URL", "")
_unset_redis = "redis://127.0.0.1:1/0" if ROLE_WITHOUT_DATABASE else None
REDIS_URL = env.address("REDIS_URL", _unset_redis, like="redis://:password@host:6379/0")
SECRET_KEY = env.secret("SECRET_KEY", "supervisor" if ROLE_WITHOUT_DATABASE else None)
# Signs the head of the record; the log stands beside the database, best where its owner cannot write.
AUDIT_KEY = env.text("AUDIT_KEY", "")
AUDIT_CHECKPOINT_LOG = env.text("AUDIT_CHECKPOINT_LOG", "")
# How many years entries are kept at least; 0 keeps everything. Nothing is removed by itself.
AUDIT_KEEP_YEARS = env.integer("AUDIT_KEEP_YEARS", 0)
# How many days what CI systems sent is kept; 0 keeps everything. The record keeps what it came to.
CI_EVENTS_KEEP_DAYS = env.integer("CI_EVENTS_KEEP_DAYS", 90)
if AUDIT_KEY:
    env.signing_key("AUDIT_KEY", AUDIT_KEY)
DEMO = env.choice("DEMO", "off", ("full", "people", "off"))
PORT = env.port("PORT", 8000)
# Where worker, watcher and sweeper show what they have counted (docs/metrics.md); nowhere when it is not set.
METRICS_PORT = env.optional_port("METRICS_PORT")
PORTAL_DATA = Path(env.text("PORTAL_DATA", str(BASE_DIR / "var")))
PUBLIC_URL = env.address("PUBLIC_URL", f"http://127.0.0.1:{PORT}", like="http://release.example.com")
ALLOWED_HOSTS = env.hosts("ALLOWED_HOSTS", "127.0.0.1,localhost,[::1]")
SECURE = PUBLIC_URL.startswith("https://")
DEBUG = False

DATABASES = {"default": database("DATABASE_URL", DATABASE_URL)}
APPLICATION_ROLE = ""
if DATABASE_OWNER_URL and sys.argv[1:2] == ["migrate"]:
    APPLICATION_ROLE = str(DATABASES["default"]["USER"])
    DATABASES = {"default": database("DATABASE_OWNER_URL", DATABASE_OWNER_URL)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "channels",
    "django_htmx",
    "django_rq",
    "guardian",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "portal.ui",
    "portal.people",
    "portal.delegations",
    "portal.administration",
    "portal.audit",
    "portal.live",
    "portal.outbox",
    "portal.notices",
    "portal.api",
    "portal.embedded",
    "approvals",
    "approvals.calendar",
    "releases.catalog",
    "releases",
    "releases.rollouts",
    "releases.schedules",
    "releases.incidents",
    "releases.pipeline",
]

MIDDLEWARE = [
    "portal.api.tracing.TraceMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "portal.api.middleware.HostMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "portal.people.middleware.SignInRequiredMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "csp.middleware.CSPMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "portal.people.middleware.PreferencesMiddleware",
    "portal.errors_view.ErrorsMiddleware",
    "portal.people.middleware.AuditorMiddleware",
    "portal.api.middleware.ApiMiddleware",
]

ROOT_URLCONF = "portal.urls"
ASGI_APPLICATION = "portal.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": False,
        "OPTIONS": {
            "loaders": [
                (
                    "django.template.loaders.cached.Loader",
                    [
                        "django.template.loaders.filesystem.Loader",
                        "django.template.loaders.app_directories.Loader",
                    ],
                )
            ],
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.i18n",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "portal.frame.counts",
                "portal.audit.readers.in_frame",
                "approvals.calendar.frame.in_frame",
            ],
            "builtins": ["django.templatetags.i18n", "portal.ui.templatetags.ui"],
        },
    }
]

# People and sign-in
AUTH_USER_MODEL = "people.User"
AUTHENTICATION_BACKENDS = [
    "allauth.account.auth_backends.AuthenticationBackend",
    "guardian.backends.ObjectPermissionBackend",
]
ANONYMOUS_USER_NAME = None
GUARDIAN_RAISE_403 = False
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "inbox"
ACCOUNT_ADAPTER = "portal.people.adapter.AccountAdapter"
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "password1*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_RATE_LIMITS = {"login_failed": "5/15m/key"}
ACCOUNT_LOGOUT_ON_GET = False
ACCOUNT_PREVENT_ENUMERATION = True
ALLAUTH_TRUSTED_PROXY_COUNT = env.integer("TRUSTED_PROXIES", 0)
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_TOTP_TOLERANCE = 1  # half a minute early or late: phones' clocks drift (RFC 6238, 5.2)
MFA_ADAPTER = "portal.people.second_factor.SecondFactorAdapter"
MFA_PASSKEY_LOGIN_ENABLED = True
# A passkey stands for two factors only where it has asked for a finger, a face or a PIN. Asked of every one,
# the challenge of one page is worth no less on another.
MFA_WEBAUTHN_USER_VERIFICATION = "required"
MFA_FORMS = {
    "add_webauthn": "portal.people.passkeys.AddForm",
    "login_webauthn": "portal.people.passkeys.SignInForm",
    "authenticate_webauthn": "portal.people.passkeys.SecondFactorForm",
    "reauthenticate_webauthn": "portal.people.passkeys.FreshFactorForm",
    "edit_webauthn": "portal.people.passkeys.RenameForm",
}
PASSKEY_ORIGIN = env.passkey_origin(PUBLIC_URL)
PASSKEY_DOMAIN = env.passkey_domain("PASSKEY_DOMAIN", PASSKEY_ORIGIN)
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]

# Language and time
LANGUAGE_CODE = env.choice("LANGUAGE_CODE", "ko", ("ko", "en"))
LANGUAGES = [("ko", _("Korean")), ("en", _("English"))]
LOCALE_PATHS = [BASE_DIR / "locale"]
TIME_ZONE = env.time_zone("TIME_ZONE", "Asia/Seoul")
USE_TZ = True
USE_I18N = True

# Files
STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATIC_ROOT = BASE_DIR / "staticfiles"
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = False

# The queue: may be emptied at any moment
RQ_QUEUES = {"default": {"URL": REDIS_URL}}
# Counts attempts to sign in; in the database, so that the limits outlive Redis and sign-in works without it.
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "people_attempts",
        "OPTIONS": {"MAX_ENTRIES": 100_000},
    }
}

# The browser's walls (ASVS 5.0: 3.3, 3.4)
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF],
        "font-src": [SELF],
        "connect-src": [SELF, PUBLIC_URL.replace("http", "ws", 1)],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
        "manifest-src": [SELF],
    }
}
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if SECURE else None
SECURE_HSTS_SECONDS = 31_536_000 if SECURE else 0
SESSION_COOKIE_NAME = "__Host-session" if SECURE else "session"
SESSION_COOKIE_SECURE = SECURE
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_NAME = "__Host-csrf" if SECURE else "csrf"
CSRF_COOKIE_SECURE = SECURE
CSRF_COOKIE_SAMESITE = "Lax"
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL]
CSRF_FAILURE_VIEW = "portal.errors_view.csrf_failure"
DATA_UPLOAD_MAX_MEMORY_SIZE = 1_000_000
DATA_UPLOAD_MAX_NUMBER_FIELDS = 2_000

# Mail
EMAIL_BACKEND = (
    "django.core.mail.backends.smtp.EmailBackend"
    if env.text("EMAIL_HOST", "")
    else "django.core.mail.backends.console.EmailBackend"
)
EMAIL_HOST = env.text("EMAIL_HOST", "")
EMAIL_PORT = env.port("EMAIL_PORT", 25)
EMAIL_HOST_USER = env.text("EMAIL_HOST_USER", "")
EMAIL_HOST_PASSWORD = env.text("EMAIL_HOST_PASSWORD", "")
EMAIL_USE_TLS = env.flag("EMAIL_USE_TLS", default=False)
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = env.text("DEFAULT_FROM_EMAIL", "release-portal@localhost")

# Outside systems: only hosts an administrator allowed are ever called
OUTBOUND_HOSTS = env.words("OUTBOUND_HOSTS", "")
PRACTICE_REGISTRY_URL = env.text("PRACTICE_REGISTRY_URL", "")

# Helm: its program, and the one folder whose charts may be released (docs/helm.md)
HELM_BINARY = env.text("HELM_BINARY", "helm")
HELM_CHARTS = env.text("HELM_CHARTS", "")

# The one folder whose manifests a plan may apply (docs/catalog.md)
MANIFESTS = env.text("MANIFESTS", "")

LOGGING = logs.configuration(
    form=env.choice("LOG_FORMAT", "line", logs.FORMS), level=env.text("LOG_LEVEL", "INFO")
)
