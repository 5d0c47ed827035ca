#!/bin/sh
# NetBit's pre-receive hook (githooks(5)): the last check of a push while its objects are in quarantine. A push whose new
# objects no ref would lead to is declined here, so that git drops the quarantine and nothing of it stays. Once one ref
# will lead to them, git decides about the others.
#
# NETBIT_FAST_FORWARD: 1 when no branch of this push may be rewritten.
# NETBIT_ATOMIC: 1 when all refs move or none. The server has compared their old values, which nothing else changes now.
# The server writes this file at each start; changes are lost.
set -u
say() { printf 'netbit: %s\n' "$1" >&2; }
zero=0000000000000000000000000000000000000000
updates=$(cat)

# One process looks up all new tips and their .gitmodules; the second word tells them apart.
looked_up=$(printf '%s\n' "$updates" | while read -r old new name; do
    [ "$new" = "$zero" ] || printf '%s tip\n%s:.gitmodules modules\n' "$new" "$new"
done | git cat-file --batch-check='%(objecttype) %(objectname) %(rest)' 2>/dev/null)

# A carriage return within a line can lead a client out of its clone (CVE-2025-48384).
modules=$(printf '%s\n' "$looked_up" | sed -n 's/^blob \([0-9a-f]*\) modules$/\1/p')
if [ -n "$modules" ] &&
    printf '%s\n' "$modules" | git cat-file --batch | LC_ALL=C grep -aq "$(printf '\r.')"; then
    say "a .gitmodules of this push has a carriage return within a line; remove it and commit again"
    exit 1
fi

moves() { # old new name
    if [ "${NETBIT_ATOMIC:-0}" != 1 ]; then
        current=$(git rev-parse --quiet --verify "$3" 2>/dev/null) || current=$zero
        if [ "$current" != "$1" ]; then
            say "$3 has moved since it was read; fetch, then push again"
            return 1
        fi
    fi
    case $3 in refs/heads/*) ;; *) return 0 ;; esac
    case $looked_up in
    *"commit $2 tip"*) ;;
    *)
        say "$3 can only lead to a commit"
        return 1
        ;;
    esac
    [ "${NETBIT_FAST_FORWARD:-0}" = 1 ] && [ "$1" != "$zero" ] || return 0
    git merge-base --is-ancestor "$1" "$2" 2>/dev/null && return 0
    say "$3 is protected and would be rewritten (non-fast-forward)"
    return 1
}

if [ "${NETBIT_ATOMIC:-0}" = 1 ]; then
    printf '%s\n' "$updates" | {
        while read -r old new name; do
            [ -z "$name" ] || [ "$new" = "$zero" ] || moves "$old" "$new" "$name" || exit 1
        done
        exit 0
    }
    exit
fi

# A push of deletions alone has no objects. Refs that are checked are few: each is a process or two.
checked=0 deletions=0 others=0
printf '%s\n' "$updates" | {
    while read -r old new name; do
        [ -n "$name" ] || continue
        if [ "$new" = "$zero" ]; then
            deletions=1
            continue
        fi
        others=1
        moves "$old" "$new" "$name" && exit 0
        checked=$((checked + 1))
        [ "$checked" -lt 20 ] || {
            say "the first 20 refs of this push cannot move; push the others alone"
            exit 1
        }
    done
    [ "$others" = 0 ] && [ "$deletions" = 1 ] && exit 0
    exit 1
}
