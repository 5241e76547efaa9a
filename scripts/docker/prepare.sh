#!/usr/bin/env bash
# Makes Docker usable on this machine: engine and Compose installed, engine
# answering, base image there. Each step that is satisfied is skipped, so it
# costs a second where Docker works, and some two minutes on a bare Debian.
#
#   scripts/docker/prepare.sh             do it, or wait for the one that is at it
#   scripts/docker/prepare.sh --status    one line: none | running: … | ready | failed: …
#
# Safe to run in the background and more than once at a time. It exits
# non-zero, with the reason as its last line, where Docker cannot be had; the
# log and the status line stay in the state folder (lib.sh).
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
status="$state/prepare.status"
log="$state/prepare.log"

if [ "${1:-}" = --status ]; then cat "$status" 2>/dev/null || echo none; exit 0; fi

# One at a time: a second caller waits here, then finds every step satisfied.
exec 9>"$state/prepare.lock"
if command -v flock >/dev/null; then flock 9; fi

run() { # what, script
  echo "running: $1" >"$status"
  local reason
  if ! bash "$here/$2" >>"$log" 2>&1 9>&-; then
    reason="$(grep -v '^[[:space:]]*$' "$log" | tail -1)"
    echo "failed: $1: $reason" >"$status"
    echo "(log: $log)" >&2
    echo "Docker cannot be had here: $1: $reason" >&2
    exit 1
  fi
  tail -1 "$log"
}

: >"$log"
if engine_answers && have_compose; then
  say "engine $(docker version --format '{{.Server.Version}}') and compose $(docker compose version --short) are there" | tee -a "$log"
else
  run "installing the engine" install-engine.sh
  run "starting the engine" start-engine.sh
fi
run "providing the base image" stand-in-base.sh
echo ready >"$status"
say "Docker is ready"
