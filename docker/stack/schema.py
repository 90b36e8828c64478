"""Rucio's tables, its VO and its account root, as far as they are not there."""

from __future__ import annotations

from patience import until
from rucio.db.sqla import models, util
from rucio.db.sqla.session import get_engine, get_session
from sqlalchemy import inspect
from sqlalchemy.exc import OperationalError

ROOT = "root"


def has(session: object, model: object) -> bool:
    """Whether there is any."""
    return session.query(model).first() is not None  # type: ignore[attr-defined]


def main() -> None:
    """Each step may have been done by a run that came to an early end."""
    until(lambda: get_engine().connect().close(), "database", OperationalError)
    made = []
    if not inspect(get_engine()).has_table("alembic_version"):  # made last
        util.build_database()
        made.append("tables")
    session = get_session()()
    if not has(session, models.VO):
        util.create_base_vo()
        made.append("the VO")
    if not has(session, models.Account):
        util.create_root_account()
        made.append("the account root")
    session.close()
    print(f"schema: made {', '.join(made)}" if made else "schema: everything is there", flush=True)


if __name__ == "__main__":
    main()
