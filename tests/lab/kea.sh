#!/bin/bash
# One private pair of Kea DHCP servers in a directory of its own: their control channels on loopback and on sockets.
#
#   kea.sh run DIR [--interface NAME]    make it and obey words on stdin: start, stop, restart, kill;
#                                        all of it ends when stdin closes
#   kea.sh check DIR FILE                whether Kea for IPv4 takes a configuration
#
# Every start prints: dir=DIR v4=PORT v6=PORT dhcp4=PORT dhcp6=PORT user=NAME password=TEXT
# The servers listen on the loopback interface, or on the one named. Reservations stand in memory: a restart
# forgets them, as one without a database of hosts does.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/lib.sh"

verb=${1:-}; dir=${2:-}
[ -n "$verb" ] && [ -n "$dir" ] || { sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2; exit 2; }
[ -x "$root/usr/sbin/kea-dhcp4" ] || die "no Kea: run tests/lab/setup.sh first"
shift 2
enter "$dir"

libs=$(dirname "$(echo "$root"/usr/lib/*/kea)")
loader=$(echo "$root"/usr/lib*/ld-linux-*.so.* | cut -d' ' -f1)
server() { # NAME OPTION...
  local name=$1; shift
  exec setpriv --pdeathsig KILL "$loader" --library-path "$libs" "$root/usr/sbin/$name" "$@"
}
# Kea takes files only from directories it knows.
export KEA_HOOKS_PATH=$libs/kea/hooks
export KEA_CONTROL_SOCKET_DIR=$dir/run KEA_PIDFILE_DIR=$dir/run KEA_LOCKFILE_DIR=$dir/run
export KEA_DHCP_DATA_DIR=$dir/run KEA_LOG_FILE_DIR=$dir/run

interface=lo
while [ $# -gt 0 ]; do
  case $1 in
    --interface) interface=$2; shift ;;
    *) [ "$verb" = check ] || die "unknown option: $1"; break ;;
  esac
  shift
done

configure() { # FAMILY CONTROL-PORT SUBNETS
  local family=$1 port=$2 subnets=$3
  cat >"$dir/kea$family.json" <<CONF
{ "Dhcp$family": {
  "interfaces-config": { "interfaces": ["$interface"]$([ "$family" = 6 ] || echo ', "dhcp-socket-type": "udp"') },
  "control-sockets": [
    { "socket-type": "unix", "socket-name": "$dir/run/kea$family.sock" },
    { "socket-type": "http", "socket-address": "127.0.0.1", "socket-port": $port,
      "authentication": { "type": "basic", "realm": "kea", "clients": [{ "user": "patchbay", "password": "$password" }] } }
  ],
  "lease-database": { "type": "memfile", "persist": false },
  "hooks-libraries": [
    { "library": "$libs/kea/hooks/libdhcp_host_cmds.so" },
    { "library": "$libs/kea/hooks/libdhcp_lease_cmds.so" }
  ],
  "host-reservation-identifiers": [$([ "$family" = 6 ] && echo '"duid", "hw-address"' || echo '"hw-address"')],
  "valid-lifetime": 600,
  "subnet$family": [ $subnets ],
  "loggers": [ { "name": "kea-dhcp$family", "severity": "INFO", "output-options": [ { "output": "$dir/run/kea$family.log" } ] } ]
} }
CONF
}

make_instance() {
  local v4 v6 dhcp4 dhcp6
  [ ! -e "$dir/ports" ] || return 0
  free_port v4; free_port v6; free_port dhcp4; free_port dhcp6
  password=$(head -c 12 /dev/urandom | base64 | tr -d '/+=')
  mkdir -p "$dir/run"
  chmod 700 "$dir/run"
  configure 4 "$v4" '{ "id": 7, "subnet": "127.0.0.0/8", "pools": [ { "pool": "127.9.0.10 - 127.9.0.20" } ] },
    { "id": 8, "subnet": "10.20.0.0/16" }'
  configure 6 "$v6" '{ "id": 9, "subnet": "2001:db8:9::/48", "pd-pools": [ { "prefix": "2001:db8:9:8000::", "prefix-len": 49, "delegated-len": 56 } ] }'
  echo "v4=$v4 v6=$v6 dhcp4=$dhcp4 dhcp6=$dhcp6 user=patchbay password=$password" >"$dir/ports"
}

port() { sed -n "s/.*\b$1=\([^ ]*\).*/\1/p" "$dir/ports"; }
describe() { echo "dir=$dir $(cat "$dir/ports")"; }

up() {
  local family i
  for family in 4 6; do
    rm -f "$dir/run/kea$family.sock"
    (server "kea-dhcp$family" -c "$dir/kea$family.json" -p "$(port "dhcp$family")" -P "$(port "dhcp$family")" </dev/null >"$dir/run/console$family.log" 2>&1) &
    echo $! >"$dir/run/pid$family"
    disown
  done
  for family in 4 6; do
    for ((i = 0; i < 1000; i++)); do
      ! curl -so /dev/null --noproxy '*' "http://127.0.0.1:$(port "v$family")/" || continue 2
      alive "$(cat "$dir/run/pid$family")" || break
      sleep 0.01
    done
    tail -n 20 "$dir"/run/*.log >&2
    die "Kea did not start in $dir"
  done
  describe
}

down() { # SIGNAL
  local family
  for family in 4 6; do
    [ -e "$dir/run/pid$family" ] || continue
    end "$(cat "$dir/run/pid$family")" "$1"
    rm -f "$dir/run/pid$family"
  done
}

case $verb in
  check) (server kea-dhcp4 -t "$1") ;;
  run) make_instance; serve_owner ;;
  *) die "unknown command: $verb" ;;
esac
