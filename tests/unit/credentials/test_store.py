"""Where tokens are kept: for us alone, and only as far as that helps."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from rucio_cs3 import Cs3Client
from rucio_cs3.config import Config
from rucio_cs3.credentials.store import LEFT, Kept, Lock, Store, kept_in
from rucio_cs3.errors import ConfigError, Cs3Error, DeadlineExceeded, NotAuthenticated
from rucio_cs3.gateway import Gateway

PASSWORD = "relativity"
ROOT = os.geteuid() == 0


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "cache" / "tokens"


@pytest.fixture
def site(gateway, folder):
    """Logs in with these settings, as a new process would, and says whom the site takes us for."""

    def login(**settings):
        known = {"gateway": gateway.address, "username": "einstein", "password": PASSWORD, "cache": str(folder)}
        with Cs3Client(tls=False, **{**known, **settings}) as client:
            return client.whoami().username

    return login


def logins(gateway):
    return [call.method for call in gateway.calls].count("Authenticate")


def files(folder, suffix=".json"):
    return sorted(folder.glob(f"*{suffix}"))


def test_the_folder_and_its_files_are_ours_alone(site, folder):
    before = os.umask(0)
    try:
        site()
    finally:
        os.umask(before)
    assert folder.stat().st_mode & 0o777 == 0o700
    modes = {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}
    assert set(modes.values()) == {0o600}, modes
    assert len(files(folder)) == 1


def test_one_login_serves_many_runs(site, gateway):
    assert {site() for _ in range(5)} == {"einstein"}
    assert logins(gateway) == 1


def others_read_the_folder(folder):
    folder.chmod(0o750)
    return f"others can read {folder}, where tokens are kept; chmod 700 {folder}"


def others_read_a_file(folder):
    files(folder)[0].chmod(0o640)
    return f"others can read {files(folder)[0]}, where tokens are kept; chmod 600"


def the_folder_is_a_link(folder):
    folder.rename(folder.with_name("real"))
    folder.symlink_to("real")
    return f"{folder}, where tokens are kept, is a symbolic link; remove it"


def a_file_is_a_link(folder):
    file = files(folder)[0]
    file.rename(folder.parent / "elsewhere")
    file.symlink_to(folder.parent / "elsewhere")
    return f"{file}, where tokens are kept, is a symbolic link; remove it"


def the_folder_is_somebody_elses(folder):
    os.chown(folder, 12345, -1)
    return f"{folder}, where tokens are kept, belongs to another user; set cache to another folder"


def a_file_is_somebody_elses(folder):
    os.chown(files(folder)[0], 12345, -1)
    return f"{files(folder)[0]}, where tokens are kept, belongs to another user"


TRAPS = [others_read_the_folder, others_read_a_file, the_folder_is_a_link, a_file_is_a_link]
TRAPS += [
    pytest.param(trap, marks=pytest.mark.skipif(not ROOT, reason="only root can give files away"))
    for trap in (the_folder_is_somebody_elses, a_file_is_somebody_elses)
]


@pytest.mark.parametrize("trap", TRAPS)
def test_what_may_be_a_trap_is_refused(site, folder, gateway, trap):
    site()
    words = trap(folder)
    with pytest.raises(ConfigError) as caught:
        site()
    assert words in str(caught.value)
    assert logins(gateway) == 1


KEPT = {"expires": None, "renew": None, "gateway": "g", "method": "m", "description": "d"}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"7",
        b"\xff\xfe",
        b'{"token": "t"}',
        json.dumps({**KEPT, "token": 5}).encode(),
        json.dumps({**KEPT, "token": "t", "expires": "soon"}).encode(),
        json.dumps({**KEPT, "token": "t", "more": 1}).encode(),
    ],
)
def test_what_makes_no_sense_is_replaced(site, folder, gateway, content):
    site()
    file = files(folder)[0]
    file.write_bytes(content)
    assert site() == "einstein"
    assert logins(gateway) == 2
    assert json.loads(file.read_text())["gateway"] == gateway.address


def test_a_salt_that_was_cut_is_made_anew(site, folder, gateway):
    site()
    (folder / "salt").write_text("")
    site()
    site()
    assert logins(gateway) == 2


WAYS_TO_LOSE_IT = {
    "below a file": lambda tmp_path: (tmp_path / "file" / "tokens", (tmp_path / "file").touch()),
    "a file itself": lambda tmp_path: (tmp_path / "file", (tmp_path / "file").touch()),
    "where nobody can make one": lambda _: (Path("/proc/nowhere"), None),
}


@pytest.mark.parametrize("case", WAYS_TO_LOSE_IT)
def test_without_a_folder_it_goes_on(site, tmp_path, gateway, case):
    place, _ = WAYS_TO_LOSE_IT[case](tmp_path)
    assert site(cache=str(place)) == site(cache=str(place)) == "einstein"
    assert logins(gateway) == 2


def test_without_a_home_it_goes_on(monkeypatch):
    monkeypatch.delenv("HOME")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr("pwd.getpwuid", {}.__getitem__)
    assert kept_in(None) is None
    assert kept_in("~/tokens") is None


WITHOUT_WRITING = """
import resource, signal, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
from rucio_cs3 import Cs3Client
gateway, cache = sys.argv[1:]
with Cs3Client(gateway=gateway, tls=False, username="einstein", password="relativity", cache=cache) as client:
    print(client.whoami().username)
