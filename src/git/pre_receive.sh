#!/bin/sh
# NetBit's pre-receive hook (githooks(5)): the last check of a push while its objects are in quarantine. A push whose new
# objects no ref would lead to is declined here, so that git drops the quarantine and nothing of it stays. Once one ref
# will lead to them, git decides about the others.
#
# NETBIT_FAST_FORWARD: 1 when no branch of this push may be rewritten.
# NETBIT_FAST_FORWARD_REFS: otherwise the names of those that may not, one a line.
# NETBIT_ATOMIC: 1 when all refs move or none.
# Every process costs every push: an ordinary one starts a single git here.
# The server writes this file at each start; changes are lost.
set -u
say() { printf 'netbit: %s\n' "$1" >&2; }
zero=0000000000000000000000000000000000000000
newline='
'
updates=
while read -r old new name; do
    updates="$updates$old $new $name$newline"
done

# One process looks up all new tips, their .gitmodules and where the refs are now; the last word tells them apart.
looked_up=$(printf '%s' "$updates" | while read -r old new name; do
    [ "$new" = "$zero" ] || printf '%s tip\n%s:.gitmodules modules\n%s at:%s\n' "$new" "$new" "$name" "$name"
done | git cat-file --batch-check='%(objecttype) %(objectname) %(rest)' 2>/dev/null)$newline

# A carriage return within a line can lead a client out of its clone (CVE-2025-48384).
case $looked_up in
*" modules$newline"*)
    if printf '%s' "$looked_up" | sed -n 's/^blob \([0-9a-f]*\) modules$/\1/p' |
        git cat-file --batch | LC_ALL=C grep -aq "$(printf '\r.')"; then
        say "a .gitmodules of this push has a carriage return within a line; remove it and commit again"
        exit 1
    fi
    ;;
esac

must_fast_forward() { # name
    [ "${NETBIT_FAST_FORWARD:-0}" = 1 ] && return 0
    case "$newline${NETBIT_FAST_FORWARD_REFS:-}$newline" in
    *"$newline$1$newline"*) return 0 ;;
    esac
    return 1
}

is_at() { # old name: whether the ref is where the client believes it to be
    case $looked_up in
    *" $1 at:$2$newline"*) return 0 ;;
    *" at:$2$newline"*) return 1 ;;
    esac
    [ "$1" = "$zero" ]
}

moves() { # old new name
    if ! is_at "$1" "$3"; then
        say "$3 has moved since it was read; fetch, then push again"
        return 1
    fi
    case $3 in refs/heads/*) ;; *) return 0 ;; esac
    case $looked_up in
    *"commit $2 tip$newline"*) ;;
    *)
        say "$3 can only lead to a commit"
        return 1
        ;;
    esac
    [ "$1" != "$zero" ] && must_fast_forward "$3" || return 0
    git merge-base --is-ancestor "$1" "$2" 2>/dev/null && return 0
    say "$3 is protected and would be rewritten (non-fast-forward)"
    return 1
}

# A push of deletions alone has no objects. Refs that are checked are few, but for an atomic push: each may be a process.
printf '%s' "$updates" | {
    checked=0 deletions=0 others=0
    while read -r old new name; do
        if [ "$new" = "$zero" ]; then
            deletions=1
            continue
        fi
        others=1
        if [ "${NETBIT_ATOMIC:-0}" = 1 ]; then
            moves "$old" "$new" "$name" || exit 1
            continue
        fi
        moves "$old" "$new" "$name" && exit 0
        checked=$((checked + 1))
        [ "$checked" -lt 20 ] || {
            say "the first 20 refs of this push cannot move; push the others alone"
            exit 1
        }
    done
    [ "${NETBIT_ATOMIC:-0}" = 1 ] && exit 0
    [ "$others" = 0 ] && [ "$deletions" = 1 ] && exit 0
    exit 1
}
