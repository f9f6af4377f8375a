#!/bin/bash
# One private Asterisk in a directory of its own, on loopback.
#
#   asterisk.sh make DIR [--sip-port N] [--ami-port N]    write its configuration, once
#   asterisk.sh start DIR [...]    make it if need be, boot it, return when it is up
#   asterisk.sh stop DIR | restart DIR
#   asterisk.sh cli DIR COMMAND
#   asterisk.sh console DIR        print what `cli` runs, a word a line, for whoever times it
#   asterisk.sh run DIR [...]      make it and obey words on stdin: start, stop, restart, kill;
#                                  all of it ends when stdin closes
#   asterisk.sh version
#   asterisk.sh sipp OPTION...    the SIPp that came with it
#
# Every start prints: dir=DIR sip=PORT ami=PORT pid=PID
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/lib.sh"

verb=${1:-}; dir=${2:-}
[ "$verb" = version ] || [ "$verb" = sipp ] || [ -n "$dir" ] || { sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2; exit 2; }

# The command, and for the lab root the directories its build expects elsewhere.
if host_asterisk; then
  asterisk=(asterisk)
  own_dirs=()
else
  [ -x "$root/usr/sbin/asterisk" ] || die "no Asterisk 22: run tests/lab/setup.sh first"
  modules=$(echo "$root"/usr/lib/*/asterisk/modules)
  libs=${modules%/asterisk/modules}
  loader=$(echo "$root"/usr/lib*/ld-linux-*.so.* | cut -d' ' -f1)
  asterisk=("$loader" --library-path "$libs" "$root/usr/sbin/asterisk")
  own_dirs=("astmoddir => $modules" "astdatadir => $root/usr/share/asterisk")
fi

[ "$verb" != version ] || exec "${asterisk[@]}" -V
if [ "$verb" = sipp ]; then
  shift
  if host_asterisk; then exec sipp "$@"; fi
  TERM=dumb exec "$loader" --library-path "$libs" "$root/usr/bin/sipp" "$@"
fi
shift 2
enter "$dir"
[ ${#dir} -le 80 ] || die "$dir is too long a name to hold Asterisk's control socket (80 bytes at most)"

make_instance() {
  local sip_port='' ami_port='' file
  while [ $# -gt 0 ]; do
    case $1 in
      --sip-port) sip_port=$2 ;;
      --ami-port) ami_port=$2 ;;
      *) die "unknown option: $1" ;;
    esac
    shift 2
  done
  [ ! -e "$dir/ports" ] || return 0
  [ -n "$sip_port" ] || free_port sip_port
  [ -n "$ami_port" ] || free_port ami_port
  mkdir -p "$dir"/{etc,run,log,spool,lib}
  for file in "$here"/etc/*.conf; do
    sed "s|@DIR@|$dir|; s|@SIP_PORT@|$sip_port|; s|@AMI_PORT@|$ami_port|" "$file" >"$dir/etc/${file##*/}"
  done
  for file in "${own_dirs[@]}"; do
    sed -i "/^astetcdir/i $file" "$dir/etc/asterisk.conf"
  done
  # Asterisk logs the absence of each of these at every reload.
  for file in acl ccss cdr cel cli cli_aliases cli_permissions codecs dnsmgr enum features http \
    pjproject pjsip_notify pjsip_wizard stasis udptl; do
    [ -e "$dir/etc/$file.conf" ] || : >"$dir/etc/$file.conf"
  done
  echo "sip=$sip_port ami=$ami_port" >"$dir/ports"
}

console=("${asterisk[@]}" -C "$dir/etc/asterisk.conf" -rx)

cli() { "${console[@]}" "$1"; }

describe() { echo "dir=$dir $(cat "$dir/ports")"; }

pid() { cat "$dir/run/asterisk.pid" 2>/dev/null; }

up() {
  local child i
  rm -f "$dir"/run/asterisk.{pid,ctl}
  # It dies with the shell that serves an owner; a started one is on its own.
  if [ "$verb" = run ]; then
    setpriv --pdeathsig KILL "${asterisk[@]}" -f -C "$dir/etc/asterisk.conf" </dev/null >"$dir/log/console.log" 2>&1 &
  else
    setsid "${asterisk[@]}" -f -C "$dir/etc/asterisk.conf" </dev/null >"$dir/log/console.log" 2>&1 &
  fi
  child=$!
  disown
  for ((i = 0; i < 3000; i++)); do
    if [ -S "$dir/run/asterisk.ctl" ] && cli 'core waitfullybooted' 2>/dev/null | grep -q 'fully booted'; then
      echo "$(describe) pid=$(pid)"
      return
    fi
    alive "$child" || break
    sleep 0.01
  done
  kill -s KILL "$child" 2>/dev/null || true
  tail -n 20 "$dir"/log/*.log >&2
  die "Asterisk did not boot in $dir"
}

down() { # SIGNAL
  local old
  old=$(pid) || return 0
  end "$old" "$1"
  rm -f "$dir"/run/asterisk.{pid,ctl}
}

case $verb in
  make) make_instance "$@" ;;
  start)
    make_instance "$@"
    old=$(pid) && alive "$old" && die "already running in $dir (pid $old)"
    up ;;
  restart) down TERM; up ;;
  stop) down TERM ;;
  cli) cli "$1" ;;
  console) printf '%s\n' "${console[@]}" ;;
  run) make_instance "$@"; serve_owner ;;
  *) die "unknown command: $verb" ;;
esac
