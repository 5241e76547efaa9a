#!/usr/bin/env bash
# Installs a Docker engine with BuildKit and Compose v2 from Debian packages
# alone (no vendor repository) on Debian bookworm or newer. Does nothing when
# an engine and Compose v2 are there.
#
# Bookworm's own packages stop at engine 20.10 and docker-compose 1.29, which
# knows neither `docker compose` nor a top-level `name:`. The next release's
# engine, CLI, Compose and buildx need nothing newer than bookworm's libc, so
# just those four come from there; the rest stays bookworm's. The extra suite
# is used through a private apt configuration and never added to the system's.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
suite_new="${DOCKER_SUITE:-trixie}"

if command -v dockerd >/dev/null && have_compose; then
  say "engine there: $(dockerd --version), compose $(docker compose version --short)"
  exit 0
fi
command -v apt-get >/dev/null || die "no Docker engine, and not a Debian system: install Docker Engine and Compose v2 as your distribution documents"
[ "$(id -u)" = 0 ] || die "no Docker engine, and installing one needs root"
. /etc/os-release
mirror="$(debian_mirror)"
[ -n "$mirror" ] || die "no Debian mirror is configured in /etc/apt"

private="$(mktemp -d /var/tmp/install-engine.XXXXXX)"
policy=/usr/sbin/policy-rc.d
made_policy=
trap 'rm -rf "$private" $made_policy' EXIT
chmod 755 "$private"
mkdir -p "$private/lists/partial" "$private/archives/partial"
sign='[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]'
{
  echo "deb $sign $mirror $VERSION_CODENAME main"
  echo "deb $sign $mirror $suite_new main"
} >"$private/sources.list"
packages=(docker.io docker-cli docker-compose docker-buildx)
{
  printf 'Package: %s\nPin: release n=%s\nPin-Priority: 900\n\n' "${packages[*]}" "$suite_new"
  printf 'Package: *\nPin: release n=%s\nPin-Priority: 100\n' "$suite_new"
} >"$private/preferences"

apt() {
  DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 apt-get -q -y \
    -o Dir::Etc::sourcelist="$private/sources.list" -o Dir::Etc::sourceparts=/dev/null \
    -o Dir::Etc::preferences="$private/preferences" -o Dir::Etc::preferencesparts=/dev/null \
    -o Dir::State::lists="$private/lists" -o Dir::Cache="$private" \
    -o Acquire::Languages=none -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false \
    -o DPkg::Lock::Timeout=120 \
    "$@"
}
# Without a service manager, keep the package from trying to start one.
if [ ! -d /run/systemd/system ] && [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod +x "$policy"
  made_policy="$policy"
fi

apt update
apt install --no-install-recommends iptables ca-certificates "${packages[@]}"
hash -r
say "engine installed: $(dockerd --version), compose $(docker compose version --short)"
