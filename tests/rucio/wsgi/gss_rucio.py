"""Rucio behind Kerberos: we check the ticket, and Rucio is told whose it is as Apache's mod_auth_gssapi would."""

from __future__ import annotations

import base64
import binascii

import gssapi
from rucio.web.rest.flaskapi.v1.main import application as rucio

WANTED = "/auth/gss"
SCHEME = "Negotiate"


def application(environ, start_response):
    if environ["PATH_INFO"] != WANTED:
        return rucio(environ, start_response)
    context = gssapi.SecurityContext(usage="accept")
    try:
        answer = context.step(_given(environ.get("HTTP_AUTHORIZATION", "")))  # Kerberos needs no second one
        environ["REMOTE_USER"] = str(context.initiator_name)
    except (gssapi.exceptions.GSSError, binascii.Error):
        start_response("401 Unauthorized", [("WWW-Authenticate", SCHEME), ("Content-Length", "0")])
        return []
    ours = ("WWW-Authenticate", f"{SCHEME} {base64.b64encode(answer).decode()}")  # so that the client knows us too

    def start(status, headers, *error):
        return start_response(status, [*headers, ours], *error)

    return rucio(environ, start)


def _given(authorization: str) -> bytes:
    scheme, _, token = authorization.partition(" ")
    return base64.b64decode(token) if scheme == SCHEME else b""
