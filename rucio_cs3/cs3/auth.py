"""Who we are: logging in, and asking the gateway who it takes us for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cs3.gateway.v1beta1 import gateway_api_pb2 as gateway

from rucio_cs3.credentials import jwt
from rucio_cs3.errors import NotAuthenticated, NotFound, PermissionDenied, ServerError
from rucio_cs3.model import User

if TYPE_CHECKING:
    from rucio_cs3.credentials.sources import Login
    from rucio_cs3.cs3.channel import Channel


CLAIMS = {"iss": "issuer", "aud": "audience", "sub": "subject"}
REMEDIES = {
    "machine": "check machine_secret, and whether the site knows the user",
    "appauth": "the application password may be over or revoked: make a new one at the site",
}


class Auth:
    """The login calls of a gateway."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def authenticate(self, login: Login) -> str:
        """Trade a login for a Reva token. Gateways report a refused login under four different codes."""
        request = gateway.AuthenticateRequest(
            type=login.type, client_id=login.client_id, client_secret=login.client_secret
        )
        try:
            return str(self._channel.call_with(None, "Authenticate", request).token)
        except (PermissionDenied, NotFound, NotAuthenticated) as refused:
            raise self._refusal(login, refused) from refused
        except ServerError as failed:
            failed.hint = (
                f"the gateway could not check the {login.type} login: is that login enabled there, and is it up?"
            )
            raise

    def _refusal(self, login: Login, refused: PermissionDenied | NotFound | NotAuthenticated) -> NotAuthenticated:
        who = f" of {login.client_id}" if login.client_id else ""
        return NotAuthenticated(
            f"gateway {self._channel.address} refused the {login.type} login{who}: {refused.message}",
            status=refused.status,
            hint=_remedy(login),
        )

    def whoami(self) -> User:
        """The user behind the token in force. Raises TokenRejected or NotAuthenticated when there is none."""

        def ask(token: str | None) -> Any:
            return self._channel.call_with(token, "WhoAmI", gateway.WhoAmIRequest(token=token or ""))

        user = self._channel.as_user(ask).user
        return User(user.username, user.id.opaque_id, user.id.idp, user.display_name, user.mail)


def _remedy(login: Login) -> str | None:
    """Reva never says what was wrong with a login; a token does, to who knows what the site looks at."""
    if login.type != "bearer":
        return REMEDIES.get(login.type)
    known = jwt.claims(login.client_secret)
    if not known:
        return "it is no JWT, so nobody can say here whose it is: get another one"
    said = ", ".join(f"{meaning} {known.get(name)!r}" for name, meaning in CLAIMS.items())
    return f"the token has {said}: the site must know all three"
