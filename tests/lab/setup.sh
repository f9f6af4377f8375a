#!/bin/bash
# Installs what the tests need, and makes the lab root that Asterisk 22 runs from.
#
#   setup.sh               everything
#   setup.sh --run-only    only what `make run` needs: an Asterisk
#   setup.sh --where       say where things are kept, install nothing
#
# When everything is there it does nothing, and does it quickly.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/lib.sh"

run_only=
case "${1:-}" in
  '') ;;
  --run-only) run_only=1 ;;
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
host_asterisk || [ -e "$root/usr/bin/sipp" ] || need debootstrap debootstrap
if [ -z "$run_only" ]; then
  ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || missing+=(postgresql)
  # The lab root has one of its own: it must answer SHA-256 challenges, as SIPp does since 3.7.
  ! host_asterisk || need sipp sip-tester
  need chromium chromium
  need chromedriver chromium-driver
  need strace strace
  need pdftotext poppler-utils
  need curl curl
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
  exit
fi

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
echo "Asterisk: $("$here/asterisk.sh" version) in $root"
