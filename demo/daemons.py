"""Rounds of Rucio's daemons without their waits: each in a process of its own, in which all is imported already.

`python daemons.py` takes a JSON list of rounds a line, as ["submitter", ["reaper", "SITE"]], and answers with a line:
[exit code, what was logged].
"""

from __future__ import annotations

import json
import logging
import os
import sys
import tempfile
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger("daemons")
AT_ONCE = 1000


def rounds() -> dict[str, Callable[..., Any]]:
    """Import the daemons, which takes longer than a round of most."""
    from rucio.daemons.badreplicas import necromancer  # noqa: PLC0415 -- its import reads the configuration
    from rucio.daemons.common import HeartbeatHandler  # noqa: PLC0415
    from rucio.daemons.conveyor import finisher, poller, submitter  # noqa: PLC0415
    from rucio.daemons.judge import cleaner, evaluator, repairer  # noqa: PLC0415
    from rucio.daemons.reaper import reaper  # noqa: PLC0415
    from rucio.db.sqla.session import get_engine  # noqa: PLC0415

    def at_once(daemon: Any, **options: Any) -> None:
        """Do the work of a daemon that would wait first, for others of its kind."""
        with HeartbeatHandler(executable=daemon.DAEMON_NAME, renewal_interval=60) as heartbeat:
            daemon.run_once(heartbeat_handler=heartbeat, **options)

    get_engine().dispose()  # a connection is for one process
    return {
        "submitter": lambda: submitter.submitter(once=True, partition_wait_time=0, bulk=AT_ONCE, group_bulk=100),
        "poller": lambda: poller.poller(once=True, partition_wait_time=0, older_than=0),
        "finisher": lambda: finisher.finisher(once=True, partition_wait_time=0),
        "evaluator": lambda: at_once(evaluator, did_limit=AT_ONCE, paused_dids={}),
        "cleaner": lambda: at_once(cleaner, paused_rules={}),
        "repairer": lambda: at_once(repairer, paused_rules={}, delta=-1),
        "necromancer": lambda: at_once(necromancer, bulk=AT_ONCE),
        "reaper": lambda *rses: reaper.reaper(rses, include_rses=None, exclude_rses=None, once=True, greedy=True),
    }


def apart(known: dict[str, Callable[..., Any]], wanted: list[Any]) -> tuple[int, str]:
    """Do it in a child, which knows nothing of earlier rounds."""
    with tempfile.TemporaryFile("w+", encoding="utf-8") as said:
        child = os.fork()
        if not child:
            os.dup2(said.fileno(), 1)
            os.dup2(said.fileno(), 2)
            os._exit(done(known, wanted))
        _, status = os.waitpid(child, 0)
        said.seek(0)
        return status, said.read()


def done(known: dict[str, Callable[..., Any]], wanted: list[Any]) -> int:
    """Return the exit code of the child."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, force=True)
    try:
        for each in wanted:
            name, *arguments = [each] if isinstance(each, str) else each
            known[name](*arguments)
    except BaseException:
        log.exception("a round failed")
        return 1
    return 0


def main() -> None:
    """Serve until stdin ends."""
    known = rounds()
    for line in sys.stdin:
        sys.stdout.write(json.dumps(apart(known, json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
