#!/usr/bin/env bash
# Stops the engine that start-engine.sh started, by its recorded pid only.
# SIGTERM lets dockerd stop its containers and its own containerd.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
pidfile="$state/dockerd.pid"
[ -f "$pidfile" ] || { say "no engine was started by these scripts"; exit 0; }
pid="$(cat "$pidfile")"
# The pid may have been given to another process since.
if [ "$(cat "/proc/$pid/comm" 2>/dev/null || true)" = dockerd ]; then
  kill -TERM "$pid"
  for _ in $(seq 1 120); do kill -0 "$pid" 2>/dev/null || break; sleep 0.25; done
  ! kill -0 "$pid" 2>/dev/null || die "dockerd $pid is still stopping after 30 s"
fi
rm -f "$pidfile" "$state/prepare.status"
say "engine stopped"
