"""All settings, read from the environment.

`LAMBA_MODE` says how this process runs. `production` (the default) refuses to start on any missing secret;
`embedded` is what `make run` sets; `test` is what the test suite sets. The two latter carry fixed throw-away secrets.
"""

import base64
import hashlib
import os
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import environ
import fontpkg_geist
from django.core.exceptions import ImproperlyConfigured

BASE_DIR = Path(__file__).resolve().parent.parent
VAR_DIR = Path(os.environ.get("LAMBA_VAR_DIR", BASE_DIR / "var"))

env = environ.Env()
env.read_env(BASE_DIR / ".env")
if "DATABASE_URL" not in os.environ and os.environ.get("LAMBA_MODE") != "production":
    env.read_env(VAR_DIR / "embedded.env")  # written by the embedded runtime while it is up

MODE: str = env("LAMBA_MODE", default="production")
if MODE not in ("production", "embedded", "test"):
    raise ImproperlyConfigured(f"LAMBA_MODE is {MODE!r}; use production, embedded or test.")
PRODUCTION = MODE == "production"
DEBUG = False


def _secret(name: str) -> str:
    """A secret from the environment. Outside production a fixed, worthless value stands in."""
    value: str = env(name, default="")
    if value:
        return value
    if PRODUCTION:
        raise ImproperlyConfigured(
            f"{name} is not set. Production needs it: see docs/reference/settings.md for how to generate one."
        )
    return base64.urlsafe_b64encode(hashlib.sha256(f"embedded:{name}".encode()).digest()).decode()


def _required(name: str, fallback: str) -> str:
    value: str = env(name, default="" if PRODUCTION else fallback)
    if not value:
        raise ImproperlyConfigured(f"{name} is not set. Production needs it: see docs/reference/settings.md.")
    return value


# --- secrets -------------------------------------------------------------------------------------------------------
SECRET_KEY = _secret("SECRET_KEY")
SECRETS_KEYS = _secret("LAMBA_SECRETS_KEYS").split(",")  # Fernet keys; the first encrypts, all decrypt
KEY_PEPPER = _secret("LAMBA_KEY_PEPPER")  # HMAC key over the secrets of API keys
LINK_KEY = _secret("LAMBA_LINK_KEY")  # signs unsubscribe links and other links in mail
AUDIT_SIGNING_KEY = _secret("LAMBA_AUDIT_SIGNING_KEY")  # Ed25519 seeds, 32 bytes, url-safe base64; the first signs
CHECKPOINT_DIR: str = env("LAMBA_CHECKPOINT_DIR", default="" if MODE == "test" else str(VAR_DIR / "checkpoints"))
INSTALLATION_ID = _required("LAMBA_INSTALLATION_ID", "embedded")

# --- addresses -----------------------------------------------------------------------------------------------------
PUBLIC_URL = _required("LAMBA_PUBLIC_URL", "http://localhost:8000").rstrip("/")
INGEST_URL: str = env("LAMBA_INGEST_URL", default=PUBLIC_URL).rstrip("/")
ALLOWED_HOSTS: list[str] = env.list("ALLOWED_HOSTS", default=[] if PRODUCTION else ["*"])
if PRODUCTION and not ALLOWED_HOSTS:
    raise ImproperlyConfigured("ALLOWED_HOSTS is not set. Name the host names of this site, separated by commas.")
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL]
UPGRADE_URL: str = env("LAMBA_UPGRADE_URL", default="")  # template, e.g. https://…/{workspace}/upgrade?to={plan}
WEBHOOK_ALLOWED_HOSTS: list[str] = env.list(
    "LAMBA_WEBHOOK_ALLOWED_HOSTS", default=[]
)  # `host` or `host:port` that events may go to although it is private or not https
WEBHOOK_LOG_DAYS: int = env.int("LAMBA_WEBHOOK_LOG_DAYS", default=90)  # how long the log of requests is kept
if WEBHOOK_LOG_DAYS < 1:
    raise ImproperlyConfigured("LAMBA_WEBHOOK_LOG_DAYS must be 1 or more.")


# --- services ------------------------------------------------------------------------------------------------------
def _database(url: str) -> dict[str, Any]:
    """Django's settings of a URL. The host of a Unix socket stands in the query, as libpq wants it: ?host=/path."""
    found: dict[str, Any] = env.db_url_config(url)
    options = found.get("OPTIONS", {})
    return found | {name.upper(): str(options.pop(name)) for name in ("host", "port") if name in options}


def _redis_database(url: str, number: int) -> str:
    """The same server, another database of it."""
    if url.startswith("unix://"):
        return f"{url.partition('?')[0]}?db={number}"
    return urlsplit(url)._replace(path=f"/{number}").geturl()


