"""What the log's lines look like: for people who watch a terminal, or JSON for what collects them."""

import re
from typing import Any

import structlog
from structlog.typing import EventDict, WrappedLogger

FORMS = ("line", "json")
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def configuration(*, form: str, level: str) -> dict[str, Any]:
    """Return Django's LOGGING.

    Args:
        form: "line" or "json".
        level: the least level that is written, such as "INFO".
    """
    own = structlog.stdlib.ProcessorFormatter
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "chosen": {
                "()": own,
                "foreign_pre_chain": [
                    structlog.contextvars.merge_contextvars,
                    structlog.stdlib.add_logger_name,
                    structlog.stdlib.add_log_level,
                    structlog.stdlib.ExtraAdder(),
                ],
                "processors": [
                    own.remove_processors_meta,
                    _plain,
                    *(_json() if form == "json" else [as_line]),
                ],
            }
        },
        "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "chosen"}},
        "root": {"handlers": ["console"], "level": level},
        "loggers": {
            "rq.worker": {"level": "WARNING"},
            "httpx": {"level": "WARNING"},
            "fido2": {"level": "WARNING"},
            "django.request": {"level": "ERROR"},
        },
    }


def _plain(_logger: WrappedLogger, _method: str, entry: EventDict) -> EventDict:
    """Leave out the server's second copy of its words, in colours."""
    entry.pop("color_message", None)
    return entry


def _json() -> list[structlog.typing.Processor]:
    return [
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        structlog.processors.JSONRenderer(ensure_ascii=False, default=str),
    ]


def as_line(_logger: WrappedLogger, _method: str, entry: EventDict) -> str:
    """Write one entry as one line, with what an exception left below it.

    What came from outside can neither end the line nor move the terminal's cursor.
    """
    trouble = structlog.processors.format_exc_info(None, "", {"exc_info": entry.pop("exc_info", None)})
    level, name, event = (str(entry.pop(key, "")) for key in ("level", "logger", "event"))
    facts = "".join(f" {key}={value}" for key, value in entry.items() if value not in ("", None))
    line = CONTROL.sub(_escaped, f"{level.upper()} {name} {event}{facts}")
    text = trouble.get("exception")
    return f"{line}\n{text}" if text else line


def _escaped(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"
