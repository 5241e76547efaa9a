#!/usr/bin/env bash
# Installs Debian's prometheus package (with promtool) for the tests that scrape
# and check rules, without starting its service. Does nothing when it is there.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
if command -v promtool >/dev/null && command -v prometheus >/dev/null; then say "prometheus is there"; exit 0; fi
command -v apt-get >/dev/null || die "no prometheus, and not a Debian system"
[ "$(id -u)" = 0 ] || die "no prometheus, and installing it needs root"

policy=/usr/sbin/policy-rc.d
made_policy=
trap '[ -z "$made_policy" ] || rm -f "$made_policy"' EXIT
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod +x "$policy"
  made_policy="$policy"
fi
install() {
  DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 \
    apt-get -q -y -o DPkg::Lock::Timeout=120 install --no-install-recommends prometheus >"$state/prometheus-apt.log" 2>&1
}
install || { apt-get -q update >/dev/null && install; } || die "prometheus cannot be installed; see $state/prometheus-apt.log"
say "$(prometheus --version 2>&1 | head -1)"
