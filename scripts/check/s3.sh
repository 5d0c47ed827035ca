#!/usr/bin/env bash
# Starts an S3-compatible store for tests, or stops it and deletes its directory.
#
#     scripts/check/s3.sh start DIR
#     scripts/check/s3.sh stop DIR
#
# `start` prints the URL of the store, which has the bucket `netbit-test`. With it, the servers of the
# tests store files there:
#
#     NETBIT_TEST_BLOBS=s3 NETBIT_TEST_S3=URL cargo test --test it files::
#
# The store is moto, which keeps everything in memory, accepts all keys, and listens on 127.0.0.1. The
# first start installs it into DIR with pip. Needs Python 3 with venv, and curl.
set -euo pipefail

version=5.2.5

usage() {
    sed -n '2,/^set/{s/^# \{0,1\}//;/^set/!p}' "$0" >&2
    exit 2
}
fail() {
    echo "s3.sh: $1" >&2
    exit 1
}

[ $# = 2 ] && [ -n "$2" ] || usage
directory=$(realpath -m "$2")
running() { [ -e "$directory/pid" ] && kill -0 "$(cat "$directory/pid")" 2>/dev/null; }

start() {
    mkdir -p "$directory"
    if [ ! -x "$directory/venv/bin/moto_server" ]; then
        python3 -m venv "$directory/venv"
        "$directory/venv/bin/pip" install -q "moto[server]==$version" >"$directory/pip.log" 2>&1 ||
            fail "moto cannot be installed; see $directory/pip.log"
    fi
    for _ in $(seq 20); do
        running && break
        # Ports from 32768 on belong to outgoing connections.
        port=$((10000 + RANDOM % 20000))
        "$directory/venv/bin/moto_server" -H 127.0.0.1 -p "$port" >"$directory/log" 2>&1 </dev/null &
        echo $! >"$directory/pid"
        for _ in $(seq 100); do
            curl -fs -X PUT "http://127.0.0.1:$port/netbit-test" >/dev/null 2>&1 && break
            running || break
            sleep 0.1
        done
        echo "$port" >"$directory/port"
    done
    running || fail "the store does not start; see $directory/log"
    echo "http://127.0.0.1:$(cat "$directory/port")"
}

stop() {
    [ -e "$directory/pid" ] || fail "$directory holds no store"
    if running; then
        kill "$(cat "$directory/pid")"
    fi
    rm -rf "$directory/venv" "$directory/log" "$directory/pip.log" "$directory/pid" "$directory/port"
    rmdir --ignore-fail-on-non-empty "$directory"
}

case $1 in
start) start ;;
stop) stop ;;
*) usage ;;
esac
