from __future__ import annotations

import copy

import pytest

from rucio_cs3.broker import config
from rucio_cs3.errors import ConfigError
from tests.unit.broker.conftest import SECRET

SITE = "cs3.example.org:443"


@pytest.fixture
def good(secret_file):
    site = {"machine_secret_file": str(secret_file), "accounts": {"root": "rucio"}}
    return {"rucio": {"host": "https://rucio.example.org"}, "sites": {SITE: site}}


def test_defaults(good, load):
    read = load(good)
    assert (read.behind_proxy, read.limits.requests_per_minute, read.rucio.ca) == (False, 60, None)
    assert read.sites[SITE].tls
    assert read.sites[SITE].secret() == SECRET


def changes(**values):
    return lambda good: good["sites"][SITE].update(values)


def removes(*names):
    return lambda good: [good["sites"][SITE].pop(name) for name in names]


# What is done to a good configuration, and the words of the one line that comes of it.
MISTAKES = {
    "no rucio": (lambda c: c.pop("rucio"), "there is no [rucio]; add it"),
    "no host": (lambda c: c.update(rucio={"ca": "x"}), "rucio: no host is given"),
    "no sites": (lambda c: c.pop("sites"), 'there is no [sites."cs3.example.org:443"]'),
    "misspelt table": (lambda c: c.update(limit={}), "unknown setting 'limit'; did you mean 'limits'?"),
    "misspelt host": (lambda c: c["rucio"].update(hots="x"), "rucio: unknown setting 'hots'; did you mean 'host'?"),
    "misspelt limit": (lambda c: c.update(limits={"request_per_minute": 1}), "did you mean 'requests_per_minute'?"),
    "misspelt in site": (changes(acounts={}), f"site {SITE}: unknown setting 'acounts'; did you mean 'accounts'?"),
    "proxy": (lambda c: c.update(behind_proxy="yes"), "behind_proxy is not true or false"),
    "rate": (lambda c: c.update(limits={"requests_per_minute": 0}), "requests_per_minute must be more than 0"),
    "fraction": (lambda c: c.update(limits={"requests_per_minute": 1.5}), "requests_per_minute is not a whole number"),
    "timeout": (lambda c: c.update(limits={"timeout": -1}), "timeout must be more than 0"),
    "refusals": (lambda c: c.update(limits={"refusals_per_minute": 0}), "refusals_per_minute must be more than 0"),
    "no network": (lambda c: c.update(metrics={"allow": ["intranet"]}), "metrics: allow: 'intranet' does not appear"),
    "no list": (lambda c: c.update(metrics={"allow": "127.0.0.1"}), "metrics: allow is not a list of texts"),
    "empty token": (lambda c: c.update(metrics={"token": ""}), "metrics: token is empty"),
    "two tokens": (lambda c: c.update(metrics={"token": "x", "token_file": "y"}), "metrics: token and token_file are"),
    "no token file": (lambda c: c.update(metrics={"token_file": "/nowhere"}), "cannot read token_file /nowhere"),
    "public token": (lambda c: c.update(metrics={"token": SECRET}), "the token for metrics stands in it"),
    "not an address": (lambda c: c["rucio"].update(host="rucio.example.org"), "'rucio.example.org' is no address"),
    "in the clear": (lambda c: c["rucio"].update(host="http://rucio.example.org"), "in the clear; use https"),
    "ca without TLS": (lambda c: c["rucio"].update(host="http://[::1]:80", ca="x"), "ca means nothing without https"),
    "no such ca": (lambda c: c["rucio"].update(ca="/nowhere"), "rucio: cannot read the certificate authorities"),
    "no such ca of a site": (changes(ca="/nowhere"), f"site {SITE}: cannot read the certificate authorities"),
    "site not a table": (lambda c: c["sites"].update({SITE: 5}), f"site {SITE}: a table of settings is wanted"),
    "site no address": (lambda c: c.update(sites={"cs3": c["sites"][SITE]}), "'cs3' is not host:port"),
    "site twice": (lambda c: c["sites"].update({SITE.upper(): c["sites"][SITE]}), "a site is there twice"),
    "plaintext with ca": (changes(tls=False, ca="x"), "mean nothing with tls = false"),
    "no secret": (removes("machine_secret_file"), "one of machine_secret_file and machine_secret is wanted"),
    "two secrets": (changes(machine_secret="x"), "one of machine_secret_file and machine_secret is wanted"),
    "no such file": (changes(machine_secret_file="/nowhere"), "machine_secret_file /nowhere: No such file"),
    "secret no text": (changes(machine_secret=[SECRET]), "machine_secret is not text"),
    "nobody": (removes("accounts"), "nobody is mapped"),
    "accounts": (changes(accounts=["root"]), "accounts is not a table of account = user"),
    "user no text": (changes(accounts={"root": 1}), "accounts is not a table of account = user"),
    "empty user": (changes(accounts={"root": ""}), "root = '' cannot be a user name"),
    "odd user": (changes(accounts={"root": "a\tb"}), "cannot be a user name"),
    "odd account": (changes(accounts={"a:b": "x"}), "'a:b' cannot be the name of a Rucio account"),
    "odd VO": (changes(accounts={"root@abcd": "x"}), "'root@abcd' cannot be the name of a Rucio account"),
    "own VO": (changes(accounts={"root@def": "x"}), "'root@def' is of Rucio's own VO; write 'root'"),
    "VO of a template": (changes(vo="atlas"), "vo = 'atlas' cannot be a VO of Rucio's"),
    "logins in the clear": (
        lambda c: c["rucio"].update(auth_host="http://rucio.example.org"),
        "auth_host = 'http://rucio.example.org' would send tokens in the clear; use https",
    ),
    "template alone": (changes(template="{account}"), "template and only go together"),
    "only alone": (changes(only=".*"), "template and only go together"),
    "constant template": (changes(template="rucio", only=".*"), "must have {account} in it, once"),
    "other placeholder": (changes(template="{account}{x}", only=".*"), "can only add letters"),
    "by mail": (changes(template="mail:{account}@example.org", only=".*"), "listed in accounts"),
    "not a pattern": (changes(template="{account}", only="[a-z"), "'[a-z' is no regular expression"),
}


