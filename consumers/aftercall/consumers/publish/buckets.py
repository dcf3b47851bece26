"""Which buckets a deployment speaks of, which of them are there, and to create those that are not."""

from __future__ import annotations

import datetime

from aftercall.consumers.publish import objects
from aftercall.contracts import errors, outcomes, services

_ALIVE = datetime.timedelta(minutes=5)
_TIMEOUT_S = 20.0
_THERE_ALREADY = 409
_ELSEWHERE = (
    '<CreateBucketConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
    "<LocationConstraint>{region}</LocationConstraint></CreateBucketConfiguration>"
)


def wanted(configured: services.Store) -> dict[str, str]:
    """Return what each bucket that the settings speak of is for."""
    found = {one.name: "recordings" for one in configured.recording_buckets}
    if configured.bucket is not None:
        found[configured.bucket] = "transcripts, outcomes and claims"
    return found


async def missing(configured: services.Store) -> list[str]:
    """Return the buckets that do not exist; raises `errors.TransientError` when nobody answers."""
    found = []
    for name in wanted(configured):
        try:
            await objects.check_there(configured.model_copy(update={"bucket": name, "recording_buckets": ()}))
        except errors.ConfigurationError:
            found.append(name)
    return found


async def create(configured: services.Store, name: str) -> None:
    """Create a bucket; one that is ours already is fine."""
    import httpx2
    import obstore

    # obstore signs any request, and the bucket itself is the object of no name in it.
    store = objects.open_bucket(configured, name)
    address = await obstore.sign_async(store, "PUT", "", _ALIVE)
    on_aws_elsewhere = configured.endpoint is None and configured.region != "us-east-1"
    body = _ELSEWHERE.format(region=configured.region) if on_aws_elsewhere else ""
    try:
        async with httpx2.AsyncClient(timeout=_TIMEOUT_S) as web:
            answer = await web.put(address, content=body)
    except httpx2.HTTPError as exc:
        raise errors.TransientError(
            f"the object store failed ({type(exc).__name__})", reason=outcomes.Reason.STORE_UNAVAILABLE
        ) from exc
    if answer.status_code == _THERE_ALREADY and "OwnedByYou" in answer.text:
        return
    if not answer.is_success:
        raise errors.ConfigurationError(
            f"store: the object store does not let this login create the bucket {name} (HTTP {answer.status_code})"
        )
