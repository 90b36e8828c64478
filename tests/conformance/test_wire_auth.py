from __future__ import annotations

import base64
import time
import uuid

import grpc
import jwt
import pytest
from cs3.identity.user.v1beta1 import resources_pb2 as identity_pb2

from tests.conformance.wire import Endpoint, answer_of

DENIED, NOT_FOUND, UNAUTHENTICATED, INTERNAL = "PERMISSION_DENIED", "NOT_FOUND", "UNAUTHENTICATED", "INTERNAL"
NOW = int(time.time())
EXPIRED = {"exp": NOW - 60}

LOGINS = {
    "wrong password": ("basic", "einstein", "wrong", DENIED),
    "unknown user": ("basic", "nobody", "relativity", DENIED),
    "nothing given": ("basic", "", "", DENIED),
    "another user's password": ("basic", "marie", "relativity", DENIED),
    "wrong machine secret": ("machine", "einstein", "wrong", DENIED),
    "machine, unknown user": ("machine", "nobody", None, NOT_FOUND),
    "machine, by user id": ("machine", "userid:4c510ada-c86b-4815-8820-42cdf82c3d51", None, NOT_FOUND),
    "machine, unknown mail": ("machine", "mail:nobody@example.org", None, NOT_FOUND),
    "garbage for a bearer token": ("bearer", "", "garbage", UNAUTHENTICATED),
    "garbage in three parts": ("bearer", "", "a.b.c", UNAUTHENTICATED),
    "an empty bearer token": ("bearer", "", "", UNAUTHENTICATED),
    "100 kB for a bearer token": ("bearer", "", "x" * 100_000, UNAUTHENTICATED),
    "a bearer token of no letters": ("bearer", "", "\x00\u20ac.\U0001f600.\n", UNAUTHENTICATED),
    "a list for a bearer token": ("bearer", "", "eyJhbGciOiJSUzI1NiJ9.W10.AAAA", UNAUTHENTICATED),
    "unknown type": ("unheard-of", "einstein", "relativity", INTERNAL),
}

BEARERS = {
    "expired": ({"subject": "einstein", **EXPIRED}, UNAUTHENTICATED),
    "of another issuer": ({"subject": "einstein", "iss": "http://elsewhere.example.org"}, UNAUTHENTICATED),
    "signed by somebody else": ({"subject": "einstein", "signed_by": "forger"}, UNAUTHENTICATED),
    "of an unknown user": ({"subject": "nobody"}, UNAUTHENTICATED),
    "good": ({"subject": "einstein"}, "OK"),
    "for another audience": ({"subject": "einstein", "aud": "other"}, "OK"),
    "for several audiences": ({"subject": "einstein", "aud": ["a", "b"]}, "OK"),
    "for no audience": ({"subject": "einstein", "aud": None}, "OK"),
    "for an audience that is a number": ({"subject": "einstein", "aud": 5}, UNAUTHENTICATED),
    "that never expires": ({"subject": "einstein", "exp": None}, UNAUTHENTICATED),
    "that expires in words": ({"subject": "einstein", "exp": "tomorrow"}, UNAUTHENTICATED),
    "that expires at a fraction of a second": ({"subject": "einstein", "exp": NOW + 3600.5}, "OK"),
    "valid a little later": ({"subject": "einstein", "nbf": NOW + 200}, "OK"),
    "valid much later": ({"subject": "einstein", "nbf": NOW + 3000}, UNAUTHENTICATED),
    "issued in the future": ({"subject": "einstein", "iat": NOW + 3000}, "OK"),
    "issued at no time": ({"subject": "einstein", "iat": None}, "OK"),
    "of no issuer": ({"subject": "einstein", "iss": None}, UNAUTHENTICATED),
    "of an issuer that is a number": ({"subject": "einstein", "iss": 5}, UNAUTHENTICATED),
    "of no user": ({"subject": None}, UNAUTHENTICATED),
    "of an empty user": ({"subject": ""}, UNAUTHENTICATED),
    "of a user that is a number": ({"subject": 5}, UNAUTHENTICATED),
    "of a user by mail": ({"subject": "einstein@example.org"}, UNAUTHENTICATED),
    "named by its other claims only": ({"subject": None, "preferred_username": "einstein"}, UNAUTHENTICATED),
    "whose id of its own is a number": ({"subject": "einstein", "jti": 5}, "OK"),
    "without a key's name": ({"subject": "einstein", "kid": None}, "OK"),
    "with another key's name": ({"subject": "einstein", "kid": "another"}, UNAUTHENTICATED),
    "not signed": ({"subject": "einstein", "algorithm": "none"}, UNAUTHENTICATED),
    "signed with what is public": ({"subject": "einstein", "algorithm": "HS256"}, UNAUTHENTICATED),
    "signed as is not announced": ({"subject": "einstein", "algorithm": "RS512"}, UNAUTHENTICATED),
    "signed otherwise than announced": ({"subject": "einstein", "algorithm": "PS256"}, UNAUTHENTICATED),
    "signed in a way unheard of": ({"subject": "einstein", "algorithm": "XX1"}, UNAUTHENTICATED),
    "of 100 kB": ({"subject": "einstein", "groups": "g" * 100_000}, "OK"),
    "of 100 kB, and forged": ({"subject": "einstein", "signed_by": "forger", "g": "g" * 100_000}, UNAUTHENTICATED),
}


