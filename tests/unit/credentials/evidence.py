"""What a run of ours leaves behind and sends, and which secrets stand where in it."""

from __future__ import annotations

import base64
import json
import logging
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import parse_qsl, urlsplit

import grpc
from cs3.gateway.v1beta1 import gateway_api_pb2 as gateway

if TYPE_CHECKING:
    from pathlib import Path

PART = 12  # characters of a secret that nobody could have guessed
METHOD = "/cs3.gateway.v1beta1.GatewayAPI/"


class Secret(NamedTuple):
    kind: str
    value: str

    def parts(self):
        """Ends as well: that is what people recognise tokens by. What all JWTs begin with is no secret."""
        known = self.value.partition(".")[2] if self.value.startswith("eyJ") else self.value
        encoded = base64.b64encode(self.value.encode()).decode()
        return {known[:PART], known[-PART:], known[len(known) // 2 :][:PART], encoded[:PART]}


@dataclass
class Evidence(logging.Handler):
    """Texts that may hold no secret, files, and messages of which some may hold some."""

    folders: list[Path]
    secrets: set[Secret] = field(default_factory=set)
    texts: list[tuple[str, str]] = field(default_factory=list)
    messages: list[tuple[str, str, str]] = field(default_factory=list)

    def __post_init__(self):
        super().__init__(logging.DEBUG)

    __hash__ = logging.Handler.__hash__

    def emit(self, record):
        """All of it, not only the message."""
        trace = "".join(traceback.format_exception(*record.exc_info)) if record.exc_info else ""
        self.texts.append((f"log of {record.name}", f"{record.getMessage()} {vars(record)} {trace}"))

    def saw(self, *things):
        self.texts += [(f"repr of {type(thing).__name__}", f"{thing!r} {thing}") for thing in things]

    def caught(self, error):
        self.saw(error, error.__cause__, error.__context__)
        self.texts.append(("traceback", "".join(traceback.format_exception(type(error), error, error.__traceback__))))

    def sent(self, to, **places):
        self.messages += [(to, place, text) for place, text in places.items()]

    def leaks(self, allowed):
        """Where something stands that must not. `allowed` says which kind of secret may be sent where, as what."""
        found = [
            f"{secret.kind} in {where}"
            for where, text in [*self.texts, *self._files()]
            for secret in self.secrets
            if any(part in text for part in self._own_parts(secret)) and where != f"file of {secret.kind}"
        ]
        found += [
            f"{secret.kind} sent to {to} in {place}"
            for to, place, text in self.messages
            for secret in self.secrets
            if secret.value in text and (to, place) not in allowed.get(secret.kind, ())
        ]
        return sorted({*found, *self._modes()})

    def _own_parts(self, secret):
        """But for claims that two tokens of one person have in common."""
        others = [other.value for other in self.secrets if other.value != secret.value]
        return {part for part in secret.parts() if not any(part in other for other in others)}

    def _paths(self):
        return [path for folder in self.folders for path in folder.rglob("*") if path.is_file()]

    def _files(self):
        """Of what is in a cache only the token may be a secret, and of a login only what it is made of."""
        for path in self._paths():
            yield "name of a file", path.name
            known = json.loads(path.read_text()) if path.suffix == ".json" else {}
            kinds = {"token": "reva token", "access_token": "oidc token", "refresh_token": "refresh token"}
            for name, value in known.items():
                yield f"file of {kinds.get(name, name)}", str(value)
            if not known:
                yield "file", path.read_text()

    def _modes(self):
        for path in self._paths():
            if path.stat().st_mode & 0o077 or path.parent.stat().st_mode & 0o077:
                yield f"mode of {path.name}"


class GrpcWire:
    """Stands before a gateway, and passes on what it has written down."""

    def __init__(self, evidence, target):
        self._evidence = evidence
        self._channel = grpc.insecure_channel(target)
        self._server = grpc.server(ThreadPoolExecutor(8))
        self._server.add_generic_rpc_handlers([self])
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def service(self, details):
        return grpc.unary_unary_rpc_method_handler(lambda request, context: self._pass(details, request, context))

    def _pass(self, details, request, context):
        name = details.method.rpartition("/")[2]
        self._note(name, request, details.invocation_metadata)
        metadata = [pair for pair in details.invocation_metadata if pair[0] == "x-access-token"]
        try:
            answer = self._channel.unary_unary(details.method)(request, metadata=metadata, timeout=20)
        except grpc.RpcError as error:
            context.abort(error.code(), error.details())
        if name == "Authenticate":
            token = gateway.AuthenticateResponse.FromString(answer).token
            self._evidence.secrets |= {Secret("reva token", token)} if token else set()
        return answer

    def _note(self, name, request, metadata):
        kind = {"Authenticate": gateway.AuthenticateRequest, "WhoAmI": gateway.WhoAmIRequest}.get(name)
        if kind:
            fields = {f"{name}.{f.name}": str(value) for f, value in kind.FromString(request).ListFields()}
        else:
            fields = {"request": request.decode("latin-1")}
        self._evidence.sent("gateway", **fields, **{f"metadata {key}": str(value) for key, value in metadata})

    def close(self):
        self._server.stop(None).wait()
        self._channel.close()


class HttpWire(ThreadingHTTPServer):
    """A proxy. It names whom it passes things on to by `names`, or repeats what it was shown if `echoes` is set."""

    daemon_threads = True

    def __init__(self, evidence, names):
        self.evidence, self.names, self.echoes = evidence, names, False
        super().__init__(("127.0.0.1", 0), Passing)
        self.url = f"http://127.0.0.1:{self.server_port}"

    def __enter__(self):
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self._thread.join()
        self.server_close()


class Passing(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        url = urlsplit(self.path)
        self._note(self.server.names.get(url.netloc, "data"), url, body)
        if self.server.echoes:
            said = {"error": "invalid_request", "error_description": f"bad: {body.decode('latin-1')} {self.headers}"}
            return self._answer(400, {}, json.dumps(said).encode())
        connection = HTTPConnection(url.netloc, timeout=20)
        target = url.path + (f"?{url.query}" if url.query else "")
        connection.request(self.command, target, body, dict(self.headers))
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        self._learn(content)
        return self._answer(answer.status, {"Content-Type": answer.headers.get("Content-Type", "")}, content)

    do_POST = do_PUT = do_GET  # noqa: N815

    def _answer(self, status, headers, content):
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def _note(self, to, url, body):
        text = body.decode("latin-1")
        form = {f"form {name}": value for name, value in parse_qsl(text)}
        places = {f"header {name.lower()}": self._plain(value) for name, value in self.headers.items()}
        self.server.evidence.sent(to, url=url.geturl(), **(form or {"body": text}), **places)

    @staticmethod
    def _plain(value):
        kind, _, encoded = value.partition(" ")
        return base64.b64decode(encoded).decode() if kind == "Basic" else value

    def _learn(self, content):
        try:
            said = json.loads(content)
        except ValueError:
            return
        for name in ("access_token", "refresh_token", "token"):
            if isinstance(said, dict) and isinstance(said.get(name), str):
                kind = {"access_token": "oidc token", "token": "reva token"}.get(name, "refresh token")
                self.server.evidence.secrets.add(Secret(kind, said[name]))
