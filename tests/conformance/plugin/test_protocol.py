from __future__ import annotations

import json
import os
import subprocess
import sys
import zlib

import pytest
from rucio.common import exception

from tests.conformance.plugin.rse import PREFIX, pfn, protocol_of


def test_upload_as_rucio_does_it(protocol, local):
    target = protocol().lfns2pfns({"scope": "mock", "name": "a file"})["mock:a file"]
    first = protocol()
    assert not first.exists(target)
    first.close()
    second = protocol()
    assert not second.exists(target)
    assert not second.exists(target + ".rucio.upload")
    second.put("file", target + ".rucio.upload", str(local), transfer_timeout=360)
    assert second.stat(target + ".rucio.upload")["filesize"] == 7
    second.rename(target + ".rucio.upload", target)
    assert second.exists(target)
    assert not second.exists(target + ".rucio.upload")
    second.close()
    third = protocol()
    third.get(target, str(local / "back.part"), transfer_timeout=60.0)
    assert (local / "back.part").read_bytes() == b"content"
    third.delete(target)
    assert not third.exists(target)


@pytest.mark.parametrize("source_dir", [True, False, None])
def test_source_with_and_without_its_folder(protocol, local, source_dir):
    source, folder = ("file", str(local)) if source_dir else (str(local / "file"), "" if source_dir is False else None)
    protocol().put(source, pfn("f"), folder)
    assert protocol().stat(pfn("f"))["filesize"] == 7


@pytest.mark.parametrize("name", ["a b", "ünïcode", "100%", "%41", "a#b", "a?b", "a+b", "a&b=c", "it's", "x" * 200])
def test_any_name_survives_the_round_trip(protocol, local, name):
    plugin = protocol()
    target = plugin.lfns2pfns({"scope": "mock", "name": name})[f"mock:{name}"]
    plugin.put("file", target, str(local))
    parsed = plugin.parse_pfns(target)[target]
    assert (parsed["name"], parsed["path"]) == (name, "/mock/")
    assert plugin.exists(target)
    plugin.delete(target)
    assert not plugin.exists(target)


def test_checksums_are_told_only_if_the_storage_computed_them(protocol, stored, storage):
    answer = protocol().stat(stored)
    expected = {"adler32": f"{zlib.adler32(b'content'):08x}"} if storage.has_checksums else {}
    assert answer.items() >= {"filesize": 7, **expected}.items()
    assert ("adler32" in answer) == storage.has_checksums


def test_the_non_deterministic_rse_parses_its_pfns(storage, folder, rucio_cfg, stored):
    plugin = protocol_of(storage, folder, deterministic=False)
    plugin.connect()
    assert plugin.parse_pfns([stored])[stored]["path"] == "/scope/"
    assert plugin.exists(stored)


def test_a_path_below_the_prefix_is_a_name_too(protocol, stored):
    assert protocol().path2pfn("scope/stored") == stored
    assert protocol().exists("scope/stored")


