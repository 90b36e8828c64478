"""nanoidp, a real OpenID Connect provider, with what it lacks: token exchange, `audience`, and lives in seconds.

Run as `provider.py FOLDER FD`: a folder with its configuration, and the listening socket to serve on. Only the grant of
RFC 8693 is ours, added to the table of grants; the tokens that come of it are made by nanoidp like all others.
"""

from __future__ import annotations

import dataclasses
import functools
import sys
from pathlib import Path

import jwt
from flask import jsonify, request
from nanoidp.app import create_app
from nanoidp.routes._oauth_error import oauth_error
from nanoidp.routes.oauth_grants import _GRANT_HANDLERS, _GrantOutcome
from nanoidp.services import get_crypto_service, get_revocation_store
from nanoidp.services.scope import resolve_scope
from nanoidp.services.token import TokenService
from werkzeug.serving import make_server

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
JWT = "urn:ietf:params:oauth:token-type:jwt"  # what ours are as well
LIFETIME = "lifetime"  # a file in FOLDER with the seconds that new tokens live


def main(folder: Path, fd: int) -> None:
    app = create_app(str(folder), strict_config=True)
    _GRANT_HANDLERS[EXCHANGE] = exchange
    _GRANT_HANDLERS["client_credentials"] = for_audience(_GRANT_HANDLERS["client_credentials"])
    for name in ("create_token", "create_client_credentials_token"):
        setattr(TokenService, name, living(folder / LIFETIME, getattr(TokenService, name)))
    app.view_functions["oauth.oidc_config"] = advertising(app.view_functions["oauth.oidc_config"])
    make_server("127.0.0.1", 0, app, threaded=True, fd=fd).serve_forever()


def exchange(context):
    """RFC 8693: a confidential client gets, for a user's token, another of that user, of no wider scope."""
    client = context.identities.get_client(context.client_id)
    if client is None or client.is_public:
        return oauth_error("unauthorized_client", "only a client with a secret may exchange tokens")
    settings = context.loaded.settings
    claims = subject_claims(request.form.get("subject_token", ""), settings.issuer)
    user = context.identities.get_user(claims.get("sub"))
    if user is None or not speaks_of_access_tokens(request.form):
        return oauth_error("invalid_request", "one access token is exchanged for another, and subject_token is none")
    had = claims.get("scope", "")
    scope = request.form.get("scope") or had
    allowed = resolve_scope(scope, client, settings.scopes_supported, settings.scope_enforcement_active)
    if not (allowed.ok and set(scope.split()) <= set(had.split())):
        return oauth_error("invalid_scope", "the scope is wider than that of subject_token or of the client")
    return _GrantOutcome(
        user=user, subject=user.username, scope=scope, resource=audience() or None, issue_refresh_token=False
    )


def speaks_of_access_tokens(form) -> bool:
    types = {form.get("subject_token_type"), form.get("requested_token_type", ACCESS_TOKEN)}
    return types <= {ACCESS_TOKEN, JWT} and "actor_token" not in form


def subject_claims(token: str, issuer: str):
    """What a valid access token of ours says; of any other, nothing."""
    try:
        claims = get_crypto_service().verify_jwt(token, None)
    except (jwt.PyJWTError, ValueError):
        return {}
    known = claims.get("iss") == issuer and claims.get("token_use") == "access"
    return claims if known and not get_revocation_store().is_revoked(claims.get("jti")) else {}


def audience() -> list[str]:
    """For whom the token should be: a name as in RFC 8693, or a URL as in RFC 8707."""
    return [*request.form.getlist("audience"), *request.form.getlist("resource")]


def for_audience(grant):
    """Understand `audience` in client credentials, as the providers that Rucio is used with do."""

    @functools.wraps(grant)
    def wrapper(context):
        granted = grant(context)
        if isinstance(granted, _GrantOutcome) and audience():
            return dataclasses.replace(granted, resource=audience())
        return granted

    return wrapper


def living(lifetime: Path, create):
    """Let tokens live for the seconds in a file: nanoidp counts in minutes."""

    @functools.wraps(create)
    def wrapper(self, **options):
        seconds = int(lifetime.read_text())
        answer = create(self, **{**options, "exp_minutes": seconds / 60})
        exchanged = {"issued_token_type": ACCESS_TOKEN} if request.form.get("grant_type") == EXCHANGE else {}
        return {**answer, "expires_in": seconds, **exchanged}

    return wrapper


def advertising(discovery):
    @functools.wraps(discovery)
    def wrapper():
        known = discovery().get_json()
        return jsonify({**known, "grant_types_supported": [*known["grant_types_supported"], EXCHANGE]})

    return wrapper


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
