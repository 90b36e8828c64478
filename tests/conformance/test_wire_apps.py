"""Application passwords on the bare wire, and what the tokens made from them may do."""

from __future__ import annotations

import base64
import json
import time
import uuid

import grpc
import jwt
import pytest
from cs3.auth.provider.v1beta1 import resources_pb2 as auth_pb2
from cs3.storage.provider.v1beta1 import resources_pb2 as storage_pb2
from cs3.types.v1beta1 import types_pb2

from tests.conformance.wire import ref

DENIED, NOT_FOUND, UNAUTHENTICATED, INTERNAL = "PERMISSION_DENIED", "NOT_FOUND", "UNAUTHENTICATED", "INTERNAL"
OWNER, VIEWER, EDITOR, UPLOADER, LEGACY = (
    getattr(auth_pb2, f"ROLE_{role}") for role in ("OWNER", "VIEWER", "EDITOR", "UPLOADER", "LEGACY")
)


def scope(role, resource=None, text=None):
    if resource is None and text is None:
        return auth_pb2.Scope(role=role)
    value = text or json.dumps(resource).encode()
    return auth_pb2.Scope(role=role, resource=types_pb2.OpaqueEntry(decoder="json", value=value))


EVERYTHING = {"user": scope(OWNER, {"path": "/"})}


@pytest.fixture
def bare(storage):
    return storage.bare_wire()


@pytest.fixture
def make(wire):
    """Makes application passwords, which go away with the test."""
    before = {entry.password for entry in listed(wire)}
    yield lambda **fields: wire.ok("GenerateAppPassword", **{"token_scope": EVERYTHING, **fields}).app_password
    for entry in listed(wire):
        if entry.password not in before:
            wire.ok("InvalidateAppPassword", password=entry.password)


@pytest.fixture
def login(storage, make):
    """The wire of who logged in with a fresh application password of this scope."""

    def login(token_scope):
        wire = storage.bare_wire()
        password = make(token_scope=token_scope).password
        wire.token = wire.ok("Authenticate", **appauth(storage.user, password)).token
        return wire

    return login


@pytest.fixture
def tree(wire, folder):
    """A folder with a file and a folder in it, and beside it one whose name begins alike."""
    for path in ("d", "d/sub", "d2"):
        wire.mkdir(f"{folder}/{path}")
    for path in ("d/f", "d2/f"):
        assert wire.put(f"{folder}/{path}", b"content") == 200
    return folder


def appauth(username, password):
    return {"type": "appauth", "client_id": username, "client_secret": password}


def listed(wire):
    return list(wire.ok("ListAppPasswords").app_passwords)


def entry_of(wire, label):
    [entry] = [entry for entry in listed(wire) if entry.label == label]
    return entry


# Login


def test_a_password_logs_its_user_in(storage, bare, make):
    reply = bare.ok("Authenticate", **appauth(storage.user, make(label="mine").password))
    assert reply.user.username == storage.user
    assert bare.call("WhoAmI", token=reply.token, metadata=(("x-access-token", reply.token),)).user == reply.user
    claims = jwt.decode(reply.token, options={"verify_signature": False})
    value = base64.b64encode(EVERYTHING["user"].resource.value).decode()
    assert claims["scope"] == {"user": {"resource": {"decoder": "json", "value": value}, "role": OWNER}}


@pytest.mark.parametrize("case", ["wrong", "empty", "hash", "opaque id", "mail", "unknown user", "another user"])
def test_a_login_that_fails(storage, wire, bare, make, case):
    made = make(label="mine")
    if case == "another user" and not storage.other_user:
        pytest.skip("nobody else to try")
    unauthenticated = (UNAUTHENTICATED, "error authenticating user")
    username, secret, told = {
        "wrong": (storage.user, "wrong", unauthenticated),
        "empty": (storage.user, "", unauthenticated),
        "hash": (storage.user, entry_of(wire, "mine").password, unauthenticated),
        "another user": ((storage.other_user or ("",))[0], made.password, unauthenticated),
        **{
            name: (
                value,
                made.password,
                (NOT_FOUND, f"unknown client id: error: not found: user not found username {value}"),
            )
            for name, value in {
                "opaque id": made.user.opaque_id,
                "mail": f"mail:{storage.user}@example.org",
                "unknown user": "nobody",
            }.items()
        },
    }[case]
    assert bare.code("Authenticate", **appauth(username, secret)) == told[0]
    assert bare.call("Authenticate", **appauth(username, secret)).status.message == told[1]


@pytest.mark.parametrize(("seconds", "code"), [(-5, UNAUTHENTICATED), (3600, "OK"), (None, "OK")])
def test_a_password_may_expire(storage, bare, make, seconds, code):
    expiration = types_pb2.Timestamp(seconds=int(time.time() + seconds) if seconds else 0)
    assert bare.code("Authenticate", **appauth(storage.user, make(expiration=expiration).password)) == code