DATABASES = {"default": _database(_required("DATABASE_URL", "postgres://lamba@127.0.0.1:5432/lamba"))}
DATABASES["default"] |= {
    "CONN_MAX_AGE": 60,
    "CONN_HEALTH_CHECKS": True,
    "TEST": {"NAME": env("LAMBA_TEST_DATABASE", default=None)},
}
REDIS_URL = _required("REDIS_URL", "redis://127.0.0.1:6379/0")
if MODE == "test" and (_worker := os.environ.get("PYTEST_XDIST_WORKER", "")):  # tests empty their cache: one for each
    REDIS_URL = _redis_database(REDIS_URL, 1 + int(_worker.removeprefix("gw")))
CACHES = {"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": REDIS_URL}}
EMAIL_URL = _required("EMAIL_URL", "smtp://127.0.0.1:1025")  # the relay of the SMTP channel
DKIM: str = env(
    "LAMBA_DKIM", default=""
)  # domain:selector:/path/to/key.pem, more behind commas; empty: the relay signs
CAPTURE_URL: str = env(
    "LAMBA_CAPTURE_URL", default="smtp://127.0.0.1:1025"
)  # where sandbox mail goes: `manage.py capture_mail`

# --- application ---------------------------------------------------------------------------------------------------
INSTALLED_APPS = [
    "lamba_campaigns.web.staff.SupportConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "django_htmx",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "lamba_campaigns.web",
    "projects",
    "audit",
    "webhooks",
    "limits",
    "audiences",
    "delivery",
    "campaigns",
]
AUTHENTICATION_BACKENDS = ["projects.backends.ConsoleBackend"]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.middleware.gzip.GZipMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "lamba_campaigns.web.requests.RequestContextMiddleware",
    "lamba_campaigns.web.addresses.ReadableAddressMiddleware",
    "lamba_campaigns.web.console.DomainErrorMiddleware",
]
ROOT_URLCONF = "lamba_campaigns.urls"
WSGI_APPLICATION = "lamba_campaigns.wsgi.application"
TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "lamba_campaigns.web.console.console_context",
            ],
            "builtins": ["lamba_campaigns.web.templatetags.console"],
        },
    }
]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en"
DATA_UPLOAD_MAX_MEMORY_SIZE = 1_048_576
DATA_UPLOAD_MAX_NUMBER_FIELDS = 2_000
FILE_UPLOAD_MAX_MEMORY_SIZE = 2_621_440

# --- signing in ----------------------------------------------------------------------------------------------------
LOGIN_URL = "sign-in"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "sign-in"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]
if MODE == "test":  # three accounts a test: a slow hash would be most of the suite's time
    PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
if MODE == "test":  # a slow hash on purpose would cost every test half a second
    PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
SIGN_IN_ATTEMPTS: list[str] = env.list(
    "LAMBA_SIGN_IN_ATTEMPTS", default=["10/minute", "50/hour"]
)  # per address and name
API_RATE: str = env("LAMBA_API_RATE", default="6000/minute")  # per API key

# --- static files --------------------------------------------------------------------------------------------------
STATIC_URL = "/static/"
STATIC_ROOT = VAR_DIR / "static"
STATICFILES_DIRS: list[Any] = [
    BASE_DIR / "lamba_campaigns" / "static",
    ("fonts/geist", Path(fontpkg_geist.__file__).parent / "files"),
]
_STATIC_BACKEND = {
    "production": "whitenoise.storage.CompressedManifestStaticFilesStorage",
    "embedded": "django.contrib.staticfiles.storage.ManifestStaticFilesStorage",  # compressing takes half a minute
    "test": "django.contrib.staticfiles.storage.StaticFilesStorage",
}[MODE]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": _STATIC_BACKEND},
}
WHITENOISE_USE_FINDERS = WHITENOISE_AUTOREFRESH = MODE == "test"  # tests collect nothing
MEDIA_ROOT = VAR_DIR / "files"

# --- transport security --------------------------------------------------------------------------------------------
_HTTPS = PUBLIC_URL.startswith("https://")
if PRODUCTION and not _HTTPS:
    raise ImproperlyConfigured(f"LAMBA_PUBLIC_URL is {PUBLIC_URL!r}; production needs an https:// address.")
