#!/usr/bin/env bash
# A disk that fills up under everything: the database, a repository, git's temporary files.
#
#     sudo tests/full_disk.sh target/release/netbit
#
# Needs root for a small tmpfs, curl, git and Python. Fails when something acknowledged is missing, when a refused push
# left something behind, when reads stop, or when writes do not go on by themselves once there is room again.
set -euo pipefail
program=$(realpath "$1")
place=$(mktemp -d)
disk=$place/disk
mkdir "$disk"
mount -t tmpfs -o size=48m tmpfs "$disk"
server=
finish() {
    [ -z "$server" ] || kill "$server" 2>/dev/null || true
    sleep 1
    umount "$disk" || true
    rm -rf "$place"
}
trap finish EXIT
fail() { echo "FAILED: $1" >&2; exit 1; }

NETBIT_LOG__LEVEL=error "$program" --data-dir "$disk/data" --http-listen 127.0.0.1:0 --tcp-listen 127.0.0.1:0 \
    --udp-listen 127.0.0.1:0 --ops-listen 127.0.0.1:0 >"$place/said" &
server=$!
for _ in $(seq 100); do grep -q readyz "$place/said" && break; sleep 0.1; done
base=$(grep -o 'http://[0-9.:]*' "$place/said" | head -1)
field() { python3 -c "import json,sys; print(json.load(sys.stdin)$1)"; }
post() { curl -s -o "$place/answer" -w '%{http_code}' -H "Authorization: Bearer $token" --json "$2" "$base$1"; }
token=
account='{"username": "alice", "password": "correct horse"}'
[ "$(post /api/users/register "$account")" = 201 ] || fail "no account"
post /api/users/login "$account" >/dev/null
token=$(field '["token"]' <"$place/answer")
[ "$(post /api/chats '{"kind": "group", "name": "all"}')" = 201 ] || fail "no chat"
chat=$(field '["id"]' <"$place/answer")
post /api/projects/create '{"name": "p"}' >/dev/null
post /api/projects/alice/p/repos/create '{"name": "r"}' >/dev/null

work=$place/work
git init --quiet -b main "$work"
commit() { git -C "$work" add . && git -C "$work" -c user.name=a -c user.email=a@b commit --quiet -m "$1"; }
url=${base/http:\/\//http:\/\/alice:correct%20horse@}/alice/p/r
push() { git -C "$work" push "$url" "$1" >"$place/git" 2>&1; }
echo small >"$work/small"; commit small
push HEAD:main || fail "the first push"
first=$(git -C "$work" rev-parse HEAD)
head -c 60000000 /dev/urandom >"$work/large"; commit large
! push HEAD:main || fail "a push that does not fit was taken"
grep -q "No space left" "$place/git" || fail "whoever pushes is not told why: $(cat "$place/git")"
[ "$(git ls-remote "$url" refs/heads/main | cut -f1)" = "$first" ] || fail "the ref has moved"
[ "$(df --output=used "$disk" | tail -1)" -lt 8000 ] || fail "the refused push left something behind"
[ "$(post "/api/chats/$chat/messages" '{"content": "before"}')" = 201 ] || fail "chat does not go on behind it"

dd if=/dev/zero of="$disk/fill" bs=1M 2>/dev/null || true
long=$(head -c 12000 /dev/zero | tr '\0' x)
for _ in 1 2 3; do
    [ "$(post "/api/chats/$chat/messages" "{\"content\": \"$long\"}")" = 507 ] || fail "a full disk is not said"
done
! push HEAD~1:refs/heads/other || fail "a push was taken without room for its event"
git clone --quiet "$url" "$place/clone" || fail "clones do not go on"
curl -sf -H "Authorization: Bearer $token" "$base/api/chats/$chat/messages" >"$place/answer" || fail "reads do not go on"
[ "$(field '["items"][-1]["content"]' <"$place/answer")" = before ] || fail "what was refused is there"

rm "$disk/fill"
sleep 1.5
[ "$(post "/api/chats/$chat/messages" '{"content": "after"}')" = 201 ] || fail "it does not recover by itself"
push HEAD~1:refs/heads/other || fail "pushes do not recover: $(cat "$place/git")"
git --git-dir="$(find "$disk/data/repos" -name '*.git' -type d | head -1)" fsck --strict || fail "fsck"
echo "a full disk: told, nothing lost, nothing left behind, recovered"
