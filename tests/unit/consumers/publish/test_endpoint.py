"""A tenant's endpoint: read from files that come and go, and never told in an error."""

from __future__ import annotations

import base64
import pathlib

import pytest

from aftercall.consumers.publish import endpoint
from aftercall.contracts import errors, tenants

OLD, NEW = (base64.b64encode(bytes([at]) * 32).decode() for at in (1, 2))


def hook(folder: pathlib.Path) -> tenants.Webhook:
    """Return the webhook of a mounted Secret."""
    return tenants.Webhook(url_file=folder / "url", secret_files=(folder / "secret", folder / "next-secret"))


@pytest.fixture
def mounted(tmp_path: pathlib.Path) -> pathlib.Path:
    """A folder as a Secret with two keys is mounted."""
    (tmp_path / "url").write_text("https://hooks.acme.example/calls?token=s3cret\n")
    (tmp_path / "secret").write_text(f"whsec_{OLD}\n")
    return tmp_path


def test_a_secret_without_a_second_key_is_whole(mounted: pathlib.Path) -> None:
    """During a rotation both sign, and after it the second alone would do."""
    assert endpoint.Endpoint("https://hooks.acme.example/calls?token=s3cret", (bytes([1]) * 32,)) == endpoint.read(
        hook(mounted)
    )
    (mounted / "next-secret").write_text(f"whsec_{NEW}")
    assert (bytes([1]) * 32, bytes([2]) * 32) == endpoint.read(hook(mounted)).secrets

    (mounted / "secret").unlink()

    assert (bytes([2]) * 32,) == endpoint.read(hook(mounted)).secrets


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"url": None}, "webhook address: {folder}/url is not there"),
        ({"url": "hooks.acme.example/s3cret"}, "webhook address: {folder}/url: is no http:// or https:// address"),
        ({"url": b"\xff\xfe"}, "webhook: {folder}/url is no text"),
        ({"secret": None}, "webhook secret: none of {folder}/secret, {folder}/next-secret is there"),
        ({"secret": "s3cret"}, "webhook secret: {folder}/secret: a webhook secret is whsec_"),
        ({"next-secret": "whsec_s3cret"}, "webhook secret: {folder}/next-secret: a webhook secret is whsec_"),
    ],
)
def test_what_is_missing_or_wrong_is_named_and_never_told(
    mounted: pathlib.Path, files: dict[str, str | bytes | None], said: str
) -> None:
    """The file, and what it has to hold."""
    for name, text in files.items():
        if text is None:
            (mounted / name).unlink()
        else:
            (mounted / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(errors.ConfigurationError) as caught:
        endpoint.read(hook(mounted))

    assert said.format(folder=mounted) in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_an_address_in_the_policy_needs_no_file(mounted: pathlib.Path) -> None:
    """As it was before."""
    plain = tenants.Webhook.model_validate({"url": "https://a.example/x", "secret_files": [mounted / "secret"]})

    assert "https://a.example/x" == endpoint.read(plain).url
