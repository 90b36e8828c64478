"""How a call ends when it does not succeed: with a CS3 status in the reply, or with a gRPC error instead of one."""

from __future__ import annotations

from typing import Any

from cs3.rpc.v1beta1 import code_pb2, status_pb2


class Refused(Exception):
    """The call is answered with this CS3 status, named without its CODE_."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Aborted(Exception):
    """The call is not answered at all: it ends with this gRPC status."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def status(code: str = "OK", message: str = "") -> Any:
    return status_pb2.Status(code=code_pb2.Code.Value(f"CODE_{code}"), message=message)
