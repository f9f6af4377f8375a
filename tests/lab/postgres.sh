#!/bin/bash
# A throw-away PostgreSQL cluster in a directory of its own, on loopback. Writes are fsynced, as in life.
#
#   postgres.sh start DIR     make it if need be, start it, print url=postgres://...
#   postgres.sh stop DIR | restart DIR
#   postgres.sh run DIR       obey words on stdin: start, stop, restart, kill, create DATABASE,
#                             full DATABASE, space; all of it ends when stdin closes
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/lib.sh"

verb=${1:-}; dir=${2:-}
[ -n "$verb" ] && [ -n "$dir" ] || { sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2; exit 2; }
enter "$dir"
bin=$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
[ -x "$bin/initdb" ] || die "no PostgreSQL: run tests/lab/setup.sh first"

# PostgreSQL refuses to run as root.
owner=$(id -un)
drop=()
if [ "$(id -u)" = 0 ]; then
  owner=postgres
  drop=(setpriv --reuid postgres --regid postgres --init-groups --)
fi

pid() { head -n 1 "$dir/data/postmaster.pid" 2>/dev/null; }

url() { echo "postgres://patchbay@127.0.0.1:$(cat "$dir/port")"; }

describe() { echo "dir=$dir url=$(url)"; }

create() { # DATABASE
  "$bin/createdb" -h 127.0.0.1 -p "$(cat "$dir/port")" -U patchbay "$1"
  echo "$(describe)/$1"
}

make_cluster() {
  local port
  [ ! -e "$dir/port" ] || return 0
  chown "$owner" "$dir"
  (cd "$dir" && "${drop[@]}" "$bin/initdb" -D "$dir/data" -U patchbay -A trust -E UTF8 --locale=C) >"$dir/initdb.log" ||
    die "initdb failed, see $dir/initdb.log"
  free_port port
  cat >>"$dir/data/postgresql.conf" <<EOF
listen_addresses = '127.0.0.1'
port = $port
unix_socket_directories = ''
max_connections = 200
EOF
  echo "$port" >"$dir/port"
}

up() {
  local child port i
  port=$(cat "$dir/port")
  # It dies with the shell that serves an owner; a started one is on its own.
  if [ "$verb" = run ]; then
    (cd "$dir" && exec "${drop[@]}" setpriv --pdeathsig QUIT "$bin/postgres" -D "$dir/data") </dev/null >>"$dir/log" 2>&1 &
  else
    (cd "$dir" && exec setsid "${drop[@]}" "$bin/postgres" -D "$dir/data") </dev/null >>"$dir/log" 2>&1 &
  fi
  child=$!
  disown
  for ((i = 0; i < 3000; i++)); do
    if "$bin/pg_isready" -q -h 127.0.0.1 -p "$port"; then
      echo "$(describe) pid=$child"
      return
    fi
    alive "$child" || break
    sleep 0.01
  done
  tail -n 20 "$dir/log" >&2
  die "PostgreSQL did not start in $dir"
}

# Nothing more fits into the tables and indexes of a database, for whoever connects from now on, until
# `space`: their processes are told so. Where the log and other databases are there is space.
full() { # DATABASE
  local server file i relations=()
  while read -r file; do
    relations+=(-P "$dir/data/$file")
  done < <("$bin/psql" -h 127.0.0.1 -p "$(cat "$dir/port")" -U patchbay -At "$1" \
    -c "SELECT pg_relation_filepath(oid) FROM pg_class WHERE relkind IN ('r', 'i', 't')")
  [ ${#relations[@]} -gt 0 ] || die "no tables in $1"
  server=$(pid)
  (cd "$dir" && exec "${drop[@]}" setpriv --pdeathsig TERM strace -f -qq -o /dev/null "${relations[@]}" \
    -e inject=pwrite64,pwritev,fallocate:error=ENOSPC -p "$server") </dev/null >>"$dir/strace.log" 2>&1 &
  tracer=$!
  disown
  for ((i = 0; i < 3000; i++)); do
    if grep -q "^TracerPid:[[:space:]]*[1-9]" "/proc/$server/status"; then
      echo full
      return
    fi
    alive "$tracer" || break
    sleep 0.01
  done
  tail -n 20 "$dir/strace.log" >&2
  die "strace did not take hold of PostgreSQL in $dir"
}

space() { end "$tracer" TERM; echo space; }

down() { # SIGNAL
  local old
  old=$(pid) || return 0
  [ "$1" = KILL ] || set -- INT # fast: do not wait for clients
  end "$old" "$1"
}

case $verb in
  start)
    make_cluster
    old=$(pid) && alive "$old" && die "already running in $dir (pid $old)"
    up ;;
  restart) down TERM; up ;;
  stop) down TERM ;;
  run) make_cluster; serve_owner ;;
  *) die "unknown command: $verb" ;;
esac
