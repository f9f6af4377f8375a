# Shared by the lab scripts: where things are kept, free ports, processes.
# shellcheck shell=bash

die() { echo "${0##*/}: $*" >&2; exit 1; }

if [ -n "${PATCHBAY_LAB:-}" ]; then lab=$PATCHBAY_LAB
elif [ "$(id -u)" = 0 ]; then lab=/var/cache/patchbay-lab
else lab=$HOME/.cache/patchbay-lab; fi
root=$lab/asterisk-22

# Is the asterisk on PATH 22 or newer?
host_asterisk() {
  local v
  v=$(asterisk -V 2>/dev/null) || return 1
  v=${v#Asterisk }; v=${v%%[!0-9]*}
  [ "${v:-0}" -ge 22 ]
}

# Picks a port that nothing uses, and keeps other labs off it while this shell lives.
free_port() { # VARIABLE
  local found fd hex locks=${TMPDIR:-/tmp}/patchbay-ports.$(id -u)
  mkdir -p "$locks"
  for _ in {1..200}; do
    found=$((20001 + (RANDOM * 32768 + RANDOM) % 12000))
    exec {fd}>"$locks/$found"
    printf -v hex ':%04X ' "$found"
    if flock -n "$fd" && ! cat /proc/net/{tcp,udp}{,6} 2>/dev/null | grep -q "$hex"; then
      printf -v "$1" %s "$found"
      return
    fi
    exec {fd}>&-
  done
  die "no free port found"
}

# A zombie is not alive, unless it is only the first thread of several: then its sockets are still open.
alive() {
  kill -0 "$1" 2>/dev/null || return 1
  [ "$(cut -d' ' -f3 "/proc/$1/stat" 2>/dev/null)" = Z ] || return 0
  [ "$(ls "/proc/$1/task" 2>/dev/null | wc -l)" -gt 1 ]
}

# Ends a process and returns when it is gone: the signal first, KILL after five seconds.
end() { # PID SIGNAL
  local i
  kill -s "$2" "$1" 2>/dev/null || return 0
  for ((i = 0; i < 250; i++)); do alive "$1" || return 0; sleep 0.02; done
  kill -s KILL "$1" 2>/dev/null || return 0
  while alive "$1"; do sleep 0.02; done
}

# Obeys an owner over a pipe, one word a line, each answered by one line. When the pipe closes, because
# the owner is gone, so is the server, and its directory if it was made for this.
serve_owner() {
  local word argument
  trap 'down KILL; [ -z "$throw_away" ] || rm -rf "$dir"' EXIT
  describe
  while read -r word argument; do
    case $word in
      start) up ;;
      stop) down TERM; echo stopped ;;
      kill) down KILL; echo stopped ;;
      restart) down TERM; up ;;
      create) create "$argument" ;;
      full) full "$argument" ;;
      space) space ;;
      *) die "unknown word: $word" ;;
    esac
  done
}

# Makes the directory; one that was empty may be thrown away.
enter() { # DIR
  mkdir -p "$1"
  dir=$(cd "$1" && pwd -P)
  throw_away=
  [ -n "$(ls -A "$dir")" ] || throw_away=1
}
