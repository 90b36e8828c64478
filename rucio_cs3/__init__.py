"""CS3 storage for Rucio and for Python programs. Importing this is light: gRPC comes with the client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rucio_cs3.config import Config
from rucio_cs3.errors import Cs3Error
from rucio_cs3.model import AppPassword, Info, Quota, Ref, ResourceId, Uploaded, User

if TYPE_CHECKING:
    from rucio_cs3.client import Cs3Client

__all__ = ["AppPassword", "Config", "Cs3Client", "Cs3Error", "Info", "Quota", "Ref", "ResourceId", "Uploaded", "User"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name != "Cs3Client":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from rucio_cs3.client import Cs3Client  # noqa: PLC0415 - see above

    return Cs3Client
