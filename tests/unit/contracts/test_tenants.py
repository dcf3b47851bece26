"""Tenant policies."""

from __future__ import annotations

import pydantic
import pytest

from aftercall.contracts import tenants


@pytest.mark.parametrize("field", sorted(tenants.NOT_BUILT))
def test_what_is_not_built_is_refused_and_never_ignored(field: str) -> None:
    """A tenant that asks for redaction must not be transcribed without it."""
    with pytest.raises(pydantic.ValidationError, match="not built yet"):
        tenants.TenantPolicy.model_validate({"name": "acme", field: 1})


def test_unknown_fields_are_refused() -> None:
    """A typing error in a policy cannot pass unseen."""
    with pytest.raises(pydantic.ValidationError, match="Extra inputs"):
        tenants.TenantPolicy.model_validate({"name": "acme", "egres_hosts": []})
