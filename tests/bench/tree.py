"""A tree that nobody has on disk: `python -m tests.bench.tree FOLDERS WIDE`, with WIDE files in each of the folders.

It says in one line of JSON where it is. Answers are made once, so that little is measured but who asks.
"""

from __future__ import annotations

import json
import signal
import sys
from concurrent.futures import ThreadPoolExecutor

import grpc
from cs3.identity.user.v1beta1.resources_pb2 import UserId
from cs3.rpc.v1beta1 import code_pb2, status_pb2
from cs3.storage.provider.v1beta1 import provider_api_pb2 as provider
from cs3.storage.provider.v1beta1 import resources_pb2 as storage
from cs3.types.v1beta1.types_pb2 import Timestamp

from rucio_cs3.gateway.resources import PERMISSIONS

ROOT = "/tree"
GROUP = 1000  # folders in one
SERVICE = "/cs3.gateway.v1beta1.GatewayAPI/"
OK = status_pb2.Status(code=code_pb2.CODE_OK)
STOP = {signal.SIGINT, signal.SIGTERM}


class Tree(grpc.GenericRpcHandler):
    def __init__(self, folders: int, wide: int) -> None:
        files = [_info(f"f{number:06}", storage.RESOURCE_TYPE_FILE) for number in range(wide)]
        self._leaf = _listing(files)
        self._groups = {f"g{first:09}": min(GROUP, folders - first) for first in range(0, folders, GROUP)}
        self._handlers = {
            "Stat": (provider.StatRequest, self._stat),
            "ListContainer": (provider.ListContainerRequest, self._list),
        }

    def service(self, call):
        kind, work = self._handlers[call.method[len(SERVICE) :]]
        return grpc.unary_unary_rpc_method_handler(work, request_deserializer=kind.FromString)

    def _stat(self, request, _):
        info = _info(request.ref.path.rpartition("/")[2], storage.RESOURCE_TYPE_CONTAINER)
        return provider.StatResponse(status=OK, info=info).SerializeToString()

    def _list(self, request, _):
        below = request.ref.path[len(ROOT) :].strip("/").split("/")
        if len(below) > 1:
            return self._leaf
        first = int(below[0][1:]) if below[0] else 0
        names = [f"d{first + n:09}" for n in range(self._groups[below[0]])] if below[0] else self._groups
        return _listing([_info(name, storage.RESOURCE_TYPE_CONTAINER) for name in names])


def _listing(infos: list) -> bytes:
    return provider.ListContainerResponse(status=OK, infos=infos).SerializeToString()


def _info(name: str, kind: int):
    """As long as those of real storages."""
    return storage.ResourceInfo(
        type=kind,
        id=storage.ResourceId(
            storage_id="123e4567-e89b-12d3-a456-426655440000", opaque_id=f"fileid-some%2Ffolder%2F{name}"
        ),
        checksum=storage.ResourceChecksum(type=storage.RESOURCE_CHECKSUM_TYPE_ADLER32, sum="0a1b2c3d"),
        etag='"9f2d1c5b7a3e4f60a1b2c3d4e5f60718"',
        mime_type="application/octet-stream",
        mtime=Timestamp(seconds=1_700_000_000, nanos=123_456_789),
        path=f"{ROOT}/some/folder/{name}",
        name=name,
        permission_set=PERMISSIONS,
        size=4096,
        owner=UserId(idp="https://idp.example.org", opaque_id="4c510ada-c86b-4815-8820-42cdf82c3d51"),
    )


def main(folders: str, wide: str) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP)  # before threads are made
    options = [("grpc.max_send_message_length", -1)]
    server = grpc.server(ThreadPoolExecutor(8), [Tree(int(folders), int(wide))], options=options)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(json.dumps({"grpc": f"127.0.0.1:{port}", "root": ROOT, "token": "nobody-looks-at-it"}), flush=True)
    signal.sigwait(STOP)


if __name__ == "__main__":
    main(*sys.argv[1:])
