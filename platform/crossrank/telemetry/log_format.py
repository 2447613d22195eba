"""Lines of a log: for people, or one JSON object each for whoever collects them (`CROSSRANK_LOG=json`).

Every object has ``time`` (ISO 8601, UTC), ``level``, ``message`` and ``node``; ``verb``, ``job`` and ``request_id``
where there is one; and further fields, such as the numbers of a progress line. docs/logs.md lists them.
"""

from __future__ import annotations

import io
import json
import logging
import os
import re
import socket
import sys
import threading
import traceback
from contextvars import ContextVar
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, TextIO, cast

from crossrank.errors import SettingsError
from crossrank.telemetry.job_context import LOG, job, verb

KINDS = ("plain", "json")
OURS = '{"time": '
"""Beginning of a line that crossrank wrote as JSON."""
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
REQUEST_ID: ContextVar[str | None] = ContextVar("request_id", default=None)
"""Id of the request that is being answered."""


def is_json() -> bool:
    """Whether lines are JSON."""
    return os.environ.get(LOG) == "json"


def check_kind() -> None:
    """Refuse a kind of log that there is not."""
    kind = os.environ.get(LOG, "plain")
    if kind not in KINDS:
        raise SettingsError(f"{LOG} is {kind!r}; use one of {', '.join(KINDS)}, or unset it")


def as_json(message: str, level: str, **fields: Any) -> str:
    """One line as a JSON object; fields that are None are left out."""
    content = {
        "time": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "level": level,
        "message": message,
        "verb": verb(),
        "job": job(),
        "node": socket.gethostname(),
        "request_id": REQUEST_ID.get(),
        **fields,
    }
    return json.dumps({name: value for name, value in content.items() if value is not None}, ensure_ascii=False)


class JsonFormatter(logging.Formatter):
    """Formats records of `logging`, of any library, as such lines; ``extra={"fields": {...}}`` adds fields to one."""

    def format(self, record: logging.LogRecord) -> str:
        """A record as one line; a traceback is a field of it."""
        trace = self.formatException(record.exc_info) if record.exc_info else None
        level, request_id = record.levelname.lower(), getattr(record, "request_id", REQUEST_ID.get())
        fields = {"logger": record.name, "traceback": trace, "request_id": request_id, **getattr(record, "fields", {})}
        return as_json(record.getMessage(), level, **fields)


class OnlyJson(io.TextIOBase):
    """A stream whose lines are JSON, whoever writes them: Ray prints there what its nodes say, others their bars."""

    def __init__(self, stream: TextIO) -> None:
        """Write to `stream`."""
        self.stream = stream
        self._begun = ""
        self._lock = threading.Lock()

    def write(self, text: str) -> int:
        """Pass whole lines on, and keep the rest until its line ends."""
        with self._lock:
            *whole, self._begun = (self._begun + text.replace("\r", "\n")).split("\n")
            for line in whole:
                if line.strip():
                    is_ours = line.startswith(OURS)
                    self.stream.write(f"{line if is_ours else as_json(COLOUR.sub('', line), 'info')}\n")
        return len(text)

    def flush(self) -> None:
        self.stream.flush()

    def fileno(self) -> int:
        return self.stream.fileno()

    def isatty(self) -> bool:
        return self.stream.isatty()


def set_up(is_driver: bool = True) -> None:
    """Write everything that this process logs as JSON, where that was asked for; otherwise change nothing.

    Call it again when a library has added handlers of its own.

    Args:
        is_driver: whether everything printed to standard error becomes JSON, too. In a worker it must not: Ray reads
            lines of its own there.
    """
    if not is_json():
        return
    if is_driver and not isinstance(sys.stderr, OnlyJson):
        sys.stderr = cast(TextIO, OnlyJson(sys.stderr))
    root = logging.getLogger()
    if not any(map(_is_seen, root.handlers)):
        root.addHandler(logging.StreamHandler())
    known = [root, *(each for each in root.manager.loggerDict.values() if isinstance(each, logging.Logger))]
    for handler in {handler for each in known for handler in each.handlers if _is_seen(handler)}:
        handler.setFormatter(JsonFormatter())
    logging.captureWarnings(True)
    sys.excepthook = _uncaught
    threading.excepthook = lambda args: _uncaught(args.exc_type, args.exc_value or args.exc_type(), args.exc_traceback)


def _is_seen(handler: logging.Handler) -> bool:
    ends = (sys.stderr, sys.stdout, getattr(sys.stderr, "stream", None))
    return isinstance(handler, logging.StreamHandler) and handler.stream in ends


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    frames = "".join(traceback.format_exception(kind, error, trace))
    print(as_json(f"{kind.__name__}: {error}", "critical", traceback=frames), file=sys.stderr, flush=True)
