"""The way to the gateway and to the WebDAV door: name, port, TLS, and what is spoken there."""

from __future__ import annotations

import contextlib
import socket
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Callable

from cs3.gateway.v1beta1 import gateway_api_pb2 as gateway_api
from requests.utils import get_environ_proxies, select_proxy

from rucio_cs3.checkup.model import failed, failure, passed, skipped, warned
from rucio_cs3.cs3.channel import Channel
from rucio_cs3.errors import Cs3Error, DeadlineExceeded, Unavailable, Unsupported
from rucio_cs3.loopback import is_loopback
from rucio_cs3.operate import certificate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rucio_cs3.checkup.case import Case
    from rucio_cs3.checkup.model import Finding, Run
    from rucio_cs3.config import Config

# The beginning of HTTP/2, which gRPC is: the client's preface and an empty frame of settings, and how one comes back.
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
FRAME, SETTINGS = 9, 4
GET = b"GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n"
CONFUSED = b" 400 "  # what TLS servers say to HTTP, in the clear
GRPC, HTTP, TLS, NOTHING = "gRPC without TLS", "HTTP", "TLS", "nothing that is known here"

# Why a certificate is not believed, by OpenSSL's number -> what to do.
CERTIFICATES = {
    9: "wait until it is valid, or correct the clock of this machine",
    10: "the site's operator has to renew the certificate",
    18: "name it as ca, if it is the site's: openssl s_client -connect {address} -showcerts",
    19: "set ca to a file with the site's authority",
    20: "set ca to a file with the site's authority",
    62: "use a name that is in the certificate, or have the site's operator add this one: {setting}",
    64: "use a name that is in the certificate, or have the site's operator add this one: {setting}",
}


@dataclass(frozen=True)
class End:
    """Where we connect to."""

    what: str
    host: str
    port: int
    setting: str
    """which of them says so"""
    config: Config
    protocols: tuple[str, ...]
    """of ALPN"""
    wanted: str
    """what has to be spoken there in the clear"""

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    def connect(self) -> socket.socket:
        return socket.create_connection((self.host.strip("[]"), self.port), self.config.connect_timeout)

    @property
    def proxy(self) -> str:
        """The one on the way there, without its login."""
        url = f"{'https' if self.config.tls else 'http'}://{self.address}"
        found = "" if is_loopback(self.host) else select_proxy(url, get_environ_proxies(url)) or ""
        return found.rpartition("@")[2]


def gateway(case: Case) -> End:
    config = case.site.config
    origin = case.site.origins.get("gateway", "the settings")
    setting = f"gateway = {config.gateway}, from {origin}"
    port = int(config.gateway.rpartition(":")[2])
    return End("gateway", config.host, port, setting, config, ("h2",), GRPC)


def door(case: Case) -> End:
    host, port = case.door_host
    setting = "hostname and port of the RSE's protocol entry"
    return End("WebDAV door", host, port, setting, case.site.config, ("http/1.1",), HTTP)


def of(look: Callable[[End], Iterator[Finding]], end: Callable[[Case], End]) -> Run:
    """The check that takes this look at this end."""

    def run(case: Case) -> Iterator[Finding]:
        place = end(case)
        if place.proxy:
            yield skipped(f"the way there is through the proxy {place.proxy}")
        else:
            yield from look(place)

    return run


