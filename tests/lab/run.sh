#!/bin/bash
# What `make run` does: Patchbay on its default address with SQLite, and an Asterisk to apply to.
#
# With Asterisk 22 installed on this machine, Patchbay is pointed at it and nothing of it is touched
# (run `patchbay asterisk install` when you are ready). Otherwise a private one is made in data/lab
# and started with Patchbay; both end together.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/lib.sh"
patchbay=${1:?the patchbay program}

if host_asterisk; then
  echo "Asterisk: $(asterisk -V) of this machine, in /etc/asterisk"
  echo "To let it read Patchbay's files: $patchbay asterisk install"
  exec "$patchbay" serve
fi

data=${PATCHBAY_DATA_DIR:-data}
mkdir -p "$data"
lab_dir=$(cd "$data" && pwd -P)/lab
"$here/asterisk.sh" make "$lab_dir"
read -r sip ami <<<"$(sed 's/sip=//; s/ami=//' "$lab_dir/ports")"
export PATCHBAY_ASTERISK_CONFIG_DIR=$lab_dir/etc PATCHBAY_ASTERISK_AMI=127.0.0.1:$ami
[ -e "$lab_dir/etc/patchbay/current" ] || RUST_LOG=${RUST_LOG:-warn} "$patchbay" asterisk install --yes
# Asterisk lives as long as the pipe to it.
coproc lab_asterisk { exec "$here/asterisk.sh" run "$lab_dir"; }
lab_pid=$lab_asterisk_PID
exec {words}>&"${lab_asterisk[1]}"- {answers}<&"${lab_asterisk[0]}"-
read -r _ <&"$answers"
echo start >&"$words"
read -r _ <&"$answers" || die "Asterisk did not start"
echo "Asterisk 22 runs in $lab_dir; phones register at 127.0.0.1:$sip"
trap 'exec {words}>&-; wait "$lab_pid" 2>/dev/null || true' EXIT
"$patchbay" serve