"""


@pytest.mark.parametrize("fresh", [True, False])
def test_a_full_disk_costs_no_more_than_a_login(site, folder, gateway, fresh):
    if not fresh:
        site()
        for file in files(folder):
            file.unlink()
    run = [sys.executable, "-c", WITHOUT_WRITING, gateway.address, str(folder)]
    # it could not be written either, what the measuring of coverage has to say
    environ = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    done = subprocess.run(run, capture_output=True, text=True, check=False, timeout=60, env=environ)
    assert (done.stdout, done.stderr) == ("einstein\n", "")
    assert list(folder.glob(".*")) == []


def test_a_folder_that_cannot_be_written_to_costs_no_more_than_a_login(site, folder, gateway):
    """For root too: what stands in the way is a folder."""
    folder.mkdir(parents=True, mode=0o700)
    for name in ("salt", "lock-salt"):
        (folder / name).mkdir()
    assert site() == site() == "einstein"
    assert logins(gateway) == 2


def test_what_has_expired_is_swept_and_so_is_what_the_killed_have_left(site, folder):
    site(username="marie", password="radioactivity")
    old = files(folder)[0]
    old.write_text(json.dumps({**json.loads(old.read_text()), "expires": time.time() - 1}))
    left = [folder / ".rucio-cs3-draft", folder / f"{'0' * 64}.failed"]
    young = folder / ".rucio-cs3-young"
    others = [folder / name for name in (".bashrc", "x.failed", "my.json")]
    for path in (*left, young, *others):
        path.touch()
    (folder / "my.json").write_text('{"expires": 1}')
    for path in (*left, *others):
        os.utime(path, (time.time() - LEFT - 60,) * 2)
    site()
    assert old not in files(folder)
    assert not any(path.exists() for path in left)
    assert young.exists()
    assert all(path.exists() for path in others)  # whoever names his home as the cache keeps what is in it


def test_no_secret_but_the_token_is_kept(site, folder):
    site()
    with pytest.raises(NotAuthenticated):
        site(password="wrong-password")
    written = b"".join(path.read_bytes() for path in folder.iterdir())
    names = " ".join(path.name for path in folder.iterdir())
    assert b"wrong password" in written  # so the failure was kept
    for secret in (PASSWORD, "wrong-password"):
        assert secret.encode() not in written
        assert secret not in names
    token = json.loads(files(folder)[0].read_text())["token"]
    assert token not in names
    assert written.count(token.encode()) == 1


def test_nothing_is_shared_that_is_not_the_same(site, folder, gateway, tmp_path):
    site()
    assert site(username="marie", password="radioactivity") == "marie"
    assert logins(gateway) == len(files(folder)) == 2
    (tmp_path / "other").mkdir()
    with Gateway(tmp_path / "other") as other:
        assert site(gateway=other.address) == "einstein"
        assert logins(other) == 1
    assert len(files(folder)) == 3


@pytest.mark.parametrize(
    ("one", "other"), [(("a b", "c"), ("a", "b c")), (("a", "bc"), ("ab", "c")), (("a", "b"), ("b", "a"))]
)
def test_parts_of_a_login_are_not_mistaken(one, other):
    from rucio_cs3.credentials.caller import NOBODY  # noqa: PLC0415
    from rucio_cs3.credentials.sources import Sources  # noqa: PLC0415

    def identity(username, password):
        return Sources(Config("h:1", username=username, password=password), NOBODY).in_order()[0].identity()

    assert identity(*one) != identity(*other)


def test_a_changed_password_is_a_new_login(site, gateway, tmp_path):
    file = tmp_path / "password"
    file.touch(0o600)
    file.write_text(PASSWORD)
    site(password=None, password_file=str(file))
    file.write_text("wrong")
    with pytest.raises(NotAuthenticated):
        site(password=None, password_file=str(file))
    file.write_text(PASSWORD)
    site(password=None, password_file=str(file))
    assert logins(gateway) == 2


def test_it_can_be_switched_off(site, gateway, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    site(cache="off")
    site(cache="off")
    assert logins(gateway) == 2
    assert not (tmp_path / "xdg").exists()


def test_it_is_where_xdg_says_or_the_settings(site, tmp_path, monkeypatch):
    monkeypatch.delenv("RUCIO_CS3_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    site(cache=None)
    assert len(files(tmp_path / "xdg" / "rucio-cs3" / "tokens")) == 1
    monkeypatch.setenv("HOME", str(tmp_path))
    site(cache="~/mine")
    assert len(files(tmp_path / "mine")) == 1


def kept(token="t", **changes):
    return Kept(**{**KEPT, "token": token, **changes})


def fail(error):
    def obtain():
        raise error

    return obtain


def share(store, obtain, identity="me"):
    return store.share(identity, lambda: identity, lambda _: True, obtain)


def came_before(monkeypatch):
    """The first look at the clock is that of somebody who began to wait ten seconds ago."""
    looks = iter([time.time() - 10])
    clock = SimpleNamespace(time=lambda: next(looks, None) or time.time(), sleep=time.sleep, monotonic=time.monotonic)
    monkeypatch.setattr("rucio_cs3.credentials.store.time", clock)  # other threads look at the other one


def test_a_failure_is_shared_by_those_who_waited_and_by_nobody_else(folder, monkeypatch):
    store = Store(folder)
    error = DeadlineExceeded("silent", path="/p", status="HTTP 504", hint="wait")
    with pytest.raises(DeadlineExceeded):
        share(store, fail(error))
    assert share(store, kept).token == "t"

    with pytest.raises(DeadlineExceeded):
        share(store, fail(error), "she")
    came_before(monkeypatch)
    with pytest.raises(DeadlineExceeded) as caught:
        share(store, kept, "she")
    assert vars(caught.value) == vars(error)


def test_a_failure_from_the_future_is_none(folder, monkeypatch):
    """The clock was wrong then, or is now."""
    store = Store(folder)
    with pytest.raises(ConfigError):
        share(store, fail(ConfigError("x")))
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now - 10_000)
    assert share(store, kept).token == "t"


def kinds(kind=Cs3Error):
    return [kind, *(found for below in kind.__subclasses__() for found in kinds(below))]


@pytest.mark.parametrize("kind", kinds())
def test_every_failure_can_be_shared(folder, monkeypatch, kind):
    store = Store(folder)
    with pytest.raises(kind):
        share(store, fail(kind("why")))
    came_before(monkeypatch)
    with pytest.raises(Cs3Error, match="why") as caught:
        share(store, kept)
    assert type(caught.value) is kind


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\xff", b'{"at": 1e99, "code": "no such", "said": {}}'])
def test_a_failure_that_makes_no_sense_is_none(folder, content):
    store = Store(folder)
    with pytest.raises(ConfigError):
        share(store, fail(ConfigError("x")))
    files(folder, ".failed")[0].write_bytes(content)
    assert share(store, kept).token == "t"
    assert files(folder, ".failed") == []


def test_what_changes_its_identity_is_kept_under_the_new_one(folder):
    """As a refresh token does that is good for one use."""
    store, identity = Store(folder), ["old"]

    def obtain():
        identity[0] = "new"
        return kept()

    store.share("place", lambda: identity[0], lambda _: True, obtain)
    assert store.share("place", lambda: "new", lambda _: True, fail(AssertionError())).token == "t"


HOLDS = """
import sys, time
from pathlib import Path
from rucio_cs3.credentials.store import Lock
with Lock(Path(sys.argv[1])) as lock:
    lock.wait()
    print("held", flush=True)
    if len(sys.argv) > 2:
        import os
        if os.fork() == 0:
            time.sleep(1000)
        print("forked", flush=True)
        sys.stdin.read(1)
    else:
        time.sleep(1000)