def dns(end: End) -> Iterator[Finding]:
    try:
        found = socket.getaddrinfo(end.host.strip("[]"), end.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or error
        yield failed(f"host {end.host} of the {end.what} has no address: {why}", f"check {end.setting}")
        return
    yield passed(f"{end.host} is {', '.join(sorted({str(entry[4][0]) for entry in found}))}")


def tcp(end: End) -> Iterator[Finding]:
    try:
        end.connect().close()
    except ConnectionRefusedError:
        remedy = f"check {end.setting}, and whether the site is up"
        yield failed(f"nothing listens at {end.address}, where the {end.what} should be", remedy)
    except (TimeoutError, socket.timeout):
        seconds = f"{end.config.connect_timeout:g} s"
        remedy = f"a firewall on the way, or a wrong address: check {end.setting}"
        yield failed(f"{end.address}, the {end.what}, does not answer within {seconds}", remedy)
    except OSError as error:
        yield failed(f"{end.address}, the {end.what}, cannot be reached: {error.strerror}", f"check {end.setting}")
    else:
        yield passed(f"{end.address} takes connections")


def security(end: End) -> Iterator[Finding]:
    """What is spoken there is TLS with a certificate that can be believed, or meant to be none."""
    if end.config.tls:
        yield from _secure(end)
    else:
        yield from _plain(end)


def _plain(end: End) -> Iterator[Finding]:
    spoken = _spoken(end)
    if spoken == TLS:
        remedy = f"set tls = true, or take tls = false out where it stands; {end.setting}"
        yield failed(f"{end.address}, the {end.what}, speaks TLS, and tls is false", remedy)
    elif spoken != end.wanted:
        yield failed(f"{end.address} speaks {spoken}, and the {end.what} speaks {end.wanted}", f"check {end.setting}")
    elif is_loopback(end.host):
        yield passed(f"{end.address} speaks {spoken}, on this machine alone")
    else:
        yield warned(f"{end.address} speaks {spoken}: logins are sent in the clear", "have the site offer TLS")


def _secure(end: End) -> Iterator[Finding]:
    try:
        known = certificate.shown(end.host, end.port, end.config, end.protocols)
    except ssl.SSLCertVerificationError as error:
        told = {"address": end.address, "setting": end.setting}
        remedy = CERTIFICATES.get(error.verify_code, "check ca, and the site's certificate").format(**told)
        yield failed(f"the certificate of the {end.what} at {end.address}: {error.verify_message}", remedy)
    except OSError as error:
        spoken = _spoken(end)
        if spoken in {TLS, NOTHING}:
            why = getattr(error, "reason", None) or error.strerror or error
            yield failed(f"{end.address}, the {end.what}: no TLS comes about: {why}", f"check {end.setting}")
        else:
            remedy = f"check the port; if the site has no TLS, tls = false is what says so; {end.setting}"
            yield failed(f"{end.address} speaks {spoken} in plaintext, and tls is true", remedy)
    else:
        seen = f"{known.version}, and the certificate of {end.address} is good for {known.days} more days"
        yield warned(seen, "the site's operator has to renew it soon") if known.ends_soon else passed(seen)


def _spoken(end: End) -> str:
    """What a server speaks that was not understood. Nothing that is secret is sent."""
    if _answer(end, PREFACE)[3:4] == bytes([SETTINGS]):
        return GRPC
    http = _answer(end, GET % end.host.encode())
    if http.startswith(b"HTTP/") and CONFUSED not in http:
        return HTTP
    return TLS if _shakes_hands(end) else HTTP if http.startswith(b"HTTP/") else NOTHING


def _answer(end: End, said: bytes) -> bytes:
    with contextlib.suppress(OSError), end.connect() as raw:
        raw.sendall(said)
        found = b""
        while len(found) < FRAME and (more := raw.recv(1024)):
            found += more
        return found
    return b""


def _shakes_hands(end: End) -> bool:
    """Whoever it is."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with contextlib.suppress(OSError), end.connect() as raw, context.wrap_socket(raw, server_hostname=end.host):
        return True
    return False


def grpc(case: Case) -> Iterator[Finding]:
    """A CS3 gateway answers, whatever it thinks of who asks."""
    config = case.site.config
    channel = Channel(config)
    try:
        channel.call_with(None, "WhoAmI", gateway_api.WhoAmIRequest())
    except Unsupported:
        remedy = "name the gateway's address, and not that of another of its services"
        yield failed(f"{config.gateway} speaks gRPC, and is no CS3 gateway", f"{remedy}: {gateway(case).setting}")
        return
    except (Unavailable, DeadlineExceeded) as error:
        yield failure(error)
        return
    except Cs3Error:  # nobody has logged in yet
        pass
    finally:
        channel.close()
    yield passed(f"{config.gateway} answers as a CS3 gateway")