# The list


def test_the_list_shows_hashes_in_place_of_passwords(wire, make):
    label = uuid.uuid4().hex
    made = make(label=label, expiration=types_pb2.Timestamp(seconds=int(time.time()) + 3600))
    entry = entry_of(wire, label)
    assert made.password not in str(entry)
    assert entry.password.startswith("$")
    for name in ("label", "user", "expiration", "ctime", "token_scope"):
        assert getattr(entry, name) == getattr(made, name), name


def test_everybody_sees_only_their_own(storage, wire, make):
    if not storage.other_user:
        pytest.skip("nobody else to try")
    other, label = storage.wire(*storage.other_user), uuid.uuid4().hex
    make(label=label)
    assert label not in {entry.label for entry in listed(other)}
    assert other.code("InvalidateAppPassword", password=entry_of(wire, label).password) == INTERNAL


def test_only_the_hash_invalidates(storage, wire, bare, make):
    label = uuid.uuid4().hex
    made = make(label=label)
    hashed = entry_of(wire, label).password
    for wrong in (made.password, "", "wrong"):
        assert wire.code("InvalidateAppPassword", password=wrong) == INTERNAL
    assert bare.code("Authenticate", **appauth(storage.user, made.password)) == "OK"
    assert wire.code("InvalidateAppPassword", password=hashed) == "OK"
    assert bare.code("Authenticate", **appauth(storage.user, made.password)) == UNAUTHENTICATED
    assert wire.code("InvalidateAppPassword", password=hashed) == INTERNAL


def test_anybody_may_ask_about_a_password_that_they_know(wire, bare, make):
    label = uuid.uuid4().hex
    made = make(label=label)
    assert bare.ok("GetAppPassword", user=made.user, password=made.password).app_password.label == label
    assert bare.code("GetAppPassword", user=made.user, password="wrong") == INTERNAL
    assert bare.code("GetAppPassword", password=made.password) == INTERNAL
    for method in ("GenerateAppPassword", "ListAppPasswords", "InvalidateAppPassword"):
        assert bare.code(method) == "grpc:UNAUTHENTICATED"


# Scopes

CALLS = {
    "stat": ("Stat", {"ref": "{}/d"}),
    "stat below": ("Stat", {"ref": "{}/d/f"}),
    "stat what begins alike": ("Stat", {"ref": "{}/d2"}),
    "stat above": ("Stat", {"ref": "{}"}),
    "stat by dots": ("Stat", {"ref": "{}/d/../../{}"}),
    "list": ("ListContainer", {"ref": "{}/d"}),
    "download": ("InitiateFileDownload", {"ref": "{}/d/f"}),
    "upload": ("InitiateFileUpload", {"ref": "{}/d/new"}),
    "make a folder": ("CreateContainer", {"ref": "{}/d/made"}),
    "touch": ("TouchFile", {"ref": "{}/d/touched"}),
    "set metadata": ("SetArbitraryMetadata", {"ref": "{}/d/f", "arbitrary_metadata": {"metadata": {"k": "v"}}}),
    "unset metadata": ("UnsetArbitraryMetadata", {"ref": "{}/d/f", "arbitrary_metadata_keys": ["k"]}),
    "move": ("Move", {"source": "{}/d/f", "destination": "{}/d/g"}),
    "move out": ("Move", {"source": "{}/d/g", "destination": "{}/g"}),
    "delete": ("Delete", {"ref": "{}/d/sub"}),
    "home": ("GetHome", {}),
    "quota": ("GetQuota", {"ref": "{}/d"}),
    "lock": ("GetLock", {"ref": "{}/d/f"}),
    "passwords": ("ListAppPasswords", {}),
}
READING = {"stat", "stat below", "stat what begins alike", "stat by dots", "list", "download"}
WRITING = READING | {"upload", "make a folder", "touch", "set metadata", "unset metadata", "move", "delete"}
ALL = set(CALLS)