@pytest.fixture
def bare(storage):
    return storage.bare_wire()


@pytest.fixture
def stored(wire, folder):
    assert wire.put(f"{folder}/f", b"content") == 200
    return f"{folder}/f"


def aborted(wire, method="GetHome", **fields):
    """The gRPC code and message that a call ends with."""
    with pytest.raises(grpc.RpcError) as caught:
        wire.call(method, **fields)
    return caught.value.code().name, caught.value.details()


def refusal(storage):
    """The code for a bearer token that is not good."""
    return INTERNAL if storage.facts.has_spaces else UNAUTHENTICATED


@pytest.mark.parametrize("case", LOGINS)
def test_a_login_that_fails(storage, bare, case):
    kind, client_id, secret, code = LOGINS[case]
    if (kind == "machine" and not storage.machine_secret) or (kind == "bearer" and not storage.issuer):
        pytest.skip(f"it may not have {kind} logins")
    secret = storage.machine_secret if secret is None else secret
    if storage.facts.has_spaces:
        code = {UNAUTHENTICATED: INTERNAL}.get(code, "OK" if client_id.startswith("userid:") else code)
    assert bare.code("Authenticate", type=kind, client_id=client_id, client_secret=secret) == code


@pytest.mark.parametrize("case", BEARERS)
def test_a_bearer_token(storage, bare, case):
    if not storage.issuer:
        pytest.skip("it does not know our issuer")
    claims, code = BEARERS[case]
    token = storage.issuer.token(**claims)
    if storage.facts.has_spaces:  # it asks the issuer, and checks nothing by itself
        code = "OK" if storage.issuer.knows(token) else INTERNAL
    assert bare.code("Authenticate", type="bearer", client_id="ignored", client_secret=token) == code


@pytest.mark.parametrize(
    ("kind", "client_id"), [("basic", "{}"), ("machine", "{}"), ("machine", "mail:{}@example.org")]
)
def test_a_login_that_succeeds(storage, bare, kind, client_id):
    secret = storage.password if kind == "basic" else storage.machine_secret
    if secret is None:
        pytest.skip("its machine secret is not known")
    reply = bare.ok("Authenticate", type=kind, client_id=client_id.format(storage.user), client_secret=secret)
    assert reply.user.username == storage.user
    assert reply.user.id.opaque_id
    assert reply.user.id.type == identity_pb2.USER_TYPE_PRIMARY
    assert bare.call("WhoAmI", token=reply.token, metadata=(("x-access-token", reply.token),)).user == reply.user


def test_the_token_is_a_jwt_for_a_day(storage, wire):
    header = jwt.get_unverified_header(wire.token)
    claims = jwt.decode(wire.token, options={"verify_signature": False})
    assert header["alg"] == "HS256"
    assert set(claims) == {"iss", "aud", "exp", "iat", "user", "scope"}
    assert claims["aud"] == ["reva"]
    assert claims["exp"] - claims["iat"] == 86_400
    assert claims["user"]["username"] == storage.user
    assert base64.b64decode(claims["scope"]["user"]["resource"]["value"]) == b'{"path":"/"}'


