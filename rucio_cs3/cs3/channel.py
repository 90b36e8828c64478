"""One gRPC channel to one gateway: every call gets a token, a deadline, and our errors."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # its C core would write handshake failures onto the user's screen
import grpc
from cs3.gateway.v1beta1 import gateway_api_pb2_grpc
from cs3.rpc.v1beta1 import code_pb2

from rucio_cs3 import deadline, observe, tls
from rucio_cs3.errors import ListingTooLarge, Stopped, TokenRejected, Unavailable, from_cs3
from rucio_cs3.loopback import is_loopback

if TYPE_CHECKING:
    from collections.abc import Callable

    from rucio_cs3.config import Config
    from rucio_cs3.credentials.tokens import Tokens
    from rucio_cs3.errors import Cs3Error

LARGEST_ANSWER = 256 << 20  # bytes; gRPC's own 4 MiB ends at about 10,000 entries of a folder
READS = (
    *("Stat", "ListContainer", "GetQuota", "WhoAmI", "InitiateFileDownload", "Authenticate"),
    *("GetLock", "ListStorageSpaces"),
)

# Repeating is safe for calls that change nothing, and only while nobody answers.
SERVICE_CONFIG = {
    "methodConfig": [
        {
            "name": [{"service": "cs3.gateway.v1beta1.GatewayAPI", "method": method} for method in READS],
            "retryPolicy": {
                "maxAttempts": 4,
                "initialBackoff": "0.2s",
                "maxBackoff": "2s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ]
}
OPTIONS = [
    ("grpc.max_receive_message_length", LARGEST_ANSWER),
    ("grpc.service_config", json.dumps(SERVICE_CONFIG)),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 5000),  # a daemon should see within seconds that the site is back
]

# What gRPC says when no connection comes about -> what the user can do, and whether it stays so until that is done.
CONNECTION_HINTS = {
    "CERTIFICATE_VERIFY_FAILED": (
        "the gateway's certificate is not signed by an authority known here: set ca = FILE",
        True,
    ),
    "not match": ("the gateway's certificate is for another host name: check gateway = host:port", True),
    "WRONG_VERSION_NUMBER": (
        "the gateway does not speak TLS: if it should not, set tls = false, RUCIO_CS3_TLS=false",
        True,
    ),
    "DNS resolution failed": ("check the host name in gateway = host:port", False),
    "resolving": ("check the host name in gateway = host:port", False),
    "Connection refused": ("nothing listens there: check gateway = host:port and whether the site is up", False),
    "Failed parsing HTTP/2": ("what listens there does not speak gRPC: is it the site's HTTP port?", True),
    "Socket closed": ("check that tls is set as the gateway speaks it", True),
    "Connection reset": ("check that tls is set as the gateway speaks it", True),
}


class Channel:
    """Connects at the first call, not before."""

    def __init__(self, config: Config) -> None:
        self.address = config.gateway
        self._timeout = config.call_timeout
        self._channel = self._open(config)
        self._stub = gateway_api_pb2_grpc.GatewayAPIStub(self._channel)
        self.tokens: Tokens | None = None

    @staticmethod
    def _open(config: Config) -> grpc.Channel:
        options = [*OPTIONS, ("grpc.enable_http_proxy", 0)] if is_loopback(config.host) else OPTIONS
        if not config.tls:
            return grpc.insecure_channel(config.gateway, options)
        credentials = grpc.ssl_channel_credentials(tls.authorities(config), *tls.client_pair(config))
        return grpc.secure_channel(config.gateway, credentials, options)

    def close(self) -> None:
        self._channel.close()

    def call(self, method: str, request: Any, *, path: str = "") -> Any:
        """Call as the user. A refused token is renewed once: gateways refuse before they act, nothing is done twice."""
        return self.as_user(lambda token: self.call_with(token, method, request, path=path))

    def as_user(self, send: Callable[[str | None], Any]) -> Any:
        """Call `send` with the token in force, and with another one if that is refused."""
        token = self.tokens.get() if self.tokens else None
        try:
            return send(token)
        except TokenRejected:
            renewed = self.tokens.renewed(token) if self.tokens and token else None
            if renewed is None:
                raise
            return send(renewed)

    def call_with(self, token: str | None, method: str, request: Any, *, path: str = "") -> Any:
        """One call with this token. Raises the error for any status but OK."""
        shown = (("x-access-token", token),) if token else ()
        timeout = deadline.at_most(self._timeout)
        with observe.call(method, self.address, path) as step:
            metadata = (*shown, *step.headers.items())
            try:
                reply = _sent(getattr(self._stub, method), request, timeout=timeout, metadata=metadata)
            except grpc.RpcError as error:
                raise self._failure(error, method, path) from error
            if reply.status.code != code_pb2.CODE_OK:
                raise from_cs3(_name(reply.status.code), reply.status.message, path=path)
            return reply

    def _failure(self, error: Any, method: str, path: str) -> Cs3Error:
        details = error.details() or "no details"
        ours = from_cs3(error.code().name, f"{method} at gateway {self.address}: {details}", path=path)
        if method == "ListContainer" and ours.status == "RESOURCE_EXHAUSTED":
            return ListingTooLarge(ours.message, path=path, status=ours.status)
        if isinstance(ours, Unavailable):
            found = (known for words, known in CONNECTION_HINTS.items() if words in details)
            ours.hint, ours.lasts = next(found, (ours.hint, ours.lasts))
        return ours


def _sent(method: Any, request: Any, **options: Any) -> Any:
    if not deadline.ends_calls():
        return method(request, **options)
    call = method.future(request, **options)
    try:
        with deadline.breaks_off(call):
            return call.result()
    except grpc.FutureCancelledError:
        deadline.check()
        raise
    except Stopped:
        call.cancel()
        raise


def _name(code: int) -> str:
    """As in the table of errors; a code that our cs3apis does not know yet is shown as its number."""
    known = code_pb2.Code.DESCRIPTOR.values_by_number.get(code)
    return str(known.name).replace("CODE_", "", 1) if known else f"CODE {code}"
