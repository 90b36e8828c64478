"""The provider really does what the tests of our credentials build on, and the embedded gateway believes it."""

from __future__ import annotations

import jwt
import pytest
import requests

from rucio_cs3 import Cs3Client, errors
from rucio_cs3.gateway import Gateway
from tests.idp.idp import AUDIENCE, DEVICE, EXCHANGE, PEOPLE, RUCIO, App, Idp

GRANTS = {"authorization_code", "client_credentials", "refresh_token", DEVICE, EXCHANGE}


@pytest.fixture(scope="module")
def gateway(idp, tmp_path_factory):
    with Gateway(tmp_path_factory.mktemp("site"), "reva-localhome", oidc_issuer=idp.url) as gateway:
        yield gateway


@pytest.fixture
def claims(idp):
    """What a token says, once it has been checked by what discovery tells."""

    def read(token, audience=AUDIENCE):
        key = jwt.PyJWKClient(idp.known["jwks_uri"]).get_signing_key_from_jwt(token)
        signed = idp.known["id_token_signing_alg_values_supported"]
        return jwt.decode(token, key, signed, issuer=idp.url, audience=audience)

    return read


def site(gateway, token):
    return Cs3Client(gateway=gateway.address, tls=False, auth="bearer", bearer_token=token)


def test_discovery_tells_the_grants(idp):
    assert idp.known["issuer"] == idp.url
    assert set(idp.known["grant_types_supported"]) >= GRANTS


def test_client_credentials(idp, claims):
    got = idp.token(RUCIO, "client_credentials", scope="storage.read:/", audience="cs3")
    said = claims(got["access_token"], audience="cs3")
    assert (said["sub"], said["scope"], got["expires_in"]) == (RUCIO.id, "storage.read:/", said["exp"] - said["iat"])
    assert "refresh_token" not in got


@pytest.mark.parametrize(
    ("app", "scope", "error"),
    [
        (App(RUCIO.id, "wrong"), "storage.read:/", "invalid_client"),
        (PEOPLE, "storage.read:/", "unauthorized_client"),
        (RUCIO, "storage.everything", "invalid_scope"),
    ],
)
def test_client_credentials_that_are_refused(idp, app, scope, error):
    assert idp.token(app, "client_credentials", scope=scope)["error"] == error


def test_device_flow(idp, claims):
    begun = idp.ask("device_authorization", PEOPLE, scope="openid profile")
    poll = {"device_code": begun["device_code"]}
    assert idp.token(PEOPLE, DEVICE, **poll)["error"] == "authorization_pending"
    idp.approve(begun["verification_uri_complete"], "marie")
    got = idp.token(PEOPLE, DEVICE, **poll)
    assert claims(got["access_token"])["sub"] == "marie"
    assert claims(got["id_token"], audience=PEOPLE.id)["sub"] == "marie"
    assert idp.token(PEOPLE, DEVICE, **poll)["error"] == "invalid_grant"


def test_device_flow_denied(idp):
    begun = idp.ask("device_authorization", PEOPLE, scope="openid")
    idp.approve(begun["verification_uri"] + "?user_code=" + begun["user_code"], "marie", "deny")
    assert idp.token(PEOPLE, DEVICE, device_code=begun["device_code"])["error"] == "access_denied"


def test_a_refresh_token_of_a_client_with_a_secret_is_good_until_its_time_is_over(idp, claims):
    refresh = idp.login("einstein", app=RUCIO)["refresh_token"]
    for _ in range(2):
        got = idp.token(RUCIO, "refresh_token", refresh_token=refresh)
        assert claims(got["access_token"])["sub"] == "einstein"


def test_a_refresh_token_of_a_public_client_is_good_for_one_use(idp, claims):
    first = idp.login("einstein")
    second = idp.token(PEOPLE, "refresh_token", refresh_token=first["refresh_token"])
    assert claims(second["access_token"])["sub"] == "einstein"
    third = idp.token(PEOPLE, "refresh_token", refresh_token=second["refresh_token"])
    assert third["refresh_token"] not in {first["refresh_token"], second["refresh_token"]}
    assert idp.token(PEOPLE, "refresh_token", refresh_token=first["refresh_token"])["error"] == "invalid_grant"
    assert idp.token(PEOPLE, "refresh_token", refresh_token=third["refresh_token"])["error"] == "invalid_grant"


