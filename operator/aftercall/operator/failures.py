"""What may go wrong with what the operator asks of others: Kubernetes, Ray.

One family for what may be otherwise at the next look, and one for what stays so until somebody changes it. A message
says what was asked, and what to do.
"""

from __future__ import annotations

from aftercall.contracts import errors


class PassingError(errors.AftercallError):
    """It may be otherwise at the next look."""


class UnavailableError(PassingError):
    """It does not answer, or says that it cannot now."""


class ConflictError(PassingError):
    """Somebody has written it since it was read."""


class LastingError(errors.AftercallError):
    """It stays so until somebody changes something."""


class NotFoundError(LastingError):
    """It is not there."""


class ForbiddenError(LastingError):
    """This service account may not."""


class RefusedError(LastingError):
    """What was asked does not fit what is there."""