# Name and contents of the scope; `d` is the folder that it is about. What it lets be called.
SCOPES = {
    "none at all": (lambda d: {}, set()),
    "of an unknown name": (lambda d: {"unheard-of": scope(OWNER, {"path": "/"})}, set()),
    "user": (lambda d: EVERYTHING, ALL),
    "user, and the path and role count for nothing": (lambda d: {"user": scope(VIEWER, {"path": d.path})}, ALL),
    "user, and no resource at all": (lambda d: {"username": scope(0)}, ALL),
    "machine": (lambda d: {"machine": scope(OWNER)}, ALL),
    "reading": (lambda d: {"resourceinfo:d": scope(VIEWER, resource(d))}, READING),
    "reading, role legacy": (lambda d: {"resourceinfo": scope(LEGACY, resource(d))}, READING),
    "editing": (lambda d: {"resourceinfo:d": scope(EDITOR, resource(d))}, WRITING),
    "uploading is editing": (lambda d: {"resourceinfo:d": scope(UPLOADER, resource(d))}, WRITING),
    "owning is editing": (lambda d: {"resourceinfo:d": scope(OWNER, resource(d))}, WRITING),
    "below, and so not the folder itself": (
        lambda d: {"resourceinfo:d": scope(EDITOR, {**resource(d), "path": f"{d.path}/"})},
        WRITING - {"stat", "stat what begins alike", "list"},
    ),
    "a path only": (lambda d: {"resourceinfo:d": scope(EDITOR, {"path": d.path})}, WRITING),
    "an id only is every path": (
        lambda d: {"resourceinfo:d": scope(VIEWER, {"id": resource(d)["id"]})},
        READING | {"stat above"},
    ),
    "two": (
        lambda d: {"resourceinfo:a": scope(EDITOR, {"path": "/nowhere"}), "resourceinfo:b": scope(VIEWER, resource(d))},
        READING,
    ),
    "garbage": (lambda d: {"resourceinfo:d": scope(OWNER, text=b"garbage")}, set()),
    "a field too many": (lambda d: {"resourceinfo:d": scope(OWNER, {"path": "/", "rule": "all"})}, set()),
}


def resource(info):
    return {"id": {"storage_id": info.id.storage_id, "opaque_id": info.id.opaque_id}, "path": info.path}


def denied(wire, method, fields):
    """True when the token is refused. Whatever else comes of the call is not about the token."""
    try:
        wire.call(method, **fields)
    except grpc.RpcError as error:
        return (error.code().name, error.details()) == (DENIED, "auth: core access token is invalid")
    return False


@pytest.mark.parametrize("case", SCOPES)
def test_a_scope_says_what_may_be_called(wire, tree, login, case):
    make_scope, allowed = SCOPES[case]
    scoped, name = login(make_scope(wire.stat(f"{tree}/d"))), tree.rpartition("/")[2]
    for call, (method, fields) in CALLS.items():
        told = {k: v.format(tree, name) if isinstance(v, str) else v for k, v in fields.items()}
        assert denied(scoped, method, told) == (call not in allowed), call


@pytest.mark.parametrize("case", SCOPES)
def test_a_scope_says_what_may_be_fetched(wire, tree, login, case):
    make_scope, allowed = SCOPES[case]
    scoped = login(make_scope(wire.stat(f"{tree}/d")))
    assert scoped.request("GET", wire.download(f"{tree}/d/f")).status == (200 if allowed else 401)


def test_over_http_a_narrow_scope_is_as_wide_as_any(wire, tree, login):
    """Who has an address of the data server, may use it."""
    scoped = login({"resourceinfo:d": scope(VIEWER, resource(wire.stat(f"{tree}/d")))})
    assert scoped.request("GET", wire.download(f"{tree}/d2/f")).data == b"content"
    assert scoped.request("PUT", wire.uploads(f"{tree}/d2/new", 3)["simple"], b"new").status == 200


@pytest.mark.parametrize(("below", "passes"), [("", True), (".", False), ("./f", False)])
def test_an_id_passes_only_by_itself(storage, wire, tree, login, below, passes):
    """What is below an id has a path that begins with a dot, and no scope's path begins so."""
    if not storage.finds_ids:
        pytest.skip("it finds nothing by id")
    info = wire.stat(f"{tree}/d")
    scoped = login({"resourceinfo:d": scope(VIEWER, resource(info))})
    assert denied(scoped, "Stat", {"ref": ref(below, of=info.id)}) != passes
    assert denied(scoped, "Stat", {"ref": ref(of=wire.stat(f"{tree}/d/f").id)})


@pytest.mark.parametrize("case", ["no resource", "no id"])
def test_a_scope_that_leaves_something_out_breaks_the_call(wire, tree, login, case):
    broken = {"no resource": scope(OWNER), "no id": scope(OWNER, {"path": tree})}[case]
    anything = storage_pb2.ResourceId(storage_id="a", opaque_id="b")
    assert login({"resourceinfo": broken}).code("Stat", ref=ref(of=anything)) == "grpc:INTERNAL"


def test_whom_a_token_names_can_be_asked_whatever_its_scope(storage, wire, login):
    scopeless = login({})
    assert wire.ok("WhoAmI", token=scopeless.token).user.username == storage.user
    assert scopeless.code("WhoAmI", token=scopeless.token) == "grpc:PERMISSION_DENIED"


def test_the_data_server_takes_no_application_password(wire, tree, make, storage):
    basic = base64.b64encode(f"{storage.user}:{make().password}".encode()).decode()
    endpoint = wire.download(f"{tree}/d/f")
    assert wire.request("GET", endpoint, X_Access_Token=None, Authorization=f"Basic {basic}").status == 401
