# shellcheck shell=bash disable=SC2034  # sourced; its readers use `here`
# Shared by the scripts beside it: where state lives and how to say things.
# Knows no step; sourced, never run.

# A state folder per user: root's is in /run, anybody else's in their own run folder.
if [ -n "${FORERUNNER_DOCKER_STATE:-}" ]; then state="$FORERUNNER_DOCKER_STATE"
elif [ "$(id -u)" = 0 ] && [ -d /run ]; then state=/run/forerunner-docker
else state="${XDG_RUNTIME_DIR:-${TMPDIR:-/tmp}}/forerunner-docker-$(id -u)"
fi
mkdir -p "$state"

here="$(cd "$(dirname "${BASH_SOURCE[1]}")" && pwd)"
say() { echo "[$(printf '%3d' "$SECONDS")s] $*"; }
die() { echo "$*" >&2; exit 1; }
engine_answers() { docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }
have_compose() { docker compose version --short 2>/dev/null | grep -qE '^v?([2-9]|[1-9][0-9])\.'; }

# The Debian mirror in use here: deb822 sources first, then the one-line format; empty when there is none.
debian_mirror() {
  [ -z "${DEBIAN_MIRROR:-}" ] || { echo "$DEBIAN_MIRROR"; return; }
  local found
  found="$(cat /etc/apt/sources.list.d/*.sources 2>/dev/null | awk '/^URIs:/{print $2; exit}' || true)"
  [ -n "$found" ] || found="$(cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null \
    | awk '$1=="deb"{for(i=2;i<=NF;i++) if($i ~ /^https?:/){print $i; exit}}' || true)"
  echo "$found"
}
