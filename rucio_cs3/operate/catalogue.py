"""Rucio as an operator sees it: who they are there, what stands of an RSE, and its errors as ours."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rucio_cs3.errors import ConfigError, InvalidRequest, NoLogin, NotFound, PermissionDenied, Unavailable
from rucio_cs3.rse import IMPL

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

NOT_INSTALLED = "Rucio's client is not installed"
INSTALL = "pip install rucio-clients"
ADMIN = "log in to Rucio as an account that may, such as root (RUCIO_ACCOUNT), or let an admin run the commands shown"
SECONDS = 30  # for an answer of Rucio's server; its client would wait for ten minutes


@dataclass(frozen=True)
class Standing:
    """An RSE as Rucio has it."""

    settings: Mapping[str, Any]
    attributes: Mapping[str, Any]

    @property
    def id(self) -> str:
        return str(self.settings["id"])

    @property
    def protocols(self) -> Sequence[Mapping[str, Any]]:
        found: Sequence[Mapping[str, Any]] = self.settings["protocols"]
        return found

    @property
    def ours(self) -> Sequence[Mapping[str, Any]]:
        return [entry for entry in self.protocols if entry["impl"] == IMPL]


class Catalogue:
    """`client` is Rucio's own."""

    def __init__(self) -> None:
        """Raises ConfigError, NoLogin, Unavailable."""
        try:
            from rucio.client import Client  # noqa: PLC0415 - Rucio may be missing
        except ImportError as error:
            raise ConfigError(NOT_INSTALLED, hint=INSTALL) from error
        with refusals("log in"):
            self.client: Any = Client(timeout=SECONDS)
            self.account = str(self.client.account or self.client.whoami()["account"])

    def __str__(self) -> str:
        return f"Rucio at {self.client.host}"

    def standing(self, name: str) -> Standing | None:
        """None for an RSE that there is none of."""
        with contextlib.suppress(NotFound), refusals(f"tell of RSE {name}"):
            return Standing(self.client.get_rse(name), self.client.list_rse_attributes(name))
        return None

    def attributes(self, name: str) -> dict[str, Any]:
        with refusals(f"tell the attributes of RSE {name}"):
            return dict(self.client.list_rse_attributes(name))

    def names(self) -> list[str]:
        with refusals("list the RSEs"):
            return sorted(str(each["rse"]) for each in self.client.list_rses())

    def distance(self, source: str, target: str) -> int | None:
        with refusals(f"tell the distance of {source} and {target}"):
            found = self.client.get_distance(source, target)
        return next((int(row["distance"]) for row in found if row["distance"] is not None), None)

    def usage(self, name: str) -> list[dict[str, Any]]:
        with refusals(f"tell the usage of RSE {name}"):
            return list(self.client.get_rse_usage(name))

    def limits(self, name: str) -> dict[str, int]:
        with refusals(f"tell the limits of RSE {name}"):
            return dict(self.client.get_rse_limits(name))

    def pfn(self, name: str, did: str, operation: str, scheme: str) -> str | None:
        """As the server makes it, for whoever comes from afar."""
        with refusals(f"make PFNs of RSE {name}"):
            found: str | None = self.client.lfns2pfns(name, [did], "wan", operation, scheme).get(did)
        return found

    def version(self) -> str:
        with refusals("tell its version"):
            return str(self.client.ping()["version"])

    def whoami(self) -> str:
        with refusals("tell who we are"):
            return str(self.client.whoami()["account"])

    def own_limit(self, name: str) -> int | None:
        """Bytes that our account may have at this RSE, by a limit for it alone."""
        with refusals(f"tell the limits of account {self.account}"):
            found: int | None = self.client.get_local_account_limits(self.account).get(name)
        return found

    def shared_limits(self) -> dict[str, Any]:
        """Those of our account for several RSEs, by the expression that names them."""
        with refusals(f"tell the limits of account {self.account}"):
            return dict(self.client.get_global_account_limits(self.account))

    def is_admin(self) -> bool:
        """By Rucio's generic policy; a site may have one of its own."""
        if self.account == "root":
            return True
        with contextlib.suppress(Unavailable, PermissionDenied, InvalidRequest), refusals("tell who we are"):
            [found] = self.client.list_account_attributes(self.account)
            return any(each["key"] == "admin" and each["value"] for each in found)
        return False


@contextlib.contextmanager
def refusals(what: str) -> Iterator[None]:
    """Rucio's errors as ours: it was asked to do `what`."""
    from requests.exceptions import RequestException  # noqa: PLC0415
    from rucio.common import exception  # noqa: PLC0415 - Rucio may be missing

    try:
        yield
    except (exception.CannotAuthenticate, exception.ConfigNotFound, exception.MissingClientParameter) as error:
        raise NoLogin(f"nobody is logged in to Rucio here: {one_line(error)}", hint="try rucio whoami") from error
    except exception.AccessDenied as error:
        raise PermissionDenied(f"Rucio refuses to {what}: {one_line(error)}", hint=ADMIN) from error
    except exception.RSENotFound as error:
        raise NotFound(f"Rucio has no such RSE: {one_line(error)}") from error
    except exception.RucioException as error:
        raise InvalidRequest(f"Rucio cannot {what}: {one_line(error)}") from error
    except (RequestException, OSError) as error:
        raise Unavailable(f"Rucio does not answer: {one_line(error)}", hint="try rucio ping") from error


def one_line(error: Exception) -> str:
    return " ".join(str(error).split())
