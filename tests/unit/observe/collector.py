"""What an OpenTelemetry collector is to those who send it spans: OTLP, protobuf over HTTP."""

from __future__ import annotations

import gzip
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)


class Span(NamedTuple):
    name: str
    kind: str
    service: str
    trace: str
    id: str
    parent: str
    facts: dict[str, str]
    failed: bool
    why: str


class Collector:
    def __init__(self):
        self.bodies = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_POST(self):
                assert self.path == "/v1/traces"
                body = self.rfile.read(int(self.headers["Content-Length"]))
                zipped = self.headers.get("Content-Encoding") == "gzip"
                collector.bodies.append(gzip.decompress(body) if zipped else body)
                answer = ExportTraceServiceResponse().SerializeToString()
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    @property
    def raw(self):
        """All that has come, for who looks for secrets in it."""
        return b"\n".join(self.bodies)

    def spans(self, trace=None):
        found = [span for body in self.bodies for span in _spans(body)]
        return [span for span in found if trace in {None, span.trace}]


def _spans(body):
    request = ExportTraceServiceRequest.FromString(body)
    for resource in request.resource_spans:
        service = next(each.value.string_value for each in resource.resource.attributes if each.key == "service.name")
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield Span(
                    name=span.name,
                    kind=span.SpanKind.Name(span.kind).replace("SPAN_KIND_", "").lower(),
                    service=service,
                    trace=span.trace_id.hex(),
                    id=span.span_id.hex(),
                    parent=span.parent_span_id.hex(),
                    facts={each.key: each.value.string_value for each in span.attributes},
                    failed=span.status.code == span.status.STATUS_CODE_ERROR,
                    why=span.status.message,
                )
