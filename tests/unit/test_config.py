from __future__ import annotations

import logging
from importlib import import_module

import pytest

from rucio_cs3 import config as config_module
from rucio_cs3.broker.config import ENV_FILE as BROKER_FILE
from rucio_cs3.cli import COMMANDS
from rucio_cs3.config import ENV_OTHERS, SECRETS, Config, from_environment
from rucio_cs3.errors import ConfigError

SECRET = "hunter2-very-secret"


def test_the_same_names_everywhere(tmp_path):
    file = tmp_path / "site.toml"
    file.write_text('gateway = "toml:1"\nusername = "toml"\ncall_timeout = 3\n')
    environ = {"RUCIO_CS3_CONFIG": str(file), "RUCIO_CS3_USERNAME": "env", "RUCIO_CS3_TLS": "off", "HOME": "/"}
    config = Config.load(environ=environ, call_timeout=5)
    assert (config.gateway, config.username, config.tls, config.call_timeout) == ("toml:1", "env", False, 5.0)


def test_sensible_defaults():
    config = Config("host:443")
    assert config.tls
    assert config.call_timeout > 0


def test_no_secret_is_shown():
    config = Config("host:1", **dict.fromkeys(SECRETS, SECRET))
    assert SECRET not in repr(config)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "no gateway"),
        ({"gateway": "host"}, "not host:port"),
        ({"gateway": "https://host:1/x"}, "not host:port"),
        ({"gateway": "host:99999"}, "not host:port"),
        ({"gateway": "host:1", "user": "x"}, "did you mean 'username'"),
        ({"gateway": "host:1", "tls": "perhaps"}, "tls: 'perhaps' is not true or false"),
        ({"gateway": "host:1", "call_timeout": "soon"}, "'soon' is not a number of seconds"),
        ({"gateway": "host:1", "call_timeout": 0}, "more than 0"),
        ({"gateway": "host:1", "call_timeout": "inf"}, "at most a day"),
        ({"gateway": "host:1", "stall_timeout": "nan"}, "at most a day"),
        ({"gateway": "host:1", "retries": "x"}, "not a whole number"),
        ({"gateway": "host:1", "username": 5}, "5 is not text"),
        ({"gateway": "host:1", "auth": "magic"}, "use one of: token, bearer, rucio, exchange"),
        ({"gateway": "host:1", "verify": "never"}, "use one of: none, server, readback"),
        ({"gateway": "host:1", "tls": False, "ca": "x"}, "mean nothing"),
        ({"gateway": "host:1", "client_cert": "x"}, "go together"),
    ],
)
def test_wrong_settings_are_named(settings, words):
    with pytest.raises(ConfigError) as caught:
        Config.of(settings, "here")
    assert words in str(caught.value)


def test_a_wrong_secret_is_not_shown():
    with pytest.raises(ConfigError) as caught:
        Config.of({"gateway": "host:1", "password": [SECRET]})
    assert SECRET not in str(caught.value)


def test_the_variable_is_named():
    with pytest.raises(ConfigError, match="RUCIO_CS3_RETRIES"):
        Config.load(environ={"RUCIO_CS3_GATEWAY": "h:1", "RUCIO_CS3_RETRIES": "many"})


@pytest.mark.parametrize("content", [None, b"gateway = ", b"\xff\xfe", b'[section]\nkey = "x"'])
def test_wrong_files_are_named(tmp_path, content):
    file = tmp_path / "site.toml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError, match=r"site\.toml"):
        Config.load(str(file), environ={})


def test_secrets_come_from_files_read_each_time(tmp_path):
    file = tmp_path / "secret"
    file.touch(0o600)
    config = Config("host:1", password_file=str(file))
    for value in ("one", "two"):
        file.write_text(value + "\n")
        assert config.secret_value("password") == value
    file.write_text("")
    with pytest.raises(ConfigError, match="is empty"):
        config.secret_value("password")
    file.write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(ConfigError, match="not text"):
        config.secret_value("password")
    file.write_text("x" * 100_001)
    with pytest.raises(ConfigError, match="longer than any secret"):
        config.secret_value("password")
    file.chmod(0o604)
    with pytest.raises(ConfigError, match=r"password_file .*secret can be read or changed by others; chmod o-rwx"):
        config.secret_value("password")
    file.unlink()
    with pytest.raises(ConfigError, match="No such file"):
        config.secret_value("password")


