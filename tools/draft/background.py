"""How the long jobs of this tool behave beside people who use the same machine.

Knows the pause file, the deadline and the scheduling class; knows nothing of models.
"""

import os
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

PAUSE_FILE = Path(os.environ.get("FORERUNNER_PAUSE_FILE", "/tmp/forerunner-pause"))


def become_idle(num_threads: int = 1) -> None:
    """Runs this process only when nobody else wants the core (SCHED_IDLE, nice 19)."""
    os.environ["OMP_NUM_THREADS"] = str(num_threads)
    os.nice(19 - os.nice(0))
    if hasattr(os, "SCHED_IDLE"):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def wait_while_paused() -> float:
    """Sleeps as long as PAUSE_FILE exists; returns the seconds slept."""
    start = time.monotonic()
    while PAUSE_FILE.exists():
        time.sleep(1)
    return time.monotonic() - start


def parse_deadline(text: str | None) -> float:
    """'HH:MM' (UTC, the next such time) or an ISO time (which may be past) as seconds since the epoch; None never comes."""
    if text is None:
        return float("inf")
    if "T" in text:
        return datetime.fromisoformat(text).timestamp()
    hour, minute = (int(part) for part in text.split(":"))
    now = datetime.now(timezone.utc)
    deadline = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
    if deadline <= now:
        deadline += timedelta(days=1)
    return deadline.timestamp()
