"""What every request passes before anything else looks at it, whatever address it is for."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import unquote_to_bytes

import pydantic
from starlette import datastructures, types

from aftercall.api import keys, problems

MAX_HEAD_BYTES = 16 * 1024
_WITH_KEY = {"WWW-Authenticate": 'Bearer realm="aftercall"'}
_ALWAYS = ((b"x-content-type-options", b"nosniff"),)
# Transcripts are nobody's but the tenant's: no cache on the way keeps one.
_PRIVATE = (*_ALWAYS, (b"cache-control", b"no-store"))


class Gate:
    """ASGI middleware: refuses malformed addresses and strangers under `/v1`, and notes the caller's tenant.

    Paths in `signed` need no key: a signature that their endpoint checks stands for it.

    Being in front of the routes it also covers addresses and methods that do not exist, and no endpoint can forget it.
    """

    def __init__(
        self,
        app: types.ASGIApp,
        *,
        api_keys: Mapping[str, pydantic.SecretStr],
        signed: frozenset[str] = frozenset(),
    ) -> None:
        self._app = app
        self._keys = api_keys
        self._signed = signed

    async def __call__(self, scope: types.Scope, receive: types.Receive, send: types.Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        private = scope["path"] == "/v1" or scope["path"].startswith("/v1/")

        async def send_with_headers(message: types.Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *(_PRIVATE if private else _ALWAYS)]}
            await send(message)

        try:
            _check_head(scope)
            keyed = private and scope["path"] not in self._signed
            caller = self._caller(datastructures.Headers(scope=scope)) if keyed else None
        except problems.ProblemError as exc:
            await problems.answer(exc, path=scope["path"])(scope, receive, send_with_headers)
            return
        # Whoever answers GET answers HEAD; the server leaves out the body.
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        passed = {**scope, "method": method, "state": {**scope.get("state", {}), "caller": caller}}
        await self._app(passed, receive, send_with_headers)

    def _caller(self, headers: Mapping[str, str]) -> str | None:
        """Return the caller's tenant; None on this machine without keys, where every tenant may be asked for."""
        if self._keys:
            tenant = keys.tenant_of(headers, self._keys)
            if tenant is None:
                raise problems.ProblemError(401, "this request needs the API key of a tenant", headers=_WITH_KEY)
            return tenant
        if not keys.is_local(headers):
            raise problems.ProblemError(403, "without API keys, only requests from this machine to itself are served")
        return None


def _check_head(scope: types.Scope) -> None:
    """Refuse what is too long, and an address that the routes would see in another shape than it was sent in."""
    path: bytes = scope.get("raw_path") or scope["path"].encode()
    query: bytes = scope.get("query_string", b"")
    if len(path) + len(query) + sum(len(name) + len(value) for name, value in scope["headers"]) > MAX_HEAD_BYTES:
        raise problems.ProblemError(431, f"the address and the headers are longer than {MAX_HEAD_BYTES} bytes")
    # Decoded, the slash of an id would look like one between two parts of the address.
    if b"%2f" in path.lower():
        raise problems.ProblemError(400, "the address holds an encoded slash; no id may hold a slash")
    try:
        # Decoded leniently, two different ids would become one.
        unquote_to_bytes(path).decode()
        unquote_to_bytes(query).decode()
    except UnicodeDecodeError as exc:
        raise problems.ProblemError(400, "the address is not UTF-8 once its percent signs are decoded") from exc
