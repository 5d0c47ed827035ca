#!/usr/bin/env bash
# Starts a private PostgreSQL server for tests, crashes it, or stops it and deletes its directory.
#
#     scripts/check/postgres.sh start [--fsync] [--listen ADDRESSES] DIR
#     scripts/check/postgres.sh standby [--fsync] [--listen ADDRESSES] DIR NEW_DIR
#     scripts/check/postgres.sh promote DIR
#     scripts/check/postgres.sh crash DIR
#     scripts/check/postgres.sh stop DIR
#
# `start` prints the URL of the server. With it, the tests of the server run on PostgreSQL:
#
#     NETBIT_TEST_DATABASE=postgres NETBIT_TEST_POSTGRES=URL cargo test --test it
#
# `crash` keeps the directory: `start` starts the server again on the same port. `standby` copies the
# running server of DIR to NEW_DIR and starts a streaming standby, which `promote` makes a server that
# accepts writes.
#
# The server accepts connections without a password on 127.0.0.1, on a socket in DIR, and on
# ADDRESSES (separated by commas) from their own subnets. Without --fsync, a power failure may destroy
# its databases. Needs the Debian package postgresql, version
# 14 or later; PG_BIN names another folder of its programs. Run by root, the server runs as the user
# postgres, who must be able to enter the folder of DIR.
set -euo pipefail

usage() {
    sed -n '2,/^set/{s/^# \{0,1\}//;/^set/!p}' "$0" >&2
    exit 2
}
fail() {
    echo "postgres.sh: $1" >&2
    exit 1
}

action=${1-}
shift || usage
fsync=off
listen=127.0.0.1
case $action in start | standby)
    if [ "${1-}" = --fsync ]; then
        fsync=on
        shift
    fi
    if [ "${1-}" = --listen ]; then
        [ $# -ge 3 ] || usage
        listen=$listen,$2
        shift 2
    fi
    ;;
esac
arguments=1
[ "$action" != standby ] || arguments=2
[ $# = "$arguments" ] && [ -n "$1" ] && [ -n "${!arguments}" ] || usage
directory=$(realpath -m "$1")
new_directory=$(realpath -m "${!arguments}")

programs=${PG_BIN-}
if [ -z "$programs" ]; then
    programs=$(find /usr/lib/postgresql -mindepth 2 -maxdepth 2 -name bin 2>/dev/null | sort -V | tail -1)
    [ -n "$programs" ] || fail "no PostgreSQL in /usr/lib/postgresql; install postgresql, or set PG_BIN"
fi
# Runs a command as the owner of the server: PostgreSQL refuses to run as root.
as_owner() {
    if [ "$(id -u)" = 0 ]; then
        setpriv --reuid=postgres --regid=postgres --init-groups -- "$@"
    else
        "$@"
    fi
}
running() { as_owner "$programs/pg_ctl" -D "$directory/data" status >/dev/null 2>&1; }

make_directory() {
    mkdir -p "$directory"
    [ "$(id -u)" != 0 ] || chown postgres:postgres "$directory"
    as_owner test -w "$directory" || fail "the user postgres cannot enter $directory; choose another folder"
    # A socket's path has at most 107 bytes.
    [ ${#directory} -le 80 ] || fail "the path $directory is longer than 80 bytes"
    cd "$directory"
}

start() {
    if ! running; then
        make_directory
        if [ ! -e "$directory/data/PG_VERSION" ]; then
            as_owner "$programs/initdb" -D "$directory/data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 --no-sync \
                >"$directory/initdb.log" 2>&1 || fail "initdb failed; see $directory/initdb.log"
            echo "host all all samenet trust" >>"$directory/data/pg_hba.conf"
        fi
        for _ in $(seq 20); do
            # Ports from 32768 on belong to outgoing connections.
            port=$(cat "$directory/port" 2>/dev/null || echo $((10000 + RANDOM % 20000)))
            as_owner "$programs/pg_ctl" -D "$directory/data" -l "$directory/log" -w -o "-p $port -k '$directory' \
                -c listen_addresses='$listen' -c max_connections=400 -c shared_buffers=128MB -c fsync=$fsync" \
                start >/dev/null 2>&1 </dev/null && break
        done
        running || fail "the server does not start; see $directory/log"
    fi
    # The fourth line of the file is the port.
    port=$(as_owner sed -n 4p "$directory/data/postmaster.pid")
    echo "$port" >"$directory/port"
    echo "postgres://postgres@127.0.0.1:$port/postgres"
}

# Copies the running server to the new directory, and starts it there as a standby.
standby() {
    running || fail "the server in $directory does not run"
    primary=$(as_owner sed -n 4p "$directory/data/postmaster.pid")
    directory=$new_directory
    make_directory
    # -R: the copy is a standby of the server that it was copied from.
    as_owner "$programs/pg_basebackup" -D "$directory/data" -R -X stream -c fast --no-sync \
        -d "host=127.0.0.1 port=$primary user=postgres" >"$directory/initdb.log" 2>&1 ||
        fail "pg_basebackup failed; see $directory/initdb.log"
    start
}

promote() {
    cd /
    as_owner "$programs/pg_ctl" -D "$directory/data" -w promote >/dev/null
}

# Ends the server as a crash does: without a checkpoint, so that its start recovers.
crash() {
    cd /
    as_owner "$programs/pg_ctl" -D "$directory/data" -m immediate -w stop >/dev/null
}

stop() {
    [ -e "$directory/data/PG_VERSION" ] || fail "$directory holds no PostgreSQL server"
    cd /
    if running; then
        crash
    fi
    rm -rf "$directory/data" "$directory/log" "$directory/initdb.log" "$directory/port"
    rmdir --ignore-fail-on-non-empty "$directory"
}

case $action in
start) start ;;
standby) standby ;;
promote) promote ;;
crash) crash ;;
stop) stop ;;
*) usage ;;
esac
