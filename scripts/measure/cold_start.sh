#!/usr/bin/env bash
# Measures the time until the server is ready: on an empty directory, and with 10,000 chats and
# 1,000,000 messages.
#   scripts/measure/cold_start.sh [CHATS MESSAGES]    (needs: cargo build --release)
set -euo pipefail
cd "$(dirname "$0")/../.."
chats=${1:-10000} messages=${2:-1000000}
netbit=target/release/netbit
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

ready() {
    local begun ended pid
    begun=$(date +%s%N)
    NETBIT_LOG__LEVEL=warn "$netbit" --data-dir "$1" --http-listen 127.0.0.1:0 --tcp-listen 127.0.0.1:0 --udp-listen 127.0.0.1:0 \
        --ops-listen 127.0.0.1:0 > "$work/out" 2> "$work/log" &
    pid=$!
    # The three lines are printed when the server is ready.
    until [ "$(wc -l < "$work/out")" -ge 3 ]; do sleep 0.005; done
    ended=$(date +%s%N)
    printf '%s: ready after %d ms, %s\n' "$2" $(((ended - begun) / 1000000)) \
        "$(awk '/VmRSS/ { print $2 " kB resident" }' "/proc/$pid/status")"
    kill -TERM "$pid"
    wait "$pid"
}

for run in 1 2 3; do
    rm -rf "$work/empty"
    ready "$work/empty" "empty directory, run $run"
done
"$netbit" seed --data-dir "$work/full" --users 100 --chats "$chats" --members 10 --messages "$messages" \
    --password "correct horse" | tail -1
for run in 1 2 3; do
    ready "$work/full" "$chats chats, $messages messages, run $run"
done
