#!/usr/bin/env bash
# Makes the base image of the Dockerfiles available under its official name:
# there already, or pulled, or (where no image registry can be reached) built
# as a stand-in from Debian and npm packages, so that `FROM node:26-bookworm-slim`
# builds there unchanged.
#
#   stand-in-base.sh [node-version] [tag]
#
# A stand-in carries this machine's trust store and npm registry setting, which
# builds inside it need. It and what is built on it are for local use: never
# push them. It is labelled local.stand-in=true.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

node_version="${1:-$(cat "$here/../../.node-version")}"
tag="${2:-node:${node_version%%.*}-bookworm-slim}"
suite="${SUITE:-bookworm}"
npm_version="${NPM_VERSION:-11}"
cache="${XDG_CACHE_HOME:-$HOME/.cache}/forerunner-base-image"

if docker image inspect "$tag" >/dev/null 2>&1; then say "$tag is there"; exit 0; fi
if [ "${PULL:-1}" = 1 ] && timeout "${PULL_TIMEOUT_S:-120}" docker pull -q "$tag" 2>"$state/pull.log"; then
  say "$tag pulled"; exit 0
fi
say "$tag cannot be pulled ($(tail -1 "$state/pull.log" 2>/dev/null | cut -c1-120)); building a stand-in"

[ "$(id -u)" = 0 ] || die "building a stand-in needs root (debootstrap uses chroot)"
for tool in npm tar docker; do command -v "$tool" >/dev/null || die "missing: $tool"; done
if ! command -v debootstrap >/dev/null; then
  command -v apt-get >/dev/null || die "missing: debootstrap"
  DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=120 install --no-install-recommends debootstrap >"$state/debootstrap-apt.log" 2>&1 \
    || { apt-get -q update >/dev/null && DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=120 install --no-install-recommends debootstrap >"$state/debootstrap-apt.log" 2>&1; } \
    || die "debootstrap cannot be installed; see $state/debootstrap-apt.log"
fi
case "$(uname -m)" in
  x86_64) arch=x64 ;;
  aarch64) arch=arm64 ;;
  *) die "there is no Node package for $(uname -m)" ;;
esac

work="$(mktemp -d /var/tmp/stand-in-base.XXXXXX)"
trap 'rm -rf "$work"' EXIT
root="$work/root"
mkdir -p "$cache"

# npm checks each tarball against the integrity hash of the registry's metadata.
pack() { # name@range -> path of the cached tarball
  local file
  file="$(cd "$cache" && npm pack --silent --prefer-offline "$1" 2>/dev/null | tail -1)"
  [ -s "$cache/$file" ] || die "cannot fetch $1 from the npm registry"
  echo "$cache/$file"
}
node_tgz="$(pack "node-linux-$arch@$node_version")"
npm_tgz="$(pack "npm@$npm_version")"

say "debootstrap $suite"
mirror="$(debian_mirror)"
debootstrap --variant=minbase --include=ca-certificates,libatomic1,libstdc++6 "$suite" "$root" ${mirror:+"$mirror"} >"$work/debootstrap.log" 2>&1 \
  || { tail -20 "$work/debootstrap.log" >&2; die "debootstrap failed"; }

say "adding Node $node_version and npm"
mkdir -p "$root/usr/local/lib/node_modules/npm" "$root/usr/local/etc"
tar xzf "$node_tgz" -C "$root/usr/local" --strip-components=1 --no-same-owner package/bin/node package/LICENSE
tar xzf "$npm_tgz" -C "$root/usr/local/lib/node_modules/npm" --strip-components=1 --no-same-owner
ln -sf ../lib/node_modules/npm/bin/npm-cli.js "$root/usr/local/bin/npm"
ln -sf ../lib/node_modules/npm/bin/npx-cli.js "$root/usr/local/bin/npx"
ln -sf node "$root/usr/local/bin/nodejs"
chmod +x "$root/usr/local/lib/node_modules/npm/bin/"*-cli.js
chroot "$root" node --version >/dev/null || die "Node $node_version does not run on $suite"

# The unprivileged user and the entrypoint of the official image.
chroot "$root" groupadd --gid 1000 node
chroot "$root" useradd --uid 1000 --gid node --shell /bin/bash --create-home node
cat >"$root/usr/local/bin/docker-entrypoint.sh" <<'ENTRY'
#!/bin/sh
set -e
if [ "${1#-}" != "${1}" ] || [ -z "$(command -v "${1}")" ] || { [ -f "${1}" ] && ! [ -x "${1}" ]; }; then
  set -- node "$@"
fi
exec "$@"
ENTRY
chmod +x "$root/usr/local/bin/docker-entrypoint.sh"

# This machine's trust store and registry: a private registry, or a proxy that
# inspects TLS, would otherwise break installs inside a build.
changes=()
if [ -f /etc/ssl/certs/ca-certificates.crt ]; then
  cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
  changes+=(--change "ENV NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt")
fi
registry="$(npm config get registry 2>/dev/null || true)"
[ -z "$registry" ] || echo "registry=$registry" >"$root/usr/local/etc/npmrc"
for name in http_proxy https_proxy no_proxy; do
  [ -z "${!name:-}" ] || changes+=(--change "ENV $name=${!name}")
done

rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/cache/apt/*.bin "$root"/var/lib/apt/lists/* \
  "$root"/var/log/* "$root"/usr/share/man/* "$root"/usr/share/info/* "$root"/usr/share/locale/* \
  "$root"/tmp/* "$root"/var/tmp/* "$root"/usr/local/lib/node_modules/npm/{docs,man}
find "$root/usr/share/doc" -type f ! -name copyright -delete 2>/dev/null || true

tar -C "$root" --numeric-owner --exclude=./proc/* --exclude=./sys/* --exclude=./dev/* -c . \
  | docker import \
      --change 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
      --change "ENV NODE_VERSION=$node_version" \
      "${changes[@]}" \
      --change 'ENTRYPOINT ["docker-entrypoint.sh"]' \
      --change 'CMD ["node"]' \
      --change "LABEL local.stand-in=true" \
      - "$tag" >/dev/null
say "$tag built as a stand-in: $(docker image inspect "$tag" --format '{{.Size}}' | awk '{printf "%d MB", $1/1e6}')"