def test_no_token_is_unauthenticated(storage, bare):
    anonymous = ("UNKNOWN", "user not found in context")
    told = ("UNAUTHENTICATED", "auth: core access token not found")
    assert aborted(bare) == (anonymous if storage.facts.has_spaces else told)


def test_the_authorization_metadata_counts_for_nothing(storage, bare, wire):
    metadata = (("authorization", f"Bearer {wire.token}"),)
    assert aborted(bare, metadata=metadata)[0] == ("UNKNOWN" if storage.facts.has_spaces else "UNAUTHENTICATED")


def test_a_bearer_token_is_good_to_its_end_and_no_longer(storage, bare):
    """Clocks may differ by minutes for the begin of its life, and not at all for the end."""
    if not storage.issuer:
        pytest.skip("it does not know our issuer")
    for exp, code in ((NOW - 1, refusal(storage)), (int(time.time()) + 10, "OK")):
        token = storage.issuer.token("einstein", exp=exp)
        assert bare.code("Authenticate", type="bearer", client_secret=token) == code


def test_an_issuer_may_change_its_key(storage, bare):
    if not storage.issuer:
        pytest.skip("it does not know our issuer")

    def code(token):
        return bare.code("Authenticate", type="bearer", client_secret=token)

    old = storage.issuer.token("einstein")
    assert code(old) == "OK"
    storage.issuer.rotate()
    assert code(old) == ("OK" if not storage.facts.has_spaces else INTERNAL)  # it looks at no key, old or new
    assert code(storage.issuer.token("einstein")) == "OK"
    assert code(old) == refusal(storage)


def test_a_revas_token_for_another_audience_is_good(storage, wire):
    if storage.jwt_secret is None:
        pytest.skip("its secrets are not known")
    for claims in ({"aud": ["other"]}, {"aud": "other"}, {"iat": NOW + 3000}, {"iss": "http://elsewhere"}):
        assert wire.code("GetHome", metadata=(("x-access-token", storage.forge(wire.token, **claims)),)) == "OK"


@pytest.mark.parametrize(
    "case", ["garbage", "100 kB", "expired", "not yet valid", "of another site", "an OIDC token", "a transfer token"]
)
def test_a_bad_token_ends_the_call(storage, wire, stored, case):
    if storage.issuer is None or storage.jwt_secret is None:
        pytest.skip("its secrets are not known")
    bad = {
        "garbage": "garbage",
        "100 kB": "x" * 100_000,
        "not yet valid": storage.forge(wire.token, nbf=NOW + 3000),
        "expired": storage.forge(wire.token, **EXPIRED),
        "of another site": storage.forge(wire.token, "x" * 40),
        "an OIDC token": storage.issuer.token("einstein"),
        "a transfer token": wire.download(stored).token or "garbage",
    }
    metadata = (("x-access-token", bad[case]),)
    if storage.facts.has_spaces:
        assert wire.code("GetHome", metadata=metadata) == "grpc:UNKNOWN"
        assert wire.code("TouchFile", ref=stored, metadata=metadata) == DENIED
        return
    assert aborted(wire, metadata=metadata) == ("PERMISSION_DENIED", "auth: core access token is invalid")


def test_a_token_that_we_forge_with_the_right_secret_is_good(storage, wire):
    if storage.jwt_secret is None:
        pytest.skip("its secrets are not known")
    assert wire.code("GetHome", metadata=(("x-access-token", storage.forge(wire.token)),)) == "OK"


def test_who_am_i_needs_a_token_of_both_kinds(storage, bare, wire):
    missing = bare.code("WhoAmI", token=wire.token)
    assert missing == ("OK" if storage.facts.has_spaces else "grpc:UNAUTHENTICATED")
    assert wire.code("WhoAmI", token="garbage") == UNAUTHENTICATED


# The data server


def test_a_download_needs_the_access_token(wire, stored):
    endpoint = wire.download(stored)
    assert wire.request("GET", endpoint, X_Access_Token=None).status == 401
    assert wire.request("GET", endpoint, X_Access_Token="garbage").status == 401
    assert wire.request("GET", endpoint).status == 200


