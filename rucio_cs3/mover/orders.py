"""What a VO's operators say of sites, in FTS3's words: bans, and how many copies may go in and out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from rucio_cs3.mover import fts
from rucio_cs3.mover.jobs import BadJob

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rucio_cs3.mover.callers import Known
    from rucio_cs3.mover.database import Database, Session
    from rucio_cs3.mover.model import Link

HELD = "WAIT_AS"  # FTS3's word: jobs are taken, and wait
LIMITS = {"inbound_max_active": "inbound", "outbound_max_active": "outbound"}
MOST = 1 << 31
LONGEST = 256


class Order(NamedTuple):
    site: str
    name: str
    """as it was given, and is given back"""
    banned: float | None
    message: str | None
    caller: str | None
    inbound: int | None
    outbound: int | None


class Orders:
    def __init__(self, database: Database) -> None:
        self._database = database

    def ban(self, caller: Known, document: Mapping[str, Any]) -> list[str]:
        """The jobs that wait now. Raises BadJob."""
        site, message = _site(document.get("storage")), document.get("message") or ""
        if not isinstance(message, str) or not message.isprintable() or len(message) > LONGEST:
            raise BadJob(f"message is not a line of at most {LONGEST} characters")
        if str(document.get("status", "CANCEL")).upper() not in {"CANCEL", "WAIT"}:
            raise BadJob("status can only be cancel or wait")
        return self._database.write(lambda session: _ban(session, caller, site, document["storage"], message))

    def unban(self, vo: str, storage: Any) -> None:
        """Raises BadJob."""
        site = _site(storage)
        self._database.write(
            lambda session: session.run("UPDATE orders SET banned = NULL WHERE vo = ? AND site = ?", vo, site)
        )

    def limit(self, vo: str, document: Mapping[str, Any]) -> dict[str, Any]:
        """Raises BadJob."""
        wanted = [(_site(storage), storage, *_limits(config)) for storage, config in document.items()]

        def work(session: Session) -> None:
            for each in wanted:
                _limit(session, vo, *each)

        self._database.write(work)
        return self.limits(vo)

    def bans(self, vo: str) -> list[dict[str, Any]]:
        return [
            {
                "se": order.name,
                "vo": vo,
                "message": order.message,
                "addition_time": fts.time_of(order.banned),
                "admin_dn": order.caller,
                "status": HELD,
            }
            for order in self._of(vo)
            if order.banned
        ]

    def limits(self, vo: str) -> dict[str, Any]:
        return {
            order.name: {"se_info": {name: getattr(order, field) for name, field in LIMITS.items()}, "operations": {}}
            for order in self._of(vo)
            if order.inbound or order.outbound
        }

    def _of(self, vo: str) -> Iterable[Order]:
        return self._database.read(lambda session: read(session).get(vo, ()))


class Held:
    """Which copies have to wait, for their VO's orders."""

    def __init__(self, session: Session) -> None:
        self._orders = {vo: {order.site: order for order in orders} for vo, orders in read(session).items()}

    def back(self, vo: str, link: Link, active: Mapping[Link, int]) -> bool:
        orders = self._orders.get(vo)
        return orders is not None and any(
            order is not None and _holds(order, site, end, active)
            for end, site in enumerate(link)
            for order in (orders.get(site), orders.get(_without_port(site)))
        )


def read(session: Session) -> dict[str, list[Order]]:
    """By VO."""
    found: dict[str, list[Order]] = {}
    for row in session.rows("SELECT * FROM orders ORDER BY vo, site"):
        found.setdefault(row["vo"], []).append(Order(*(row[name] for name in Order._fields)))
    return found


def _holds(order: Order, site: str, end: int, active: Mapping[Link, int]) -> bool:
    most = (order.outbound, order.inbound)[end]
    return bool(order.banned) or (
        most is not None and sum(n for link, n in active.items() if link[end] == site) >= most
    )


def _without_port(site: str) -> str:
    """A storage may be named without: FTS3 knows it so."""
    host, colon, port = site.rpartition(":")
    return host if colon and port.isdigit() else ""


def _site(storage: Any) -> str:
    """As in the addresses of files: host and port. It may be named as FTS3 does, davs://host."""
    name = storage.rpartition("://")[2].strip("/").lower() if isinstance(storage, str) else ""
    if not name or not name.isprintable() or len(name) > LONGEST or set(name) & set(" /@?#"):
        raise BadJob("Missing storage parameter: it is a host, or host:port, as in the addresses of its files")
    return name


def _limits(config: Any) -> tuple[int | None, int | None]:
    """Inbound and outbound; 0 takes a limit away, None leaves it as it is."""
    known = config.get("se_info") or {} if isinstance(config, dict) else None
    if not isinstance(known, dict):
        raise BadJob("Malformed configuration")
    others = sorted({name for name, value in known.items() if value is not None} - LIMITS.keys())
    if others or config.get("operations"):
        what = others[0] if others else "operations"
        raise BadJob(f"{what[:40]!r} is nothing that this mover limits; it knows {' and '.join(LIMITS)}")
    for name, value in known.items():
        if value is not None and (type(value) is not int or not 0 <= value < MOST):
            raise BadJob(f"Malformed configuration: {name} is not a whole number")
    return known.get("inbound_max_active"), known.get("outbound_max_active")


def _ban(session: Session, caller: Known, site: str, name: str, message: str) -> list[str]:
    session.run(
        "INSERT INTO orders (vo, site, name, banned, message, caller) VALUES (?, ?, ?, {now}, ?, ?)"
        " ON CONFLICT (vo, site) DO UPDATE SET name = excluded.name, banned = excluded.banned,"
        " message = excluded.message, caller = excluded.caller",
        *(caller.vo, site, name, message, caller.name),
    )
    lanes = [
        row["id"]
        for row in session.rows("SELECT * FROM lanes WHERE vo = ?", caller.vo)
        if any(site in {end, _without_port(end)} for end in (row["source_site"], row["target_site"]))
    ]
    waiting = "SELECT DISTINCT job FROM files WHERE lane = ? AND state IN (?, ?)"
    return sorted({row["job"] for lane in lanes for row in session.rows(waiting, lane, fts.SUBMITTED, fts.WAITING)})


def _limit(session: Session, vo: str, site: str, name: str, inbound: int | None, outbound: int | None) -> None:
    session.run(
        "INSERT INTO orders (vo, site, name) VALUES (?, ?, ?)"
        " ON CONFLICT (vo, site) DO UPDATE SET name = excluded.name",
        *(vo, site, name),
    )
    for column, most in (("inbound", inbound), ("outbound", outbound)):
        if most is not None:
            session.run(f"UPDATE orders SET {column} = ? WHERE vo = ? AND site = ?", most or None, vo, site)  # noqa: S608 - our words
