"""The one command: synthesise, complete the cache, train, export, evaluate.

Only decides what runs when; every step is a program of its own that skips what is already there, so
the command can be stopped at any time and given again.
"""

import argparse
import json
import subprocess
import sys
import time
from datetime import datetime, timezone
from pathlib import Path

from background import parse_deadline

HERE = Path(__file__).parent
SHIPPED_DRAFT = HERE.parent.parent / "models" / "smollm2-135m-draft-feature-int8"
SYNTHESIS_SHARE = 0.5  # of the time until the deadline; training has the rest, less the evaluation
CACHE_SHARE = 0.3  # of what is then left, at most, goes into older text that the cache lacks
EVALUATION_MINUTES = 6


def program(name: str, *args: str) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-W", "ignore", str(HERE / name), *args])


def wait_for(*processes: subprocess.Popen) -> None:
    if any([process.wait() for process in processes]):
        raise SystemExit("a step failed; its message is above, and the same command goes on from there")


def clock(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--until", required=True, help="HH:MM in UTC, at most a day ahead: when the new draft must be ready")
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoint, curve and exports")
    parser.add_argument("--start-from", type=Path, default=SHIPPED_DRAFT)
    parser.add_argument("--processes", type=int, default=2, help="of synthesis, one thread each; also the threads of training")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    plan_file = args.out / "plan.json"  # so that a second start keeps the first one's times
    plan = json.loads(plan_file.read_text()) if plan_file.exists() else None
    if plan is None or time.time() > plan["training_end"]:
        now = time.time()
        training_end = parse_deadline(args.until) - 60 * EVALUATION_MINUTES
        if training_end <= now:
            raise SystemExit(f"--until must be more than {EVALUATION_MINUTES} minutes ahead: they are kept for the evaluation")
        plan = {"first_seed": int(now), "synthesis_end": now + SYNTHESIS_SHARE * (training_end - now), "training_end": training_end}
        plan_file.write_text(json.dumps(plan))
    if not (args.out / "finished").exists():
        make_draft(args, plan)
    exported = args.out / (args.out / "finished").read_text().strip()
    wait_for(program("evaluate.py", str(args.start_from), str(exported)))


def make_draft(args: argparse.Namespace, plan: dict) -> None:
    """Text, teacher rows, training, within the times of the plan; leaves `finished` in the --out folder."""
    if time.time() < plan["synthesis_end"]:
        until = clock(plan["synthesis_end"])
        seeds = [str(plan["first_seed"] + 100_000 * i) for i in range(args.processes)]
        wait_for(*(program("synthesise.py", "--first-seed", seed, "--until", until) for seed in seeds))
    now = time.time()
    wait_for(program("features.py", "--until", clock(now + CACHE_SHARE * (plan["training_end"] - now))))
    if time.time() >= plan["training_end"]:
        raise SystemExit("no time was left for training: give the command again with a later --until")
    common = ["--start-from", str(args.start_from), "--out", str(args.out)]
    wait_for(program("train.py", *common, "--until", clock(plan["training_end"]), "--threads", str(args.processes)))


if __name__ == "__main__":
    main()
