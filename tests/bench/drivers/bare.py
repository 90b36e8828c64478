"""A bare loop of gRPC and urllib3 that makes the calls that our client makes, and does nothing else.

Which calls those are is not written here: `calls` of the job lists them, as an embedded gateway saw them.
"""

from __future__ import annotations

import grpc
import urllib3
from cs3.gateway.v1beta1 import gateway_api_pb2, gateway_api_pb2_grpc
from cs3.rpc.v1beta1 import code_pb2
from cs3.storage.provider.v1beta1 import provider_api_pb2
from cs3.storage.provider.v1beta1.resources_pb2 import Reference
from cs3.types.v1beta1.types_pb2 import Opaque, OpaqueEntry

BLOCK = 1 << 20


class Driver:
    shared = True

    def __init__(self, job):
        site = job["site"]
        ca = site["ca"]
        if ca:
            with open(ca, "rb") as file:
                channel = grpc.secure_channel(site["grpc"], grpc.ssl_channel_credentials(file.read()))
        else:
            channel = grpc.insecure_channel(site["grpc"])
        self.stub = gateway_api_pb2_grpc.GatewayAPIStub(channel)
        login = gateway_api_pb2.AuthenticateRequest(
            type="basic", client_id=site["user"], client_secret=site["password"]
        )
        self.token = self.stub.Authenticate(login).token
        self.http = urllib3.PoolManager(retries=False, maxsize=job["threads"], ca_certs=ca)
        self.local, self.remote, self.calls, self.size = job["local"], job["remote"], job["calls"], job["size"]

    def up(self, name):
        self._replay("up", name)

    def down(self, name):
        self._replay("down", name)

    def stat(self, name):
        self._replay("stat", name)

    def delete(self, name):
        self._replay("delete", name)

    def _replay(self, verb, name):
        place = final = f"{self.remote}/{name}"
        endpoint = None
        for call in self.calls[verb]:
            if call == "InitiateFileUpload":
                place = f"{final}.part"
                endpoint = self._ask(call, ref=Reference(path=place), opaque=_length(self.size))
            elif call == "InitiateFileDownload":
                endpoint = self._ask(call, ref=Reference(path=place))
            elif call in ("PUT", "GET"):
                getattr(self, f"_{call.lower()}")(name, endpoint)
            elif call == "Move":
                self._ask(call, source=Reference(path=place), destination=Reference(path=final))
                place = final
            else:
                self._ask(call, ref=Reference(path=place))

    def _ask(self, call, **fields):
        request = getattr(provider_api_pb2, f"{call}Request")(**fields)
        reply = getattr(self.stub, call)(request, metadata=(("x-access-token", self.token),), timeout=60)
        assert reply.status.code in (code_pb2.CODE_OK, code_pb2.CODE_NOT_FOUND), (call, reply.status)
        return next((one for one in getattr(reply, "protocols", ()) if one.protocol in ("simple", "spaces")), None)

    def _put(self, name, endpoint):
        with open(f"{self.local}/{name}", "rb") as file:
            headers = {**self._tokens(endpoint), "Content-Length": str(self.size)}
            body = iter(lambda: file.read(BLOCK), b"")
            reply = self.http.request("PUT", endpoint.upload_endpoint, body=body, headers=headers)
        assert reply.status == 200, reply.status

    def _get(self, name, endpoint):
        headers = self._tokens(endpoint)
        reply = self.http.request("GET", endpoint.download_endpoint, headers=headers, preload_content=False)
        assert reply.status == 200, reply.status
        with open(f"{self.local}/{name}", "wb") as file:
            while True:
                block = reply.read(BLOCK)
                if not block:
                    break
                file.write(block)
        reply.release_conn()

    def _tokens(self, endpoint):
        transfer = {"X-Reva-Transfer": endpoint.token} if endpoint.token else {}
        return {"X-Access-Token": self.token, **transfer}


def _length(size):
    return Opaque(map={"Upload-Length": OpaqueEntry(decoder="plain", value=str(size).encode())})