ENV = {"RUCIO_CS3_GATEWAY": "site-a:1", "RUCIO_CS3_TOKEN": "token of site a", "RUCIO_CS3_CALL_TIMEOUT": "7"}


def test_a_login_for_one_site_never_goes_to_another():
    config = Config.load(environ=ENV, gateway="site-b:1")
    assert (config.token, config.call_timeout) == (None, 7)
    assert Config.load(environ=ENV).token == "token of site a"


def test_a_login_comes_from_the_strongest_place_only():
    config = Config.load(environ=ENV, username="einstein", password="p")
    assert (config.gateway, config.password, config.token) == ("site-a:1", "p", None)


def test_a_secret_in_a_home_that_is_not_there(monkeypatch):
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", {}.__getitem__)
    with pytest.raises(ConfigError, match="cannot read password_file ~/secret: there is no home"):
        Config("host:1", password_file="~/secret").secret_value("password")


@pytest.mark.parametrize("name", ["issuer", "broker"])
@pytest.mark.parametrize("url", ["https://[x", "https://", "x", "http://example.org", "https://me:pw@example.org"])
def test_where_secrets_go_is_an_address_that_nobody_listens_at(name, url):
    with pytest.raises(ConfigError, match=name) as caught:
        Config("host:1", **{name: url})
    assert "pw" not in str(caught.value)
    assert Config("host:1", **{name: "https://example.org/realm"})
    assert Config("host:1", **{name: "http://localhost:8080"})


def test_a_configuration_with_a_secret_is_for_nobody_else(tmp_path):
    file = tmp_path / "site.toml"
    file.write_text('gateway = "h:1"\npassword = "p"\n')
    file.chmod(0o644)
    with pytest.raises(ConfigError, match="can be read or changed by others; chmod o-rwx"):
        Config.load(str(file), environ={})
    file.chmod(0o600)
    assert Config.load(str(file), environ={}).password == "p"


def test_a_command_is_not_shown():
    assert SECRET not in repr(Config("h:1", token_command=f"login {SECRET}"))


@pytest.fixture
def warned(caplog):
    """What is said of these variables, in a process that has said nothing yet."""
    config_module._warn_if_unknown.cache_clear()

    def warned(*variables):
        caplog.clear()
        from_environment(dict.fromkeys(variables, SECRET))
        assert {record.levelno for record in caplog.records} <= {logging.WARNING}
        return [record.getMessage() for record in caplog.records]

    yield warned
    config_module._warn_if_unknown.cache_clear()


@pytest.mark.parametrize(
    ("variable", "near"),
    [
        ("RUCIO_CS3_USRNAME", "; did you mean RUCIO_CS3_USERNAME?"),
        ("RUCIO_CS3_PASWORD_FILE", "; did you mean RUCIO_CS3_PASSWORD_FILE?"),
        ("RUCIO_CS3_Token", "; did you mean RUCIO_CS3_TOKEN?"),
        ("RUCIO_CS3_OF_A_LATER_VERSION", ""),
        ("RUCIO_CS3_", ""),
    ],
)
def test_a_misspelt_variable_is_told_once_in_one_line(warned, variable, near):
    assert warned(variable) == [f"the environment has {variable}, which is no setting of this rucio-cs3{near}"]
    assert warned(variable) == []


def test_what_the_variable_is_called_cannot_write_lines_of_its_own(warned):
    [said] = warned("RUCIO_CS3_X\nERROR: forged")
    assert "\n" not in said


def test_variables_that_are_no_settings_are_known(warned):
    names = ["RUCIO_CS3_TEST_REVA", *ENV_OTHERS, BROKER_FILE, "RUCIO_CS3_TOKEN", "RUCIO_HOME", "_RUCIO_CS3_COMPLETE"]
    assert warned(*names) == []


def test_variables_that_stand_for_options_are_known(warned):
    commands = [getattr(import_module(module), name) for module, name in COMMANDS.values()]
    commands += [below for command in commands for below in getattr(command, "commands", {}).values()]
    names = {option.envvar for command in commands for option in command.params if option.envvar}
    assert names >= {"RUCIO_CS3_DOOR", "RUCIO_CS3_MOVER"}
    assert warned(*names) == []
