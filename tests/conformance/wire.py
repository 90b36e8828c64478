"""The bare wire: CS3 calls by name with generated messages, and HTTP requests. No client of ours is involved."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from http.client import HTTPResponse
from pathlib import Path
from urllib.parse import urlsplit

import grpc
import urllib3
from cs3.gateway.v1beta1 import gateway_api_pb2
from cs3.rpc.v1beta1 import code_pb2
from cs3.storage.provider.v1beta1 import resources_pb2 as storage_pb2
from cs3.types.v1beta1 import types_pb2

METHODS = gateway_api_pb2.DESCRIPTOR.services_by_name["GatewayAPI"].methods_by_name
SECONDS = 30
REFERENCES = ("ref", "source", "destination", "restore_ref")
UNLIMITED = [("grpc.max_receive_message_length", -1)]


def ref(path="", *, of=None):
    """A reference by path, or by resource id and path below it."""
    return storage_pb2.Reference(path=path, resource_id=of)


def announcing(length=None, **entries):
    """What goes with an InitiateFileUpload."""
    entries = {"Upload-Length": str(length), **entries} if length is not None else entries
    return {"map": {k: types_pb2.OpaqueEntry(decoder="plain", value=v.encode()) for k, v in entries.items()}}


@dataclass(frozen=True)
class Endpoint:
    """Where bytes go, as an Initiate call names it."""

    protocol: str
    url: str
    token: str


class Wire:
    """One user's calls. `token` goes with every one of them; None goes without. `ca` is for TLS."""

    def __init__(self, address: str, token: str | None = None, *, ca: str | None = None, pair=(None, None)) -> None:
        if ca:
            cert, key = (Path(file).read_bytes() if file else None for file in pair)
            credentials = grpc.ssl_channel_credentials(Path(ca).read_bytes(), key, cert)
            self.channel = grpc.secure_channel(address, credentials, options=UNLIMITED)
        else:
            self.channel = grpc.insecure_channel(address, options=UNLIMITED)
        self.token = token
        secure = {"ca_certs": ca, "cert_file": pair[0], "key_file": pair[1]} if ca else {}
        self.http = urllib3.PoolManager(retries=False, timeout=SECONDS, **secure)

    def login(self, username="einstein", password="relativity"):
        """Take a token along from here on."""
        self.token = self.ok("Authenticate", type="basic", client_id=username, client_secret=password).token
        return self

    def close(self):
        self.channel.close()
        self.http.clear()

    # gRPC

    def call(self, method, *, metadata=None, timeout=SECONDS, **fields):
        """The reply to a call, whatever its status. References may be given as paths."""
        described = METHODS[method]
        make = self.channel.unary_stream if method.endswith("Stream") else self.channel.unary_unary
        stub = make(
            f"/cs3.gateway.v1beta1.GatewayAPI/{method}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=described.output_type._concrete_class.FromString,
        )
        fields = {k: ref(v) if k in REFERENCES and isinstance(v, str) else v for k, v in fields.items()}
        if metadata is None:
            metadata = (("x-access-token", self.token),) if self.token else ()
        reply = stub(described.input_type._concrete_class(**fields), metadata=metadata, timeout=timeout)
        return list(reply) if method.endswith("Stream") else reply

    def code(self, method, **fields):
        """How a call ends: with a CS3 code, or as `grpc:CODE` with an exception."""
        try:
            return code_pb2.Code.Name(self.call(method, **fields).status.code).replace("CODE_", "", 1)
        except grpc.RpcError as error:
            return f"grpc:{error.code().name}"

    def ok(self, method, **fields):
        reply = self.call(method, **fields)
        assert reply.status.code == code_pb2.CODE_OK, f"{method}: {reply.status}"
        return reply

    def mkdir(self, path):
        self.ok("CreateContainer", ref=path)
        return path

    def touch(self, path):
        self.ok("TouchFile", ref=path)
        return path

    def stat(self, path, keys=()):
        return self.ok("Stat", ref=path, arbitrary_metadata_keys=keys).info

    def exists(self, path):
        return self.code("Stat", ref=path) == "OK"

    def names(self, path):
        return sorted(info.path.rpartition("/")[2] for info in self.ok("ListContainer", ref=path).infos)

    def metadata(self, path, *keys):
        return dict(self.stat(path, keys).arbitrary_metadata.metadata)

    def set_metadata(self, path, **entries):
        self.ok("SetArbitraryMetadata", ref=path, arbitrary_metadata={"metadata": entries})

    # HTTP

    def uploads(self, target, length=None, *, conditions=None, **opaque):
        """The endpoints of an upload, by protocol. `conditions` are further fields of the call."""
        announced = announcing(length, **opaque)
        reply = self.ok("InitiateFileUpload", ref=target, opaque=announced, **(conditions or {}))
        return {p.protocol: Endpoint(p.protocol, p.upload_endpoint, p.token) for p in reply.protocols}

    def download(self, target):
        [found] = self.ok("InitiateFileDownload", ref=target).protocols
        return Endpoint(found.protocol, found.download_endpoint, found.token)

    def headers(self, endpoint, **extra):
        """The tokens that a request needs. None in `extra` leaves one out."""
        tokens = {"X-Access-Token": self.token, "X-Reva-Transfer": endpoint.token or None}
        named = {key.replace("_", "-"): value for key, value in extra.items()}
        return {k: v for k, v in {**tokens, **named}.items() if v is not None}

    def request(self, method, endpoint, body=None, url=None, **headers):
        return self.http.request(method, url or endpoint.url, body=body, headers=self.headers(endpoint, **headers))

    def put(self, target, data, *, length=None, **headers):
        """Upload in one PUT; returns the HTTP status."""
        endpoint = self.uploads(target, len(data) if length is None else length)["simple"]
        return self.request("PUT", endpoint, data, **headers).status

    def get(self, target, **headers):
        return self.request("GET", self.download(target), **headers)

    def content(self, target):
        reply = self.get(target)
        assert reply.status == 200
        return reply.data

    def open_request(self, method, endpoint, told, **headers):
        """Send the head of a request that announces `told` bytes of body, and return the socket."""
        parts = urlsplit(endpoint.url)
        connection = socket.create_connection((parts.hostname, parts.port), timeout=SECONDS)
        if parts.scheme == "https":
            connection = ssl.create_default_context().wrap_socket(connection, server_hostname=parts.hostname)
        lines = [f"{method} {parts.path} HTTP/1.1", f"Host: {parts.netloc}", f"Content-Length: {told}"]
        lines += [f"{name}: {value}" for name, value in self.headers(endpoint, **headers).items()]
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        return connection

    def killed(self, method, endpoint, told, data, **headers):
        """Announce `told` bytes, send only `data`, and go away as a process that is killed does."""
        connection = self.open_request(method, endpoint, told, **headers)
        connection.sendall(data)
        connection.close()


def answer_of(connection):
    """The status and headers that come back on a socket."""
    reply = HTTPResponse(connection)
    reply.begin()
    return reply