def test_free_space(protocol, storage):
    if storage.has_quota:
        total, unused = protocol().get_space_usage()
        assert 0 <= unused <= total
    else:
        with pytest.raises(exception.RSEOperationNotSupported, match="no limit"):
            protocol().get_space_usage()


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        (lambda p: p.exists(pfn("")), exception.RSEFileNameNotSupported),
        (lambda p: p.delete(pfn("")), exception.RSEFileNameNotSupported),
        (lambda p: p.delete(pfn("..")), exception.RSEFileNameNotSupported),
        (lambda p: p.delete(pfn("a/%2e%2e/%2e%2e/b")), exception.RSEFileNameNotSupported),
        (lambda p: p.delete("davs://dav.example.org:443/elsewhere/f"), exception.RSEFileNameNotSupported),
        (lambda p: p.exists(pfn("n" * 256)), exception.RSEFileNameNotSupported),
        (lambda p: p.parse_pfns("davs://elsewhere:443/x"), exception.RSEFileNameNotSupported),
        (lambda p: p.exists(pfn("scope")), exception.RSEOperationNotSupported),
        (lambda p: p.stat(pfn("scope")), exception.RSEOperationNotSupported),
        (lambda p: p.delete(pfn("scope")), exception.RSEOperationNotSupported),
        (lambda p: p.get(pfn("scope"), os.devnull + "x"), exception.RSEOperationNotSupported),
        (lambda p: p.rename(pfn("scope/stored"), pfn("scope")), exception.RSEOperationNotSupported),
        (lambda p: p.rename(pfn("scope"), pfn("scope/below")), exception.RSEOperationNotSupported),
        (lambda p: p.rename(pfn("scope/stored"), pfn("other")), exception.FileReplicaAlreadyExists),
        (lambda p: p.rename(pfn("missing"), pfn("new")), exception.SourceNotFound),
        (lambda p: p.stat(pfn("missing")), exception.SourceNotFound),
        (lambda p: p.delete(pfn("missing")), exception.SourceNotFound),
        (lambda p: p.delete(pfn("scope/missing")), exception.SourceNotFound),
        (lambda p: p.get(pfn("missing"), os.devnull + "x"), exception.SourceNotFound),
        (lambda p: p.get(pfn("scope/stored"), "/nowhere/x"), exception.DestinationNotAccessible),
        (lambda p: p.put("missing", pfn("f"), "/nowhere"), exception.SourceNotFound),
        (lambda p: p.put("etc", pfn("f"), "/"), exception.SourceAccessDenied),
    ],
)
def test_what_cannot_be_done_is_said_and_changes_nothing(protocol, stored, local, operation, expected):
    plugin = protocol()
    plugin.put("file", pfn("other"), str(local))
    with pytest.raises(expected) as caught:
        operation(plugin)
    assert type(caught.value) is expected
    assert plugin.exists(stored)
    assert plugin.exists(pfn("other"))


@pytest.mark.parametrize(
    ("rse", "changes", "words"),
    [
        ("WRONG", {}, "refused the basic login of einstein"),
        ("NONE", {}, "no credentials are set"),
        ("NOUSER", {}, "no username is set"),
        ("R", {"extended_attributes": "{"}, "not of the form"),
        ("R", {"extended_attributes": {"cs3": {"webdav_root": "/", "gateway": "x"}}}, "not host:port"),
        ("R", {"prefix": "/outside/"}, "not below webdav_root"),
    ],
)
def test_a_wrong_set_up_is_one_line_at_connect(protocol, rse, changes, words):
    with pytest.raises(exception.RSEAccessDenied) as caught:
        protocol(rse, **changes)
    details = str(caught.value).partition("Details: ")[2]
    assert words in details
    assert len(details.strip().splitlines()) == 1


def test_credentials_may_stand_in_rse_accounts_cfg(storage, rucio_cfg, protocol, monkeypatch):
    home = rucio_cfg.parent.parent
    (home / "etc").mkdir(exist_ok=True)
    monkeypatch.setenv("RUCIO_HOME", str(home))
    accounts = home / "etc" / "rse-accounts.cfg"
    login = {"username": storage.user, "password": storage.password}
    accounts.write_text(json.dumps({"id-of-OTHER": {"cs3": login, "s3": {}}}))
    protocol("OTHER")
    for wrong in ("{", "[]", '{"id-of-OTHER": []}', '{"id-of-OTHER": {"cs3": 7}}'):
        accounts.write_text(wrong)
        with pytest.raises(exception.RSEAccessDenied, match=r"cannot read .*rse-accounts\.cfg"):
            protocol("OTHER")


def test_a_root_that_is_not_there_is_not_made_up(protocol):
    with pytest.raises(exception.ServiceUnavailable, match="root folder cannot be seen"):
        protocol(prefix=f"{PREFIX}missing/")


def test_a_root_that_vanishes_makes_nothing_count_as_deleted(protocol, client, folder, stored):
    plugin = protocol()
    client.files.delete(folder, recursive=True)
    for operation in (plugin.delete, plugin.exists, plugin.stat, lambda p: plugin.get(p, os.devnull)):
        with pytest.raises((exception.ServiceUnavailable, exception.RSEOperationNotSupported)):
            operation(stored)


def test_close_never_raises_and_calls_need_connect(storage, folder, rucio_cfg):
    plugin = protocol_of(storage, folder)
    plugin.close()
    with pytest.raises(exception.RSENotConnected):
        plugin.exists(pfn("f"))


def test_importing_the_plugin_is_light():
    heavy = "import rucio_cs3.protocol, sys; print([m for m in ('grpc', 'cs3', 'google.protobuf') if m in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", heavy], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
