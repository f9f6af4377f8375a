#!/bin/bash
# Installs what the tests need, and makes the lab root that Asterisk 22, Kea and FreeRADIUS run from.
#
#   setup.sh               everything
#   setup.sh --run-only    only what `make run` needs: an Asterisk
#   setup.sh --bench       everything, and nginx, which the figures are compared with
#   setup.sh --where       say where things are kept, install nothing
#
# When everything is there it does nothing, and does it quickly.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/lib.sh"

run_only=
bench=
case "${1:-}" in
  '') ;;
  --run-only) run_only=1 ;;
  --bench) bench=1 ;;
  --where) echo "$lab"; exit ;;
  *) die "unknown option: $1" ;;
esac

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# A program, and the Debian package that brings it.
missing=()
need() { command -v "$1" >/dev/null || missing+=("$2"); }

PATH=$PATH:/usr/sbin:/sbin
need cc gcc
need make make
need flock util-linux
# The root is made for Asterisk when this machine has none, and in any case for the tests' peers.
root_needed=
host_asterisk && [ -n "$run_only" ] || root_needed=1
[ -z "$root_needed" ] || [ -e "$root/usr/bin/sipp" ] || need debootstrap debootstrap
if [ -z "$run_only" ]; then
  ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || missing+=(postgresql)
  # The lab root has one of its own: it must answer SHA-256 challenges, as SIPp does since 3.7.
  ! host_asterisk || need sipp sip-tester
  need chromium chromium
  need chromedriver chromium-driver
  need strace strace
  need pdftotext poppler-utils
  need ip iproute2
  need curl curl
  [ -z "$bench" ] || need nginx nginx-light
  python3 -c 'import ensurepip' 2>/dev/null || missing+=(python3-venv)
fi

if [ ${#missing[@]} -gt 0 ]; then
  command -v apt-get >/dev/null || die "please install: ${missing[*]} (this is not a Debian machine)"
  [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null || { [ -t 0 ] && command -v sudo >/dev/null; } ||
    die "these packages are missing and need root: apt-get install ${missing[*]}"
  echo "installing: ${missing[*]}"
  as_root apt-get update -q
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "${missing[@]}"
fi

mkdir -p "$lab" 2>/dev/null || as_root install -d -o "$(id -u)" "$lab"

# A generator of API clients, to check the OpenAPI document with, and axe, which looks for what
# keeps people from using a page; each of one version.
generator="openapi-python-client==0.29.1 axe-playwright-python==0.1.8"
if [ -z "$run_only" ] && [ "$(cat "$lab/python/version" 2>/dev/null)" != "$generator" ]; then
  exec 8>"$lab/.python.lock"
  flock 8
  if [ "$(cat "$lab/python/version" 2>/dev/null)" != "$generator" ]; then
    echo "making the client generator in $lab/python (once, some seconds)"
    rm -rf "$lab/python"
    python3 -m venv "$lab/python"
    # shellcheck disable=SC2086
    "$lab/python/bin/pip" install --quiet --disable-pip-version-check ${generator%% *} ruff
    # Only the script of axe is wanted, not what would drive a browser with it.
    "$lab/python/bin/pip" install --quiet --disable-pip-version-check --no-deps "${generator##* }"
    cp "$lab"/python/lib/python3*/site-packages/axe_playwright_python/axe.min.js "$lab/python/"
    echo "$generator" >"$lab/python/version"
  fi
fi

if host_asterisk; then
  echo "Asterisk: $(asterisk -V) of this machine"
fi
[ -n "$root_needed" ] || exit 0

# The mirror this machine takes Debian from.
mirror() {
  local uri
  uri=$(apt-get indextargets --format '$(ORIGIN) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
    sed -n 's/^Debian //p' | grep -v security | head -n 1) || true
  echo "${uri:-http://deb.debian.org/debian}"
}

if [ ! -e "$root/usr/bin/sipp" ]; then
  exec 9>"$lab/.lock"
  flock 9
  if [ ! -e "$root/usr/bin/sipp" ]; then
    echo "making the Asterisk lab root in $root (once, about a minute)"
    building=$(mktemp -d "$lab/building.XXXXXX")
    trap 'as_root rm -rf "$building"' EXIT
    chmod 755 "$building"
    as_root env PATH="$PATH" debootstrap --variant=minbase --include=asterisk,sip-tester sid "$building" "$(mirror)" >"$lab/debootstrap.log" 2>&1 ||
      { tail -n 20 "$lab/debootstrap.log" >&2; die "debootstrap failed"; }
    as_root rm -rf "$building"/var/cache/apt/archives/*.deb
    as_root rm -rf "$root"
    as_root mv -T "$building" "$root"
    trap - EXIT
  fi
fi
host_asterisk || echo "Asterisk: $("$here/asterisk.sh" version) in $root"
[ -z "$run_only" ] || exit 0

# The systems outside that addresses are told to. Their packages want a running system while they are
# installed: /proc is mounted only then, and nothing is started.
peers=(kea-dhcp4-server kea-dhcp6-server freeradius)
peers_there() { [ -x "$root/usr/sbin/kea-dhcp4" ] && [ -x "$root/usr/sbin/kea-dhcp6" ] && [ -x "$root/usr/sbin/freeradius" ]; }
in_root() { as_root env DEBIAN_FRONTEND=noninteractive LC_ALL=C chroot "$root" "$@"; }

install_peers() {
  local status=0
  as_root cp --remove-destination /etc/resolv.conf "$root/etc/resolv.conf"
  printf '#!/bin/sh\nexit 101\n' | as_root tee "$root/usr/sbin/policy-rc.d" >/dev/null
  as_root chmod 755 "$root/usr/sbin/policy-rc.d"
  as_root mount -t proc proc "$root/proc"
  # A mirror may be a snapshot of an earlier day, as debootstrap also accepts; signatures are checked.
  { in_root apt-get update -q -o Acquire::Check-Valid-Until=false &&
    in_root apt-get install -qy --no-install-recommends --no-upgrade "${peers[@]}"; } >"$lab/peers.log" 2>&1 || status=$?
  as_root umount "$root/proc"
  as_root rm -f "$root/usr/sbin/policy-rc.d"
  as_root rm -rf "$root"/var/cache/apt/archives/*.deb
  return "$status"
}

if ! peers_there; then
  exec 9>"$lab/.lock"
  flock 9
  if ! peers_there; then
    echo "adding Kea and FreeRADIUS to $root (once, about half a minute)"
    install_peers || { tail -n 20 "$lab/peers.log" >&2; die "Kea and FreeRADIUS could not be installed"; }
    peers_there || die "Kea and FreeRADIUS are not where they should be in $root"
  fi
fi
