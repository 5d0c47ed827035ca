#!/usr/bin/env bash
# Fills the disk that holds the database, a repository and git's temporary files.
#
#     sudo scripts/check/full_disk.sh target/release/netbit
#
# Needs root for a small tmpfs, curl, git and Python. Fails if acknowledged data is missing, if a
# refused push leaves files, if reads stop, or if writes do not resume when the disk has
# space again.
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
[ "$(post /api/users/register "$account")" = 201 ] || fail "the registration was refused"
post /api/users/login "$account" >/dev/null
token=$(field '["token"]' <"$place/answer")
[ "$(post /api/chats '{"kind": "group", "name": "all"}')" = 201 ] || fail "the chat was refused"
chat=$(field '["id"]' <"$place/answer")
post /api/projects/create '{"name": "p"}' >/dev/null
post /api/projects/alice/p/repos/create '{"name": "r"}' >/dev/null

work=$place/work
git init --quiet -b main "$work"
commit() { git -C "$work" add . && git -C "$work" -c user.name=a -c user.email=a@b commit --quiet -m "$1"; }
url=${base/http:\/\//http:\/\/alice:correct%20horse@}/alice/p/r
push() { git -C "$work" push "$url" "$1" >"$place/git" 2>&1; }
echo small >"$work/small"; commit small
push HEAD:main || fail "the first push was refused: $(cat "$place/git")"
first=$(git -C "$work" rev-parse HEAD)
head -c 60000000 /dev/urandom >"$work/large"; commit large
! push HEAD:main || fail "a push larger than the disk was accepted"
grep -q "No space left" "$place/git" || fail "the client does not see the reason: $(cat "$place/git")"
[ "$(git ls-remote "$url" refs/heads/main | cut -f1)" = "$first" ] || fail "the ref has moved"
[ "$(df --output=used "$disk" | tail -1)" -lt 8000 ] || fail "the refused push left files on the disk"
[ "$(post "/api/chats/$chat/messages" '{"content": "before"}')" = 201 ] || fail "a message was refused after the push"

dd if=/dev/zero of="$disk/fill" bs=1M 2>/dev/null || true
long=$(head -c 12000 /dev/zero | tr '\0' x)
for _ in 1 2 3; do
    [ "$(post "/api/chats/$chat/messages" "{\"content\": \"$long\"}")" = 507 ] || fail "a message on a full disk did not get status 507"
done
! push HEAD~1:refs/heads/other || fail "a push was accepted without space for its event"
git clone --quiet "$url" "$place/clone" || fail "a clone failed on a full disk"
curl -sf -H "Authorization: Bearer $token" "$base/api/chats/$chat/messages" >"$place/answer" || fail "a read failed on a full disk"
[ "$(field '["items"][-1]["content"]' <"$place/answer")" = before ] || fail "a refused message was stored"

rm "$disk/fill"
sleep 1.5
[ "$(post "/api/chats/$chat/messages" '{"content": "after"}')" = 201 ] || fail "messages are still refused after space was freed"
push HEAD~1:refs/heads/other || fail "pushes are still refused after space was freed: $(cat "$place/git")"
git --git-dir="$(find "$disk/data/repos" -name '*.git' -type d | head -1)" fsck --strict || fail "git fsck found errors in the repository"
echo "full disk: clients got errors, nothing was lost or left over, the server recovered"
