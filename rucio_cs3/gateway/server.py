"""A gateway: its two servers, started and stopped together."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc

from rucio_cs3.gateway.apps import AppPasswords
from rucio_cs3.gateway.behaviours import BEHAVIOURS, DEFAULT, TPC
from rucio_cs3.gateway.calls import Calls
from rucio_cs3.gateway.data import DataHandler
from rucio_cs3.gateway.elsewhere import Elsewhere
from rucio_cs3.gateway.endpoints import Endpoints
from rucio_cs3.gateway.faults import Faults
from rucio_cs3.gateway.locks import Locks, StrictLocks
from rucio_cs3.gateway.login import Login
from rucio_cs3.gateway.metadata import Metadata
from rucio_cs3.gateway.namespace import STATE, Namespace, clean
from rucio_cs3.gateway.nodes import Nodes
from rucio_cs3.gateway.oidc import AskedIssuer, Issuer
from rucio_cs3.gateway.processing import Processing
from rucio_cs3.gateway.resources import Describer
from rucio_cs3.gateway.rpc import Door
from rucio_cs3.gateway.service import Service
from rucio_cs3.gateway.site import Site
from rucio_cs3.gateway.spaces import Spaces
from rucio_cs3.gateway.spaceservice import SpaceService
from rucio_cs3.gateway.storage import Storage
from rucio_cs3.gateway.strictuploads import StrictUploads
from rucio_cs3.gateway.tokens import TOKEN_SECONDS, Tokens, stored_secret
from rucio_cs3.gateway.trees import Trees
from rucio_cs3.gateway.uploads import InPlace, Uploads, make_folders
from rucio_cs3.gateway.users import DEMO_USERS, Users

if TYPE_CHECKING:
    from collections.abc import Iterable

    from typing_extensions import Self

    from rucio_cs3.gateway.behaviours import Behaviour
    from rucio_cs3.gateway.users import User

WEBDAV = "/remote.php/webdav"
LOOPBACK = "127.0.0.1"
WORKERS = 64  # calls at a time, including those that a fault keeps waiting
OPTIONS = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_metadata_size", 16 << 20),  # a token may be long
    ("grpc.absolute_max_metadata_size", 16 << 20),
    ("grpc.so_reuseport", 0),
]


class CannotServe(Exception):
    """The gateway cannot be started; the message is one line."""


@dataclass(frozen=True)
class Tls:
    """PEM files. With `client_ca`, clients have to show a certificate that it signed."""

    cert: Path
    key: Path
    client_ca: Path | None = None

    def for_grpc(self) -> Any:
        client_ca = self.client_ca.read_bytes() if self.client_ca else None
        pair = (Path(self.key).read_bytes(), Path(self.cert).read_bytes())
        return grpc.ssl_server_credentials([pair], client_ca, require_client_auth=client_ca is not None)

    def for_http(self) -> ssl.SSLContext:
        """Raises CannotServe for files that are no certificate, or no key to it."""
        try:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=self.client_ca)
            context.verify_mode = ssl.CERT_REQUIRED if self.client_ca else ssl.CERT_NONE
            context.load_cert_chain(self.cert, self.key)
        except OSError as error:
            files = ", ".join(str(file) for file in (self.cert, self.key, self.client_ca) if file)
            raise CannotServe(f"not a certificate with its key among {files}: {_reason(error)}") from error
        return context


class Gateway:
    """Serves the folder `root` as a CS3 storage, from construction on until `stop`.

        with Gateway(tmp_path) as gateway:
            client = Cs3Client(gateway=gateway.address, tls=False, username="einstein", password="relativity")

    `calls` says what was asked, `faults` lets things go wrong. The WebDAV door at `webdav_url` opens on the CS3 path
    `webdav_namespace`, as the sites of Reva set it; by default on the place where the storage is mounted. Where there
    are spaces, it opens on the user's own, and below `/dav/spaces` on each. Where uploads are processed, that takes
    `processing` seconds. `data_url` is told to clients instead of our own data server, where another one serves the
    same folder. With `tpc` the door makes third-party copies, `as-seen` on the real ones or `honest`; the other sites
    have to show certificates of the authorities in `ca`, a PEM file or a folder, by default the system's.

    Raises:
        CannotServe: the root, an address or a certificate cannot be used.
    """

    def __init__(
        self,
        root: Path | str,
        behave: str = DEFAULT,
        *,
        users: Iterable[User] = DEMO_USERS,
        machine_secret: str | None = None,
        oidc_issuer: str | None = None,
        tls: Tls | None = None,
        token_ttl: float = TOKEN_SECONDS,
        host: str = LOOPBACK,
        grpc_port: int = 0,
        http_port: int = 0,
        quota: int | None = None,
        offer_faults: bool = False,
        webdav_namespace: str | None = None,
        processing: float = 1.0,
        data_url: str | None = None,
        tpc: str = TPC[0],
        ca: Path | None = None,
    ) -> None:
        self.behaviour = BEHAVIOURS[behave]
        self.calls, self.faults = Calls(), Faults()
        self._cleanup = contextlib.ExitStack()
        known = Users(users)
        try:
            self.root = Path(root).resolve()
            tokens = Tokens(_prepare(self.root), known, lifetime=token_ttl)
            issuer = _issuer(oidc_issuer, self.behaviour)
            login = Login(
                known,
                machine_secret,
                issuer,
                _app_passwords(self.root / STATE),
                self.behaviour,
            )
            opens_on = clean(webdav_namespace or self.behaviour.mount)
            ways = {"webdav_namespace": opens_on, "tpc": _known(tpc), "elsewhere": self._elsewhere(ca)}
            self._site = self._assemble(known, login, tokens, quota, processing, **ways)
            pool = self._workers()
            self.data_url = self._serve_http(host, http_port, tls, data_url, offer_faults=offer_faults)
            self.webdav_url = f"{self.data_url}{WEBDAV}"
            self.address = self._serve_grpc(host, grpc_port, tls, pool)
        except BaseException:
            self.stop()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Break every connection, let go of whoever a fault keeps waiting, and free the ports."""
        self._cleanup.close()

    def _assemble(
        self, users: Users, login: Login, tokens: Tokens, quota: int | None, processing: float, **ways: Any
    ) -> Site:
        metadata = Metadata(self.root / STATE / "metadata.db")
        self._cleanup.callback(metadata.close)
        namespace: Namespace
        storage: Storage
        uploads: Uploads
        locks, process = Locks(), None
        if self.behaviour.has_spaces:
            namespace = spaces = Spaces(self.root, self.behaviour, metadata)
            storage = nodes = Nodes(spaces, metadata, Trees(self.root, metadata), quota)
            locks = StrictLocks()
            if self.behaviour.asynchronous:
                process = Processing(nodes, metadata, self.faults, processing)
            uploads = StrictUploads(spaces, nodes, users, locks, process)
        else:
            namespace = Namespace(self.root, self.behaviour)
            storage = Storage(namespace, Describer(namespace, metadata), metadata, quota)
            uploads = Uploads(namespace, storage, users)
        return Site(
            behaviour=self.behaviour,
            namespace=namespace,
            storage=storage,
            uploads=uploads,
            in_place=InPlace(self.behaviour, metadata),
            locks=locks,
            login=login,
            tokens=tokens,
            app_passwords=login.app_passwords,
            calls=self.calls,
            faults=self.faults,
            processing=process,
            **ways,
        )

    def _elsewhere(self, ca: Path | None) -> Elsewhere:
        if ca and not ca.exists():
            raise CannotServe(f"{ca}: no such file or folder of certificate authorities")
        elsewhere = Elsewhere(ca)
        self._cleanup.callback(elsewhere.close)
        return elsewhere

    def _workers(self) -> ThreadPoolExecutor:
        """Threads for gRPC. Those that stall are let go when all connections are broken: nobody gets an answer then."""
        pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="cs3-gateway")
        self._cleanup.callback(pool.shutdown)
        self._cleanup.callback(self.faults.close)
        return pool

    def _serve_grpc(self, host: str, port: int, tls: Tls | None, pool: ThreadPoolExecutor) -> str:
        server = grpc.server(pool, options=OPTIONS)
        server.add_generic_rpc_handlers([Door(self._site, self._service)])
        wanted = f"{host}:{port}"
        try:
            with socket.create_server((host, port)):  # grpc would not say what is wrong
                pass
            bound = server.add_secure_port(wanted, tls.for_grpc()) if tls else server.add_insecure_port(wanted)
        except (OSError, RuntimeError) as error:
            raise CannotServe(f"cannot listen on {wanted}: {_reason(error)}") from error
        server.start()
        self._cleanup.callback(lambda: server.stop(grace=None).wait())
        return f"{host}:{bound}"

    def _serve_http(self, host: str, port: int, tls: Tls | None, data_url: str | None, *, offer_faults: bool) -> str:
        handler = type("Handler", (DataHandler,), {"site": self._site, "offers_faults": offer_faults})
        try:
            server = DataServer((host, port), handler)
        except OSError as error:
            raise CannotServe(f"cannot listen on {host}:{port}: {_reason(error)}") from error
        self._cleanup.callback(server.server_close)
        if tls:
            server.secure(tls.for_http())
        url = f"{'https' if tls else 'http'}://{host}:{server.server_port}"
        endpoints = Endpoints(self._site, data_url or url)
        self._service = (SpaceService if self.behaviour.has_spaces else Service)(self._site, endpoints)
        handler.endpoints, handler.service = endpoints, self._service  # type: ignore[attr-defined]
        server.start()
        self._cleanup.callback(server.stop)
        return url


