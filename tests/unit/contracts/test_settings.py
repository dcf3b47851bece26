"""Settings: where they come from, and how their problems are told."""

from __future__ import annotations

import pathlib

import pytest

from aftercall.contracts import errors, settings


def test_defaults_need_nothing() -> None:
    """An empty environment gives a service that binds to loopback and detects languages."""
    loaded = settings.load({})

    assert ("127.0.0.1", None, True) == (loaded.api.host, loaded.speech.language, loaded.intake.enabled)


def test_the_environment_beats_the_file_and_the_command_line_beats_both(tmp_path: pathlib.Path) -> None:
    """Precedence is command line, environment, file, default."""
    file = tmp_path / "settings.yaml"
    file.write_text("speech: {model: from-file, beam_size: 5, language: es}\n")

    loaded = settings.load(
        {"AFTERCALL_SPEECH__MODEL": "from-env", "AFTERCALL_SPEECH__LANGUAGE": "en"},
        file=file,
        overrides={"speech": {"language": "de"}},
    )

    assert ("from-env", 5, "de") == (loaded.speech.model, loaded.speech.beam_size, loaded.speech.language)


@pytest.mark.parametrize(
    ("name", "value", "read"),
    [
        ("TRANSCRIPTION_POST_ENABLED", "false", lambda found: found.intake.enabled is False),
        ("TRANSCRIPTION_POST_ENABLED", "true", lambda found: found.intake.enabled is True),
        ("WHISPER_MODEL", "small", lambda found: found.speech.model == "small"),
        ("STT_LANGUAGE", "en", lambda found: found.speech.language == "en"),
        ("STT_LANGUAGE", "auto", lambda found: found.speech.language is None),
        ("WHISPER_URL", "http://127.0.0.1:9000", lambda found: str(found.speech.url) == "http://127.0.0.1:9000/"),
    ],
)
def test_names_of_other_products_work(name: str, value: str, read: object) -> None:
    """An environment made for another product is understood."""
    assert read(settings.load({name: value}))  # type: ignore[operator]


def test_our_own_name_beats_an_alias() -> None:
    """Where both are set, the one made for this product is meant."""
    loaded = settings.load({"WHISPER_MODEL": "tiny", "AFTERCALL_SPEECH__MODEL": "small"})

    assert loaded.speech.model == "small"


def test_every_problem_is_told_at_once(tmp_path: pathlib.Path) -> None:
    """Nobody should have to start a service five times to find five mistakes."""
    file = tmp_path / "settings.yaml"
    file.write_text("speech: {modle: tiny}\nnonsense: 1\n")

    with pytest.raises(errors.ConfigurationError) as caught:
        settings.load(
            {"AFTERCALL_API__PORT": "many", "AFTERCALL_SPEECH__TYPO": "1", "AFTERCALL_API__HOST": "0.0.0.0"}, file=file
        )

    said = str(caught.value).splitlines()
    for expected in ("AFTERCALL_SPEECH__TYPO", "api.port", "speech.modle", "nonsense", "api.host"):
        assert any(expected in line for line in said), expected


@pytest.mark.parametrize("text", ["- a\n", "speech: [", "\x00"])
def test_a_file_that_is_no_mapping_is_a_problem(tmp_path: pathlib.Path, text: str) -> None:
    """A broken file is named."""
    file = tmp_path / "settings.yaml"
    file.write_text(text)

    with pytest.raises(errors.ConfigurationError, match="settings file"):
        settings.load({}, file=file)


def test_binding_beyond_loopback_wants_keys() -> None:
    """Privacy is the default."""
    with pytest.raises(errors.ConfigurationError, match=r"api\.keys"):
        settings.load({"AFTERCALL_API__HOST": "0.0.0.0"})

    assert settings.load({"AFTERCALL_API__HOST": "0.0.0.0", "AFTERCALL_API__KEYS": "{acme: s3cret}"})


def test_secrets_are_never_printed() -> None:
    """A settings object in a log or a traceback shows no key."""
    loaded = settings.load({"AFTERCALL_API__KEYS": "{acme: s3cret}", "AFTERCALL_SPEECH__API_KEY": "t0ken"})

    assert "s3cret" not in repr(loaded)
    assert "t0ken" not in repr(loaded)


@pytest.mark.parametrize("keys", ['{acme: ""}', "{acme: same, globex: same}"])
def test_a_key_is_one_tenants(keys: str) -> None:
    """An empty key would let everyone in, and a shared one would let two tenants into each other."""
    with pytest.raises(errors.ConfigurationError, match=r"api\.keys"):
        settings.load({"AFTERCALL_API__KEYS": keys})


def test_lists_and_mappings_come_as_yaml() -> None:
    """Values with structure are written as in the file."""
    loaded = settings.load({"AFTERCALL_SPEECH__TEMPERATURES": "[0.0, 0.4]"})

    assert (0.0, 0.4) == loaded.speech.temperatures


def test_an_unlisted_tenant_lets_nothing_leave() -> None:
    """The default policy has no egress."""
    assert () == settings.load({}).policy("anyone").egress_hosts


def test_a_secret_may_lie_in_a_file(tmp_path: pathlib.Path) -> None:
    """As a mounted one does; its final line break is not part of it, and it is never shown."""
    (tmp_path / "password").write_text("s3cret\n")
    loaded = settings.load({"AFTERCALL_KAFKA__PASSWORD_FILE": str(tmp_path / "password")})
    assert loaded.kafka.password is not None
    assert "s3cret" == loaded.kafka.password.get_secret_value()
    assert "s3cret" not in repr(loaded)

    with pytest.raises(errors.ConfigurationError) as caught:
        settings.load(
            {
                "AFTERCALL_KAFKA__PASSWORD_FILE": str(tmp_path / "password"),
                "AFTERCALL_KAFKA__PASSWORD": "other",
                "AFTERCALL_STORE__SECRET_ACCESS_KEY_FILE": str(tmp_path / "missing"),
                "AFTERCALL_SPEECH__MODEL_FILE": "x",
            }
        )
    assert 3 == len(str(caught.value).splitlines())
    assert "s3cret" not in str(caught.value)


def test_a_broker_that_wants_a_login_wants_all_of_it() -> None:
    """What is missing is named."""
    with pytest.raises(errors.ConfigurationError, match=r"kafka\.username.*\n.*kafka\.password"):
        settings.load({"AFTERCALL_KAFKA__SECURITY_PROTOCOL": "SASL_SSL", "AFTERCALL_KAFKA__SASL_MECHANISM": "PLAIN"})
    servers = settings.load({"AFTERCALL_KAFKA__BOOTSTRAP_SERVERS": "a:9092, b:9092"}).kafka.bootstrap_servers
    assert ("a:9092", "b:9092") == servers


def test_a_consumer_that_reports_says_of_which_pool_and_with_which_token() -> None:
    """Each report would be refused."""
    with pytest.raises(errors.ConfigurationError, match=r"needs reporting\.pool and reporting\.token_file"):
        settings.load({"AFTERCALL_REPORTING__URL": "http://operator:8480"})
