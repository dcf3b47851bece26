"""How a running part logs: one line a record, for people or as JSON, with its fields and the trace it belongs to."""

from __future__ import annotations

import datetime
import faulthandler
import json
import logging
import signal
import traceback
import typing

from aftercall.consumers import tracing

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "fields", "taskName"}
_CHATTY = ("kafka", "httpx2", "opentelemetry")  # they tell of every fetch and every request
# They warn of every start of a group, and of every tenth of a second in which this process was not scheduled.
_ALARMED = ("kafka.coordinator.assignors", "kafka.net.selector")


def configure(level: int, *, as_json: bool = False) -> None:
    """Log to standard error; on SIGUSR1 say where every thread stands, for whoever looks at a process that hangs."""
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    handler = logging.StreamHandler()
    handler.addFilter(_add_fields)
    handler.setFormatter(_Json() if as_json else _Text("%(asctime)s %(levelname)s %(name)s: %(message)s%(shown)s"))
    logging.basicConfig(level=level, handlers=[handler])
    for chatty in _CHATTY:
        logging.getLogger(chatty).setLevel(max(level, logging.WARNING))
    for alarmed in _ALARMED:
        logging.getLogger(alarmed).setLevel(max(level, logging.ERROR))


def _add_fields(record: logging.LogRecord) -> bool:
    """Gather a record's fields, and the trace that it belongs to."""
    found = {name: value for name, value in vars(record).items() if name not in _STANDARD}
    trace_id = tracing.trace_id()
    fields = found | ({"trace_id": trace_id} if trace_id is not None else {})
    record.fields, record.shown = fields, "".join(f" {name}={value}" for name, value in fields.items())
    return True


class _Text(logging.Formatter):
    """Tracebacks without messages: those of libraries hold paths, addresses, and at worst what was said."""

    def formatException(self, ei: typing.Any) -> str:
        kind, _, at = ei
        return "".join([*traceback.format_tb(at), str(kind.__name__)])


class _Json(_Text):
    """A JSON object a line; a traceback is a field of it."""

    def format(self, record: logging.LogRecord) -> str:
        told = {
            "time": datetime.datetime.fromtimestamp(record.created, datetime.UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            told["exception"] = self.formatException(record.exc_info)
        return json.dumps(told, default=str, ensure_ascii=False)
