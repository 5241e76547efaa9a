#!/usr/bin/env bash
# Starts a Docker engine by hand on a machine without a service manager and
# waits until it answers. If one answers already, nothing is started.
# Writes <state>/dockerd.pid only for an engine that it started itself, so that
# stop.sh never ends an engine that belongs to somebody else.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

if engine_answers; then
  say "engine answers: $(docker version --format '{{.Server.Version}}')"
  exit 0
fi
command -v dockerd >/dev/null || die "dockerd is not installed"
[ "$(id -u)" = 0 ] || die "no engine answers, and starting one needs root"

# The uplink can have a smaller MTU than the 1500 that Docker assumes; long
# transfers from containers would then stall silently.
uplink="$(ip -o route show default 2>/dev/null | awk '{for(i=1;i<NF;i++) if($i=="dev"){print $(i+1); exit}}')"
mtu=1500
[ -n "$uplink" ] && [ -r "/sys/class/net/$uplink/mtu" ] && mtu="$(cat "/sys/class/net/$uplink/mtu")"

# A pid file left by a killed engine keeps the next one from starting.
if [ -f /var/run/docker.pid ] && ! kill -0 "$(cat /var/run/docker.pid)" 2>/dev/null; then
  rm -f /var/run/docker.pid
fi

# A session of its own, so that Ctrl-C in the calling terminal does not reach
# it, and no inherited descriptors, so that a caller's lock is not held by it.
setsid nohup dockerd --host=unix:///var/run/docker.sock --mtu="$mtu" \
  >"$state/dockerd.log" 2>&1 </dev/null 9>&- &
echo $! >"$state/dockerd.pid"
pid="$(cat "$state/dockerd.pid")"

for _ in $(seq 1 120); do
  if engine_answers; then
    say "engine started: pid $pid, mtu $mtu, log $state/dockerd.log, $(docker info --format '{{.ServerVersion}} {{.Driver}} cgroup v{{.CgroupVersion}}')"
    exit 0
  fi
  kill -0 "$pid" 2>/dev/null || break
  sleep 0.25
done
echo "dockerd did not come up; the end of its log:" >&2
tail -20 "$state/dockerd.log" >&2
rm -f "$state/dockerd.pid"
exit 1