def _known(tpc: str) -> str:
    if tpc not in TPC:
        raise CannotServe(f"unknown tpc {tpc!r}: one of {', '.join(TPC)}")
    return tpc


def _prepare(root: Path) -> str:
    """Make what the gateway needs below its root, and return the secret of its tokens."""
    if not root.is_dir():
        raise CannotServe(f"{root}: no such folder")
    try:
        make_folders(root / STATE)
        return stored_secret(root / STATE / "secret")
    except OSError as error:
        raise CannotServe(f"{root}: {_reason(error)}") from error


def _issuer(url: str | None, behaviour: Behaviour) -> Issuer | None:
    if not url:
        return None
    return AskedIssuer(url) if behaviour.asks_userinfo else Issuer(url)


def _app_passwords(state: Path) -> AppPasswords:
    try:
        return AppPasswords(state / "app-passwords.json")
    except (OSError, ValueError) as error:
        raise CannotServe(str(error)) from error


def _reason(error: OSError | RuntimeError) -> str:
    """Why, without what the libraries add to it."""
    return (getattr(error, "strerror", None) or str(error)).partition(" (")[0]


class DataServer(ThreadingHTTPServer):
    """One thread for each connection, all of which `stop` breaks."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], handler: Any) -> None:
        super().__init__(address, handler)
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()

    def secure(self, context: ssl.SSLContext) -> None:
        """The handshake is left to the thread of the connection: a silent client must not keep others waiting."""
        self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def start(self) -> None:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def stop(self) -> None:
        self.shutdown()
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A handshake that fails is the client's problem; anything else is ours, and must be seen."""
        import sys  # noqa: PLC0415

        if not isinstance(sys.exc_info()[1], (OSError, ssl.SSLError)):
            super().handle_error(request, client_address)
