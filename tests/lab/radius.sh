#!/bin/bash
# One private FreeRADIUS that listens for CoA and Disconnect on loopback, in a directory of its own.
#
#   radius.sh run DIR    make it and obey words on stdin: start, stop, restart, kill;
#                        all of it ends when stdin closes
#
# Every start prints: dir=DIR port=PORT secret=TEXT
# Its list of attributes of every packet it took for good is DIR/packets. It acknowledges, unless the name is one of
# those that the configuration refuses.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/lib.sh"

verb=${1:-}; dir=${2:-}
[ -n "$verb" ] && [ -n "$dir" ] || { sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2; exit 2; }
[ -x "$root/usr/sbin/freeradius" ] || die "no FreeRADIUS: run tests/lab/setup.sh first"
enter "$dir"

libs=$(dirname "$(echo "$root"/usr/lib/*/libtalloc.so.2)")
loader=$(echo "$root"/usr/lib*/ld-linux-*.so.* | cut -d' ' -f1)

make_instance() {
  local port secret
  [ ! -e "$dir/ports" ] || return 0
  free_port port
  secret=$(head -c 18 /dev/urandom | base64 | tr -d '/+=')
  mkdir -p "$dir/run"
  cat >"$dir/radiusd.conf" <<CONF
name = radiusd
prefix = $root/usr
libdir = $root/usr/lib/freeradius
run_dir = $dir/run
logdir = $dir/run
pidfile = $dir/run/radiusd.pid
log {
  destination = files
  file = $dir/run/radius.log
}
thread pool {
  start_servers = 1
  max_servers = 2
  min_spare_servers = 1
  max_spare_servers = 2
}
client lab {
  ipaddr = 127.0.0.1
  secret = "$secret"
  require_message_authenticator = yes
}
modules {
  always reject {
    rcode = reject
  }
  always ok {
    rcode = ok
  }
  # What was taken for good, one line a packet.
  linelog packets {
    filename = $dir/packets
    permissions = 0600
    format = "%{Packet-Type}|%{User-Name}|%{Acct-Session-Id}|%{NAS-IP-Address}|%{Framed-IP-Address}|%{Framed-IPv6-Prefix}|%{Delegated-IPv6-Prefix}|%{Filter-Id}|%{integer:Event-Timestamp}|%{Message-Authenticator}"
  }
}
server coa {
  listen {
    type = coa
    ipaddr = 127.0.0.1
    port = $port
  }
  recv-coa {
    packets
    if (&User-Name && &User-Name == "gone") {
      update reply {
        Error-Cause := Session-Context-Not-Found
      }
      reject
    }
    elsif (&User-Name && &User-Name == "forbidden") {
      update reply {
        Error-Cause := Administratively-Prohibited
        Reply-Message := "ask the owner"
      }
      reject
    }
    else {
      ok
    }
  }
  send-coa {
    ok
  }
}
CONF
  echo "port=$port secret=$secret" >"$dir/ports"
}

describe() { echo "dir=$dir $(cat "$dir/ports")"; }

up() {
  local i port hex
  : >"$dir/packets"
  port=$(sed 's/.*port=\([0-9]*\).*/\1/' "$dir/ports")
  printf -v hex ':%04X ' "$port"
  setpriv --pdeathsig KILL "$loader" --library-path "$libs:$root/usr/lib/freeradius" "$root/usr/sbin/freeradius" \
    -f -d "$dir" -D "$root/usr/share/freeradius" -n radiusd </dev/null >"$dir/run/console.log" 2>&1 &
  echo $! >"$dir/run/pid"
  disown
  for ((i = 0; i < 1000; i++)); do
    if grep -q "$hex" /proc/net/udp && grep -q 'Ready to process' "$dir/run/radius.log" 2>/dev/null; then describe; return; fi
    alive "$(cat "$dir/run/pid")" || break
    sleep 0.01
  done
  cat "$dir"/run/*.log >&2
  die "FreeRADIUS did not start in $dir"
}

down() { # SIGNAL
  [ -e "$dir/run/pid" ] || return 0
  end "$(cat "$dir/run/pid")" "$1"
  rm -f "$dir/run/pid" "$dir/run/radius.log"
}

case $verb in
  run) make_instance; serve_owner ;;
  *) die "unknown command: $verb" ;;
esac