"""


def test_who_is_killed_blocks_nobody(tmp_path):
    path = tmp_path / "lock"
    with subprocess.Popen([sys.executable, "-c", HOLDS, str(path)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"held\n"
        with Lock(path) as lock:
            assert not lock.taken()
            holder.kill()
            holder.wait()
            assert lock.taken()


def test_who_forks_blocks_nobody_either(tmp_path):
    path = tmp_path / "lock"
    run = [sys.executable, "-c", HOLDS, str(path), "fork"]
    with subprocess.Popen(
        run, stdout=subprocess.PIPE, stdin=subprocess.PIPE, start_new_session=True, env={**os.environ}
    ) as holder:
        try:
            assert [holder.stdout.readline() for _ in range(2)] == [b"held\n", b"forked\n"]
            with Lock(path) as lock:
                assert not lock.taken()
                holder.stdin.write(b"x")
                holder.stdin.close()
                holder.wait(60)
                assert lock.taken()
        finally:
            os.killpg(holder.pid, 9)


def test_who_never_ends_is_passed_by(tmp_path):
    with Lock(tmp_path / "lock") as holder:
        assert holder.taken()
        with Lock(tmp_path / "lock", patience=0.1) as lock:
            lock.wait()
        with Lock(tmp_path / "lock") as other:
            assert not other.taken()


def test_all_that_is_kept_can_be_listed(site, folder, gateway):
    site()
    [(path, found)] = Store(folder).all()
    assert (path, found.gateway, found.method) == (files(folder)[0], gateway.address, "basic")
    assert found.token not in repr(found)
