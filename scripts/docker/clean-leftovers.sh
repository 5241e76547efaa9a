#!/usr/bin/env bash
# Removes what an interrupted e2e run left behind (testcontainers' reaper is
# off there). Touches only what testcontainers labelled or named, by id.
set -euo pipefail
of() { # kind -> ids, e.g. "of ps -aq"
  { docker "$@" --filter label=org.testcontainers=true; docker "$@" --filter name='^testcontainers-'; } | sort -u
}
remove() { # ids, then the command that removes them
  local ids="$1"; shift
  [ -z "$ids" ] || xargs "$@" <<<"$ids"
}
remove "$(of ps -aq)" docker rm -fv
remove "$(of network ls -q)" docker network rm
remove "$(of volume ls -q)" docker volume rm