def test_exchange(idp, claims):
    had = idp.login("einstein", "openid profile storage.read:/")
    got = idp.exchange(had["access_token"], audience="cs3", scope="storage.read:/")
    said = claims(got["access_token"], audience="cs3")
    assert (said["sub"], said["scope"], said["client_id"]) == ("einstein", "storage.read:/", RUCIO.id)
    assert got["issued_token_type"] == "urn:ietf:params:oauth:token-type:access_token"
    assert "refresh_token" not in got


EXCHANGES = {
    "a wider scope": ({"scope": "openid storage.modify:/"}, "invalid_scope"),
    "an unknown scope": ({"scope": "storage.everything"}, "invalid_scope"),
    "garbage": ({"subject_token": "garbage"}, "invalid_request"),
    "nothing": ({"subject_token": ""}, "invalid_request"),
    "another type": ({"subject_token_type": "urn:ietf:params:oauth:token-type:saml2"}, "invalid_request"),
    "delegation": ({"actor_token": "somebody"}, "invalid_request"),
    "for a refresh token": (
        {"requested_token_type": "urn:ietf:params:oauth:token-type:refresh_token"},
        "invalid_request",
    ),
}


@pytest.mark.parametrize("case", EXCHANGES)
def test_an_exchange_that_is_refused(idp, case):
    changes, error = EXCHANGES[case]
    assert idp.exchange(**{"token": idp.login("einstein")["access_token"], **changes})["error"] == error


@pytest.mark.parametrize("kind", ["id_token", "refresh_token"])
def test_only_an_access_token_is_exchanged(idp, kind):
    assert idp.exchange(idp.login("einstein")[kind])["error"] == "invalid_request"


def test_a_token_of_no_user_is_not_exchanged(idp):
    token = idp.token(RUCIO, "client_credentials", scope="storage.read:/")["access_token"]
    assert idp.exchange(token)["error"] == "invalid_request"


def test_a_revoked_token_is_not_exchanged(idp):
    token = idp.login("einstein")["access_token"]
    idp.revoke(token)
    assert idp.exchange(token)["error"] == "invalid_request"


def test_a_public_client_exchanges_nothing(idp):
    token = idp.login("einstein")["access_token"]
    assert idp.exchange(token, app=PEOPLE)["error"] == "unauthorized_client"


def test_lives_are_counted_in_seconds(idp, claims):
    with idp.short_lived(7):
        got = idp.login("einstein")
    said = claims(got["access_token"])
    assert (got["expires_in"], said["exp"] - said["iat"]) == (7, 7)


def test_the_gateway_takes_the_token_as_its_user(idp, gateway, tmp_path):
    (tmp_path / "local").write_bytes(b"e=mc2")
    with (
        site(gateway, idp.login("einstein")["access_token"]) as einstein,
        site(gateway, idp.login("marie")["access_token"]) as marie,
    ):
        assert (einstein.whoami().username, marie.whoami().username) == ("einstein", "marie")
        einstein.upload(tmp_path / "local", "/home/paper")
        with pytest.raises(errors.NotFound):
            marie.files.stat("/home/paper")


def test_the_gateway_takes_an_exchanged_token(idp, gateway):
    token = idp.exchange(idp.login("einstein")["access_token"], audience="cs3")["access_token"]
    with site(gateway, token) as client:
        assert client.whoami().username == "einstein"


def test_the_gateway_refuses_a_token_whose_time_is_over(idp, gateway):
    with idp.short_lived(-1):
        token = idp.login("einstein")["access_token"]
    assert idp.ask("introspection", RUCIO, token=token) == {"active": False}
    with site(gateway, token) as client, pytest.raises(errors.NotAuthenticated):
        client.files.stat("/home")


def test_the_gateway_refuses_whom_the_site_does_not_know(idp, gateway):
    token = idp.login("stranger")["access_token"]
    assert idp.ask("introspection", RUCIO, token=token)["active"]
    with site(gateway, token) as client, pytest.raises(errors.NotAuthenticated):
        client.files.stat("/home")


def test_nothing_is_left(idp):
    with Idp() as other:
        assert other.url != idp.url
    assert not other.folder.exists()
    with pytest.raises(requests.ConnectionError):
        requests.get(other.url, timeout=5)
