"""How a running part logs: one line a record, its fields behind the message."""

from __future__ import annotations

import faulthandler
import logging
import signal

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "fields", "taskName"}


def configure(level: int) -> None:
    """Log to standard error; on SIGUSR1 say where every thread stands, for whoever looks at a process that hangs."""
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s%(fields)s")
    for chatty in ("kafka", "httpx2"):  # they tell of every fetch and every request
        logging.getLogger(chatty).setLevel(max(level, logging.WARNING))
    logging.getLogger().handlers[0].addFilter(_add_fields)


def _add_fields(record: logging.LogRecord) -> bool:
    """Put a record's fields behind its message."""
    fields = {name: value for name, value in vars(record).items() if name not in _STANDARD}
    record.fields = "".join(f" {name}={value}" for name, value in fields.items())
    return True
