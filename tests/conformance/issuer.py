"""A small OpenID Connect issuer: a discovery document, its keys, and tokens good and bad."""

from __future__ import annotations

import base64
import functools
import hmac
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from rucio_cs3.gateway import DEMO_USERS

LONGEST_HEADER = 65_000  # bytes, of http.server


@functools.cache
def key(name):
    return rsa.generate_private_key(65537, 2048)


def part(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def rsa_signed(name):
    def sign(data, signer):
        algorithm = jwt.get_algorithm_by_name(name)
        return algorithm.sign(data, signer)

    return sign


def nothing(data, signer):
    return b""


def keyed_with_what_is_public(data, signer):
    """An old trick: who verifies with the public key as if it were a shared secret, takes it."""
    public = signer.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return hmac.digest(public, data, "sha256")


SIGN = {name: rsa_signed(name) for name in ("RS256", "RS512", "PS256")} | {"HS256": keyed_with_what_is_public}


class Issuer:
    """Serves until stopped. `token` makes what a user would bring from it."""

    def __init__(self):
        self.generation = 1
        self.broken = {}  # pages that are served instead of the good ones
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Pages, self))
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    def rotate(self):
        """Sign with another key from here on, and forget the one before."""
        self.generation += 1

    @property
    def signer(self):
        return f"own-{self.generation}"

    def token(self, subject, signed_by="", algorithm="RS256", kid="", **claims):
        """Claims that are None are left out, as is the `kid`."""
        now = int(time.time())
        known = {"iss": self.url, "sub": subject, "aud": "reva", "iat": now, "exp": now + 3600}
        told = {name: value for name, value in {**known, **claims}.items() if value is not None}
        header = {"alg": algorithm, "typ": "JWT", **({} if kid is None else {"kid": kid or self.signer})}
        signed = b".".join(part(json.dumps(one).encode()) for one in (header, told))
        return b".".join([signed, part(SIGN.get(algorithm, nothing)(signed, key(signed_by or self.signer)))]).decode()

    def userinfo(self, authorization):
        """Of whom a token is, for who asks with it; None for a bad one. It knows users by the ids of the site."""
        token, public = authorization.removeprefix("Bearer "), key(self.signer).public_key()
        try:
            claims = jwt.decode(token, public, ["RS256"], issuer=self.url, options={"verify_aud": False})
        except jwt.InvalidTokenError:
            return None
        name = claims.get("sub") or ""
        known = {user.username: user for user in DEMO_USERS}.get(name)
        subject = known.id if known else name
        return {
            "iss": self.url,
            "sub": subject,
            "name": known.display_name if known else name,
            "preferred_username": name,
            "email": f"{name}@example.org",
        }

    def knows(self, token):
        """Whether who asks it with this token learns of a user of the site."""
        told = self.userinfo(f"Bearer {token}") if len(token) < LONGEST_HEADER else None
        return bool(told) and told["sub"] in {user.id for user in DEMO_USERS}

    @property
    def pages(self):
        public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key(self.signer).public_key()))
        endpoints = {f"{name}_endpoint": f"{self.url}/{name}" for name in ("authorization", "token", "userinfo")}
        return {
            "/.well-known/openid-configuration": {
                "issuer": self.url,
                "jwks_uri": f"{self.url}/jwks",
                "id_token_signing_alg_values_supported": ["RS256"],
                **endpoints,
            },
            "/jwks": {"keys": [{**public, "kid": self.signer, "use": "sig", "alg": "RS256"}]},
            **self.broken,
        }


class Pages(BaseHTTPRequestHandler):
    def __init__(self, issuer, *args):
        self.issuer = issuer
        super().__init__(*args)

    def do_GET(self):
        page = self.issuer.pages.get(self.path)
        if self.path == "/userinfo":
            page = self.issuer.userinfo(self.headers.get("Authorization", ""))
        body = json.dumps(page).encode()
        self.send_response(200 if page else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass
