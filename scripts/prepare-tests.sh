#!/usr/bin/env bash
# What some tests use beyond npm: Chromium (browser tests, and its software Vulkan for the WebGPU provider), Prometheus
# with promtool, and a Python environment with the official OpenAI client and schemathesis. Each test that misses its
# tool says so and is skipped, so this is needed only where nothing may be skipped: CI runs it, people may.
# Skips what is there. Debian, as root.
set -euo pipefail
cd "$(dirname "$0")/.."

packages=()
command -v chromium >/dev/null || packages+=(chromium)
python3 -c 'import ensurepip' 2>/dev/null || packages+=(python3-venv)
if [ ${#packages[@]} -gt 0 ]; then
  export DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1
  apt-get -q -y -o DPkg::Lock::Timeout=120 update >/dev/null
  apt-get -q -y -o DPkg::Lock::Timeout=120 install --no-install-recommends "${packages[@]}" >/dev/null
fi
echo "chromium: $(chromium --version 2>/dev/null | head -1)"

scripts/docker/install-prometheus.sh

[ -x .cache/surface-python/bin/schemathesis ] || sh e2e/support/prepare-python.sh
