#!/bin/sh
# NetBit's update hook (githooks(5)): runs for each ref of a push in which some branches must not be
# rewritten and others may be. NETBIT_FAST_FORWARD_REFS: the names of the former, one per line. The
# server restores this file at each start; changes are lost.
set -u
name=$1 old=$2 new=$3
zero=0000000000000000000000000000000000000000
case "
${NETBIT_FAST_FORWARD_REFS:-}
" in
*"
$name
"*) ;;
*) exit 0 ;;
esac
[ "$old" = "$zero" ] || [ "$new" = "$zero" ] && exit 0
git merge-base --is-ancestor "$old" "$new" 2>/dev/null && exit 0
printf 'netbit: %s is protected and would be rewritten (non-fast-forward)\n' "$name" >&2
exit 1
