"""A Rucio with several VOs, each with a root of its own, and the broker that tells them apart."""

from __future__ import annotations

import json
import sys
import uuid

import pytest

from demo.process import BIN, run, run_or_fail
from demo.sandbox import Sandbox
from demo.storage import LOGIN, Gateway
from tests.rucio.broker import Broker

CONTENT = b"some bytes\n"
FOLDER = "rse"
MORE_VOS = """
from rucio.gateway.vo import add_vo
for vo in ("abc", "xyz"):
    add_vo(vo, "super_root", "one more", "root@example.org", vo="def")
"""
NEW_RSE = """
import json, sys
from rucio.client import Client
client = Client()
client.add_rse("BROKERED")
client.add_protocol("BROKERED", json.loads(sys.argv[1]))
client.set_local_account_limit("root", "BROKERED", -1)
client.add_scope("root", "test")
"""
TOKEN = "from rucio.client import Client; print(Client().auth_token)"


@pytest.fixture(scope="module")
def vos():
    with Sandbox(config={"common": {"multi_vo": True}}) as sandbox:
        run_or_fail([sys.executable, "-c", MORE_VOS], env=sandbox.operator.environ)
        yield sandbox


@pytest.fixture(scope="module")
def storage(tmp_path_factory):
    folder = tmp_path_factory.mktemp("storage")
    (folder / "secret").touch(0o600)
    (folder / "secret").write_text("machine-secret-of-the-site")
    with Gateway(folder, "--behave", "reva-localhome", "--machine-secret-file", str(folder / "secret")) as gateway:
        for user in ("einstein", "marie"):
            (gateway.root / user / FOLDER).mkdir(parents=True)
        yield gateway


@pytest.fixture(scope="module")
def broker(tmp_path_factory, storage, vos):
    broker = Broker(
        tmp_path_factory.mktemp("broker"), storage, f'host = "{vos.url}"', accounts=', "root@abc" = "marie"'
    )
    yield broker
    broker.stop()


@pytest.fixture
def user_of(vos):
    """The configuration of a VO's root."""

    def home(vo, account="root"):
        token = vos.folder / f"token-{uuid.uuid4()}"
        own = {"vo": vo, "account": account, "auth_token_file_path": token}
        return vos.user.with_config({"client": own, "cs3": dict.fromkeys([*LOGIN, "gateway"])})

    return home


@pytest.mark.parametrize(
    ("vo", "account", "status", "code"),
    [
        ("abc", "root", 200, None),
        ("xyz", "root", 403, "account_not_mapped"),  # not einstein, whom the table names for the root of Rucio itself
        ("def", "super_root", 403, "account_not_mapped"),
    ],
)
def test_each_root_is_somebody_else(broker, user_of, vo, account, status, code):
    token = run([sys.executable, "-c", TOKEN], env=user_of(vo, account).environ).stdout.strip()
    answered, answer = broker.ask(token)
    assert (answered, answer.get("code")) == (status, code), answer
    if code:
        assert (f"{account}@{vo}" if vo != "def" else account) in answer["error"]


def test_an_upload_of_a_vo(broker, storage, user_of, tmp_path):
    entry = storage.davs(FOLDER)
    entry.extended_attributes["cs3"]["broker"] = f"http://127.0.0.1:{broker.port}"
    environ = user_of("abc").environ
    written = json.dumps({key: value for key, value in vars(entry).items() if value is not None})
    run_or_fail([sys.executable, "-c", NEW_RSE, written], env=environ)
    file = tmp_path / f"file-{uuid.uuid4().hex}"
    file.write_bytes(CONTENT)
    upload = [BIN / "rucio", "upload", "--rse", "BROKERED", "--scope", "test", file]
    said = run(upload, env=environ, cwd=tmp_path).stdout
    assert [path.read_bytes() for path in (storage.root / "marie").rglob(file.name)] == [CONTENT], said
    assert not list((storage.root / "einstein").rglob(file.name))