SECURE_SSL_REDIRECT = PRODUCTION
SECURE_REDIRECT_EXEMPT = [r"^api/", r"^healthz$"]
SECURE_HSTS_SECONDS = 31_536_000 if _HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = _HTTPS
SECURE_HSTS_PRELOAD = _HTTPS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if env.bool("LAMBA_BEHIND_PROXY", default=False) else None
SECURE_REFERRER_POLICY = "same-origin"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _HTTPS
SESSION_COOKIE_NAME = "__Host-lamba" if _HTTPS else "lamba"
CSRF_COOKIE_NAME = "__Host-csrf" if _HTTPS else "csrf"
SESSION_COOKIE_AGE = int(timedelta(hours=12).total_seconds())
CSRF_COOKIE_HTTPONLY = True
CSRF_FAILURE_VIEW = "lamba_campaigns.web.errors.csrf_failure"
X_FRAME_OPTIONS = "DENY"  # the two sandboxed previews allow our own pages
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "font-src": ["'self'"],
        "connect-src": ["'self'"],
        "frame-src": ["'self'"],
        "form-action": ["'self'"],
        "base-uri": ["'none'"],
        "frame-ancestors": ["'none'"],
    }
}

# --- REST ----------------------------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["lamba_campaigns.web.authentication.ApiKeyAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["lamba_campaigns.web.authentication.HasPermission"],
    "DEFAULT_PARSER_CLASSES": ["lamba_campaigns.web.parsing.StrictJSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "lamba_campaigns.web.problems.problem_response",
    "UNAUTHENTICATED_USER": None,
    "URL_FORMAT_OVERRIDE": None,  # the header Accept alone chooses the form
}
SPECTACULAR_SETTINGS: dict[str, Any] = {
    "TITLE": "Lamba Campaigns",
    "DESCRIPTION": "Campaigns, audiences, templates, delivery and evidence for one Project environment.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "SERVE_AUTHENTICATION": [],
    "SERVE_PERMISSIONS": [],
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_NAME_OVERRIDES": {  # fields of one name with different values get component names that say whose they are
        "CheckStateEnum": ["pass", "warn", "block", "todo"],
        "PartKindEnum": ["snippet", "layout"],
        "KeyStateEnum": ["live", "expired", "revoked"],
        "BackfillStateEnum": ["queued", "running", "done", "failed", "cancelled"],
        "ImportStateEnum": ["queued", "running", "checked", "refused", "done", "failed", "cancelled"],
    },
    "SERVE_INCLUDE_SCHEMA": False,
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "lamba_campaigns.web.reference.name_in_words",
    ],
}

# --- Celery: the doorbell. State lives in Postgres; see docs/explanation/architecture.md ---------------------------
CELERY_BROKER_URL = REDIS_URL.replace("unix://", "redis+socket://").replace("?db=", "?virtual_host=")
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_DEFAULT_QUEUE = "control"
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 600, "unacked_restore_throttle": 1}
CELERY_TIMEZONE = "UTC"
CELERY_TASK_ROUTES = {
    "campaigns.tasks.run_launch": {"queue": "resolve"},
    "audiences.tasks.*": {"queue": "resolve"},
    "delivery.tasks.deliver": {"queue": "delivery"},
    "webhooks.tasks.*": {"queue": "webhooks"},
}
# task -> seconds between rings. A sweep that is lost or late costs seconds, never work.
SWEEPS: dict[str, float] = {
    "webhooks.tasks.process_events": 2,
    "webhooks.tasks.send_deliveries": 2,
    "webhooks.tasks.forget_attempts": 3600,
    "delivery.tasks.ring_jobs": 1,
    "delivery.tasks.expire_leases": 5,
    "delivery.tasks.check_stop_rules": 5,
    "delivery.tasks.send_notices": 60,
    "campaigns.tasks.ring_launches": 2,
    "campaigns.tasks.settle_finished": 3,
    "audiences.tasks.ring_imports": 5,
    "audiences.tasks.ring_backfills": 5,
    "limits.tasks.expire_reservations": 60,
    "limits.tasks.prove_counters": 3600,
    "campaigns.tasks.review_books": 60,
    "campaigns.tasks.review_environments": 600,
    "audit.tasks.seal_ledger": 10,
    "audit.tasks.checkpoint": 3600,
    "audit.tasks.apply_retention": 21_600,
    "projects.tasks.forget_answers": 3600,
}
CELERY_BEAT_SCHEDULE = {
    name: {"task": name, "schedule": seconds, "options": {"queue": "sweeps", "expires": max(10, seconds)}}
    for name, seconds in SWEEPS.items()
}
CELERY_BEAT_SCHEDULE_FILENAME = str(VAR_DIR / "beat-schedule")

# --- logging -------------------------------------------------------------------------------------------------------
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"context": {"()": "lamba_campaigns.web.requests.ContextFilter"}},
    "formatters": {
        "line": {
            "format": "{asctime} {levelname:<7} {name} [{environment} {trace}] {message}",
            "style": "{",
        }
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["context"]}},
    "root": {"handlers": ["stderr"], "level": env("LOG_LEVEL", default="INFO" if MODE != "test" else "WARNING")},
}
SILENCED_SYSTEM_CHECKS: list[str] = []
