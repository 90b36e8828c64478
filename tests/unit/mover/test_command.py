"""`rucio-cs3 mover` between two sites, and `rucio-cs3 mover status`."""

from __future__ import annotations

import json
import re
import subprocess
import zlib

import pytest
import trustme

from rucio_cs3 import Cs3Client
from rucio_cs3.gateway import Fault, Gateway, Tls
from rucio_cs3.mover.model import Place, Wanted
from rucio_cs3.mover.told import tellable
from tests.unit.broker.conftest import as_toml
from tests.unit.mover.conftest import COMMAND, PATIENCE, commanded, file, wait_for

pytestmark = pytest.mark.slow
LOGIN = {"username": "einstein", "password": "relativity"}
CONTENT = b"what is moved" * 1000


def run(*arguments, **options):
    return subprocess.run(
        [*COMMAND, *map(str, arguments)], capture_output=True, text=True, timeout=PATIENCE, check=False, **options
    )


def write(place, settings):
    place.touch(mode=0o600)
    place.write_text(as_toml(settings))
    return place


@pytest.fixture
def gateways(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    with Gateway(tmp_path / "a") as a, Gateway(tmp_path / "b", behave="opencloud") as b:
        yield {"A": a, "B": b}


def home_at(gateway):
    with Cs3Client(gateway=gateway.address, tls=False, **LOGIN) as site:
        return f"/users/{site.whoami().opaque_id}"


@pytest.fixture
def config(gateways, settings, tmp_path):
    sites = {name: {"gateway": gateway.address, "tls": False, **LOGIN} for name, gateway in gateways.items()}
    sites["B"]["cs3_root"] = home_at(gateways["B"])
    return write(tmp_path / "mover.toml", {**settings, "sites": sites})


@pytest.fixture
def mover(config):
    with commanded(config) as mover:
        yield mover


def test_between_two_sites(mover, gateways, tmp_path):
    source = tmp_path / "x"
    source.write_bytes(CONTENT)
    with Cs3Client(gateway=gateways["A"].address, tls=False, **LOGIN) as site:
        site.upload(str(source), "/x")
    target = f"{home_at(gateways['B'])}/d/x"
    checksum = f"ADLER32:{zlib.adler32(CONTENT):08x}"
    wanted = file(f"cs3://{gateways['A'].address}/x", f"cs3://{gateways['B'].address}{target}")
    job = mover.submit({**wanted, "filesize": len(CONTENT), "checksum": checksum}, verify_checksum="both")
    assert mover.ended(job)["job_state"] == "FINISHED", mover.job(job)["files"][0]["reason"]
    with Cs3Client(gateway=gateways["B"].address, tls=False, **LOGIN) as site:
        assert site.open_read(target).read() == CONTENT
    told = run("status", "--url", mover.url)
    assert (told.returncode, told.stderr) == (0, "")
    assert "FINISHED 1" in told.stdout
    assert json.loads(run("status", "--url", mover.url, "--json").stdout)["files"]["FINISHED"] == 1


def heard(mover, *words, lines=40):
    """What the mover's log says until all of these words were there."""
    said = ""
    for _ in range(lines):
        if all(word in said for word in words):
            return said
        said += mover.process.stderr.readline()
    raise AssertionError(f"{words} are not all in {said}")


def table(gateway, **settings):
    return {"gateway": gateway.address, "tls": False, **LOGIN, **settings}


def test_each_site_is_looked_at_when_it_starts(mover, gateways):
    home = home_at(gateways["B"])
    heard(
        mover, "INFO rucio_cs3.mover A: logged in as einstein, / is there", f"B: logged in as einstein, {home} is there"
    )


WRONG = {  # what is wrong in the table of a site, how loud that is, and what is said of it
    "password": ({"password": "wrong"}, "ERROR", "check password, username in [sites.A] of mover.toml"),
    "root": (
        {"cs3_root": "/nowhere"},
        "ERROR",
        "the storage behind it is down: check cs3_root or space in [sites.A] of mover.toml",
    ),
    "plaintext": (
        {"tls": True},
        "ERROR",
        "the gateway does not speak TLS: if it should not, set tls = false; see [sites.A]",
    ),
    "nobody": (
        {"gateway": "127.0.0.1:9"},
        "WARNING",
        "nothing listens there: check gateway = host:port and whether the site is up",
    ),
    "no password": ({"password": None}, "INFO", "A: no login in [sites.A] of mover.toml: only jobs that bring tokens"),
}


@pytest.mark.parametrize(("change", "level", "words"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_with_a_site_is_told_and_the_others_work(gateways, settings, tmp_path, change, level, words):
    sites = {"A": {**table(gateways["A"]), **change}, "B": table(gateways["B"], cs3_root=home_at(gateways["B"]))}
    sites["A"] = {name: value for name, value in sites["A"].items() if value is not None}
    place = write(tmp_path / "mover.toml", {**settings, "sites": sites})
    checked = run("--config", place, "--check")
    assert (checked.returncode, checked.stderr) == (0 if "no login" in words else 1, "")
    first, second = checked.stdout.splitlines()
    assert first.startswith("A: ")
    assert words in first
    assert "rucio.cfg" not in first
    assert second.startswith("B: logged in as einstein")
    with commanded(place) as mover:
        heard(mover, f"{level} rucio_cs3.mover A: ", words, "B: logged in as einstein")
        assert mover.ask("GET", "/health").status_code == 200
        assert "relativity" not in mover.ask("GET", "/status.json").text


def test_a_gateway_that_speaks_tls_is_not_asked_in_the_clear(gateways, settings, tmp_path):
    certificate = trustme.CA().issue_cert("localhost", "127.0.0.1")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    (tmp_path / "c").mkdir()
    with Gateway(tmp_path / "c", tls=Tls(tmp_path / "cert.pem", tmp_path / "key.pem")) as secure:
        for tls, words in ((False, "check that tls is set as the gateway speaks it"), (True, "set ca = FILE")):
            sites = {"C": {**table(secure), "tls": tls}}
            told = run("--config", write(tmp_path / "mover.toml", {**settings, "sites": sites}), "--check")
            assert (told.returncode, told.stdout.count("\n")) == (1, 1)
            assert f"{words}; see [sites.C] of mover.toml" in told.stdout


def test_a_mover_without_a_login_is_not_whoever_started_it(gateways, settings, tmp_path, monkeypatch):
    """Their tokens would be good there."""
    with Cs3Client(gateway=gateways["A"].address, tls=False, **LOGIN) as site:
        token = site.tokens.get()
    for name, value in {
        "BEARER_TOKEN": token,
        "RUCIO_CS3_TOKEN": token,
        "RUCIO_CS3_GATEWAY": gateways["A"].address,
    }.items():
        monkeypatch.setenv(name, value)
    sites = {"A": {"gateway": gateways["A"].address, "tls": False}}
    gateways["A"].calls.clear()
    with commanded(write(tmp_path / "mover.toml", {**settings, "sites": sites})) as mover:
        heard(mover, "A: no login in [sites.A] of mover.toml")
        url = f"cs3://{gateways['A'].address}"
        reason = mover.ended(mover.submit(file(f"{url}/x", f"{url}/y")))["files"][0]["reason"]
    assert "the mover has no login of its own there; set username with password_file" in reason
    assert reason.endswith("see [sites.A] of mover.toml")
    assert list(gateways["A"].calls) == []


def test_a_door_of_another_scheme_is_told(gateways, settings, tmp_path):
    door = gateways["A"].webdav_url
    sites = {"A": table(gateways["A"], doors=[door], cs3_root="/")}
    with commanded(write(tmp_path / "mover.toml", {**settings, "sites": sites})) as mover:
        source = f"davs{door.partition('http')[2]}/x"
        reason = mover.ended(mover.submit(file(source, f"{door}/y")))["files"][0]["reason"]
    assert f"A has {door}, cs3://" in reason
    assert reason.endswith("write davs:// instead of http:// in doors of [sites.A] of mover.toml")
    assert reason.count(source) == 1


def test_each_copy_has_a_line_in_the_log(mover, gateways, tmp_path):
    (tmp_path / "a" / "x").write_bytes(CONTENT)
    there = f"cs3://{gateways['B'].address}{home_at(gateways['B'])}"
    urls = f"cs3://{gateways['A'].address}/x?authz=hush", f"{there}/x"
    url = urls[0].partition("?")[0]
    job = mover.submit(file(url, urls[1]))
    mover.ended(job)
    said = heard(mover, "copied")
    line = (
        rf"INFO rucio_cs3.mover job {job}, file \d+: copied {url} -> {urls[1]}, {len(CONTENT)} bytes in .* s, streamed"
    )
    assert re.search(line, said)
    again = mover.submit(file(urls[0], urls[1]))
    mover.ended(again)
    said = heard(mover, "failed")
    line = rf"WARNING rucio_cs3.mover job {again}, file \d+: failed {re.escape(url)}… -> {urls[1]}, 0 bytes in .* s: "
    assert re.search(line, said)
    assert "hush" not in said


def test_a_copy_that_is_stopped_has_a_line_too(mover, gateways, tmp_path):
    (tmp_path / "a" / "x").write_bytes(CONTENT)
    gateways["B"].faults.add(Fault("http:PUT", "stall", after=100, seconds=3600))
    job = mover.submit(
        file(f"cs3://{gateways['A'].address}/x", f"cs3://{gateways['B'].address}{home_at(gateways['B'])}/x")
    )
    wait_for(lambda: any(call.method == "PUT" for call in gateways["B"].calls))
    mover.ask("DELETE", f"/jobs/{job}")
    heard(mover, f"INFO rucio_cs3.mover job {job}, ", ": stopped ")
    mover.process.terminate()
    heard(mover, "INFO rucio_cs3.mover told to stop; copies that are given back: 0")


def test_who_may_only_look_is_not_enough(gateways, settings, tmp_path):
    callers = {"screen": {"bearer": "only-looks", "watch": True}}
    settings = {**settings, "callers": callers, "sites": {"A": table(gateways["A"])}}
    argv = [*COMMAND, "--config", write(tmp_path / "mover.toml", settings)]
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True) as process:
        assert (
            "nobody can submit a job: all in [callers] have watch = true; add one without it"
            in process.stderr.readline()
        )
        process.terminate()


def test_a_site_that_repeats_our_token_is_not_repeated(gateways):
    """No real one was seen to do that; their errors are free text."""
    with Cs3Client(gateway=gateways["A"].address, tls=False, **LOGIN) as site:
        token = site.tokens.get()
    wanted = Wanted((Place("davs://a/x"),), Place("davs://b/x"))
    assert tellable(wanted, f"no: {token}, go") == ["no: …, go"]


def test_an_address_of_no_site(mover, gateways):
    job = mover.submit(file(f"cs3://{gateways['A'].address}/x", "davs://elsewhere.example.org/x"))
    told = mover.ended(job)
    assert (told["job_state"], told["files"][0]["reason"][:11]) == ("FAILED", "DESTINATION")


def test_without_a_mover():
    told = run("status", "--url", "http://127.0.0.1:9")
    assert (told.returncode, told.stderr.count("\n")) == (1, 1)
    assert "no mover answers at http://127.0.0.1:9; check --url" in told.stderr


def test_the_wrong_scheme_is_told_as_that(mover, tmp_path):
    certificate = trustme.CA().issue_cert("127.0.0.1")
    pem = tmp_path / "cert.pem"
    certificate.private_key_and_cert_chain_pem.write_to_path(pem)
    told = run("status", "--url", mover.url.replace("http:", "https:"))
    assert "does not speak TLS; write http:// in --url" in told.stderr
    settings = {
        "listen": "127.0.0.1:0",
        "tls_cert": str(pem),
        "tls_key": str(pem),
        "database": str(tmp_path / "tls.db"),
    }
    sites = {"A": {"gateway": "127.0.0.1:9", "tls": False}}
    with commanded(write(tmp_path / "tls.toml", {**settings, "sites": sites})) as secure:
        told = run("status", "--url", secure.url.replace("https:", "http:"))
        assert "hangs up without an answer; write https:// in --url" in told.stderr
        assert "is not trusted; check --ca" in run("status", "--url", secure.url).stderr


def test_an_address_that_is_none_is_told_no_secret():
    told = run("status", "--url", "https://[x", "--bearer-file", "none")
    assert (told.returncode, told.stderr.count("\n")) == (1, 1)
    assert "use https" in told.stderr


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"sites": {"A": {"gateway": "h:1", "doors": ["davs://h/x"]}}},
            "site A: doors are given, and neither cs3_root nor",
        ),
        ({"sites": {"A": {"gateway": "h:1", "auth": "wlcg"}}}, "auth = wlcg is the login of whoever starts the mover"),
        ({"sites": {}}, "there are no sites"),
        ({"listen": "0.0.0.0:0"}, "without TLS, listen 0.0.0.0 would take tokens in the clear"),
        ({"lsten": "x"}, "unknown setting 'lsten'; did you mean 'listen'?"),
        ({"database": "/nowhere/at/all.db"}, "cannot use the mover's database /nowhere/at/all.db"),
        ({"database": "postgresql://127.0.0.1:9/x"}, "cannot use the mover's database"),
        ({"database": "postgresql://u:%hush@127.0.0.1:9/x"}, "database is no address of PostgreSQL"),
        ({"database": "postgresql://u:[hush@127.0.0.1:9/x"}, "database is no address of PostgreSQL"),
    ],
)
def test_a_mistake_is_told_in_one_line(settings, gateways, tmp_path, change, words):
    sites = {"A": {"gateway": gateways["A"].address, "tls": False, **LOGIN}}
    told = run("--config", write(tmp_path / "mover.toml", {**settings, "sites": sites, **change}))
    assert (told.returncode, told.stderr.count("\n")) == (1, 1)
    assert words in told.stderr
    assert "hush" not in told.stderr


def test_without_a_configuration():
    told = run()
    assert told.returncode == 2
    assert "--config is missing" in told.stderr
