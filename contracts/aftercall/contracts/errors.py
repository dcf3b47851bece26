"""The two families of failure: what will never succeed, and what may succeed later.

Adapters translate library errors into these at the boundary (`raise … from exc`), so that nobody
else has to know a library's exceptions, and nobody catches broadly.
"""

from __future__ import annotations

from aftercall.contracts import outcomes


class AftercallError(Exception):
    """Something went wrong; the message says what, which, and what to do."""


class PermanentError(AftercallError):
    """The same input will fail again: the work ends with an outcome that names the reason."""

    def __init__(self, message: str, *, reason: outcomes.Reason) -> None:
        super().__init__(message)
        self.reason = reason


class RejectedError(PermanentError):
    """There is nothing to transcribe: no audio, not audio, or a form that is not supported."""


class TransientError(AftercallError):
    """It may succeed later; nothing is concluded about the recording."""

    def __init__(self, message: str, *, reason: outcomes.Reason, retry_after_s: float = 5.0) -> None:
        super().__init__(message)
        self.reason = reason
        self.retry_after_s = retry_after_s


class StrikeError(AftercallError):
    """The recording's own decode child died; after three strikes the recording is dead."""

    def __init__(self, message: str, *, reason: outcomes.Reason) -> None:
        super().__init__(message)
        self.reason = reason


class AlreadyExistsError(AftercallError):
    """A create-only object exists already; whoever was first has decided."""


class ConfigurationError(AftercallError):
    """Settings cannot work; the message lists every problem found, one a line."""


class ContractError(AftercallError):
    """A document does not follow its contract: not JSON, a missing field, an unknown major version."""


def sentence(exc: Exception) -> str:
    """Say in one sentence what went wrong, with the reason where there is one."""
    reason = getattr(exc, "reason", None)
    return f"{exc} ({reason})" if reason else str(exc)