def test_an_upload_needs_the_access_token(wire, folder):
    for token in (None, "garbage"):
        endpoint = wire.uploads(f"{folder}/f", 1)["simple"]
        assert wire.request("PUT", endpoint, b"x", X_Access_Token=token).status == 401
    assert not wire.exists(f"{folder}/f")


def test_an_expired_access_token_is_no_token(storage, wire, stored):
    if storage.jwt_secret is None:
        pytest.skip("its secrets are not known")
    expired = storage.forge(wire.token, **EXPIRED)
    assert wire.request("GET", wire.download(stored), X_Access_Token=expired).status == 401


def test_a_hidden_data_server_needs_the_transfer_token(storage, wire, stored):
    endpoint = wire.download(stored)
    assert bool(endpoint.token) != storage.data_exposed
    if storage.data_exposed:
        return
    assert wire.request("GET", endpoint, X_Reva_Transfer=None).status == 403
    assert wire.request("GET", endpoint, X_Reva_Transfer="garbage").status == 403
    if storage.transfer_secret:
        expired = storage.forge(endpoint.token, storage.transfer_secret, **EXPIRED)
        assert wire.request("GET", endpoint, X_Reva_Transfer=expired).status == 403


def test_the_transfer_token_may_be_the_end_of_the_url(storage, wire, stored):
    endpoint = wire.download(stored)
    if not endpoint.token:
        return
    elsewhere = Endpoint("simple", f"{endpoint.url}/{endpoint.token}", "")
    assert wire.request("GET", elsewhere).data == b"content"


def test_a_transfer_token_says_what_and_until_when(wire, stored):
    endpoint = wire.download(stored)
    if not endpoint.token:
        return
    claims = jwt.decode(endpoint.token, options={"verify_signature": False})
    assert claims["target"].startswith("http")
    assert claims["exp"] - claims["iat"] == 6000


@pytest.mark.parametrize("kind", ["reva", "oidc", "basic", "wrong basic"])
def test_the_data_server_takes_other_credentials(storage, wire, stored, kind):
    if storage.issuer is None:
        pytest.skip("it does not know our issuer")
    basic = base64.b64encode(b"einstein:relativity").decode()
    header, status = {
        "reva": (f"Bearer {wire.token}", 200),
        "oidc": (f"Bearer {storage.issuer.token('einstein')}", 200),
        "basic": (f"Basic {basic}", 200),
        "wrong basic": (f"Basic {base64.b64encode(b'einstein:wrong').decode()}", 401),
    }[kind]
    reply = wire.request("GET", wire.download(stored), X_Access_Token=None, Authorization=header)
    assert reply.status == status


def test_another_users_token_with_my_transfer_token(storage, wire, folder):
    """Hidden: the transfer token alone says what is written. Exposed: the upload's address does."""
    if not storage.other_user or storage.behaviour == "reva-ceph":
        pytest.skip("nobody else to try, or one without permission")
    other = storage.wire(*storage.other_user)
    endpoint = wire.uploads(f"{folder}/f", 4)["simple"]
    assert wire.request("PUT", endpoint, b"mine", X_Access_Token=other.token).status == 200
    assert wire.content(f"{folder}/f") == b"mine"


def test_who_is_not_let_in_need_not_send_the_body(wire, folder):
    endpoint = wire.uploads(f"{folder}/f", 1000)["simple"]
    connection = wire.open_request("PUT", endpoint, 1000, X_Access_Token="garbage", Expect="100-continue")
    assert answer_of(connection).status == 401
    connection.close()


def test_who_is_let_in_is_told_to_continue(wire, folder):
    endpoint = wire.uploads(f"{folder}/f", 4)["simple"]
    connection = wire.open_request("PUT", endpoint, 4, Expect="100-continue")
    assert connection.recv(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
    connection.sendall(b"body")
    assert answer_of(connection).status == 200
    connection.close()
    assert wire.content(f"{folder}/f") == b"body"


def test_users_of_one_tree_may_do_everything_and_of_homes_see_their_own(storage, wire, stored):
    if not storage.other_user or storage.behaviour == "reva-ceph":
        pytest.skip("nobody else to try, or one without permission")
    other = storage.wire(*storage.other_user)
    assert other.exists(stored) == (storage.behaviour == "reva-local")
    assert other.code("Stat", ref=f"{storage.home.rstrip('/')}/{uuid.uuid4()}") == NOT_FOUND