@pytest.mark.parametrize(("change", "words"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_named_in_one_line(good, load, tmp_path, change, words):
    wrong = copy.deepcopy(good)
    change(wrong)
    with pytest.raises(ConfigError) as caught:
        load(wrong)
    said = str(caught.value)
    assert words in said
    assert str(tmp_path / "broker.toml") in said or "_file" in said
    assert "\n" not in said
    assert SECRET not in said


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o606, 0o601])
def test_a_secret_file_that_others_can_read(good, load, secret_file, mode):
    secret_file.chmod(mode)
    with pytest.raises(ConfigError, match=f"can be read or changed by others; chmod o-rwx {secret_file}"):
        load(good)


def test_the_group_may_read_because_orchestrators_mount_secrets_so(good, load, secret_file):
    secret_file.chmod(0o640)
    assert load(good).sites[SITE].secret() == SECRET


def test_a_secret_in_the_configuration_makes_it_private(good, load, tmp_path):
    del good["sites"][SITE]["machine_secret_file"]
    good["sites"][SITE]["machine_secret"] = SECRET
    file = tmp_path / "broker.toml"
    file.touch(mode=0o644)
    with pytest.raises(ConfigError, match="machine_secret stands in it") as caught:
        load(good)
    assert SECRET not in str(caught.value)
    file.chmod(0o600)
    assert load(good).sites[SITE].secret() == SECRET


@pytest.mark.parametrize("content", [b"x = ", b"\xff", None])
def test_a_file_that_is_none(tmp_path, content):
    file = tmp_path / "broker.toml"
    if content:
        file.write_bytes(content)
    with pytest.raises(ConfigError, match="is not TOML" if content else "cannot read"):
        config.load(file)


def test_the_environment_names_it(good, load, tmp_path, monkeypatch):
    load(good)
    monkeypatch.setenv(config.ENV_FILE, str(tmp_path / "broker.toml"))
    assert list(config.load().sites) == [SITE]
    monkeypatch.delenv(config.ENV_FILE)
    with pytest.raises(ConfigError, match=config.ENV_FILE):
        config.load()
