"""`aftercall operator` refuses to start with what cannot work, in a sentence."""

from __future__ import annotations

import pathlib

import pytest

from aftercall.cli import operating
from aftercall.contracts import errors
from aftercall.operator import accounts, failures, kube


def written(folder: pathlib.Path, text: str) -> pathlib.Path:
    """Return a settings file."""
    file = folder / "aftercall.yaml"
    file.write_text(text)
    return file


def test_without_a_broker_no_backlog_is_known(tmp_path: pathlib.Path) -> None:
    """It names the setting."""
    with pytest.raises(errors.ConfigurationError, match=r"kafka\.bootstrap_servers"):
        operating.operate(written(tmp_path, ""))


def test_a_certificate_needs_its_key(tmp_path: pathlib.Path) -> None:
    """And the other way round."""
    text = "kafka: {bootstrap_servers: [b:9092]}\noperator: {certificate_file: /c.pem}"

    with pytest.raises(errors.ConfigurationError, match=r"operator\.key_file"):
        operating.operate(written(tmp_path, text))


def test_outside_of_a_cluster_it_says_how_to_reach_one(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a pod's account nor a kubeconfig."""
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    monkeypatch.setenv("HOME", str(tmp_path))

    with pytest.raises(errors.ConfigurationError, match="KUBECONFIG"):
        kube.Kube.configured("calls")


async def test_an_api_server_that_is_away_is_no_bad_token() -> None:
    """A consumer is answered 503 and tries again, not 401."""

    class Away(accounts.Accounts):
        def __init__(self) -> None:
            pass

        async def tell(self, token: str) -> accounts.Caller | None:
            raise failures.UnavailableError("away")

    with pytest.raises(errors.TransientError, match="tokens cannot be reviewed now: away"):
        await operating._authenticate(Away())("t")
