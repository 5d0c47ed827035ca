#!/bin/sh
# NetBit's pre-receive hook (githooks(5)): the last check of a push while its objects are in
# quarantine. A push that would leave its new objects unreachable from any ref is declined here, so
# that git removes the quarantine with all its objects. As soon as one ref will reach them, git
# decides about the others.
#
# NETBIT_FAST_FORWARD: 1 if no branch of this push may be rewritten.
# NETBIT_FAST_FORWARD_REFS: otherwise the names of the branches that must not be, one per line.
# NETBIT_ATOMIC: 1 if either all refs are updated or none.
#
# Every process costs time in every push, so an ordinary push starts a single git process here. A
# push may have 20,000 refs, so all steps are linear in their number: no search in a list of all
# refs, and no string that grows piece by piece.
# The server restores this file at each start; changes are lost.
set -u
say() { printf 'netbit: %s\n' "$1" >&2; }
zero=0000000000000000000000000000000000000000
newline='
'
updates=$(cat)

# A single process looks up, for each ref that is not deleted: its new tip, the .gitmodules of that
# tip, and the present target of the ref. It prints one line per lookup, in the same order: kind,
# object, and the words after the name here. For a missing object it prints "NAME missing". The last
# line is always of this form; without it, the output is incomplete.
end=refs/netbit/end
looked_up=$({
    printf '%s\n' "$updates" | sed -n "/^[0-9a-f]* $zero /d
s/^\([0-9a-f]*\) \([0-9a-f]*\) \(.*\)\$/\2 tip \1 \3\\
\2:.gitmodules modules\\
\3 at/p"
    printf '%s\n' "$end"
} | git -c core.warnAmbiguousRefs=false cat-file --batch-check='%(objecttype) %(objectname) %(rest)' 2>/dev/null)
case $looked_up in
"$end missing") exit 0 ;; # A push of deletions alone has no objects.
*"$newline$end missing") ;;
*)
    say "cannot read the refs of this push; push again, or ask the operator to check the repository"
    exit 1
    ;;
esac

# A carriage return within a line can make a client write outside of its clone (CVE-2025-48384).
case $looked_up in
*" modules$newline"*)
    if printf '%s\n' "$looked_up" | sed -n 's/^blob \([0-9a-f]*\) modules$/\1/p' | sort -u |
        git cat-file --batch | LC_ALL=C grep -aq "$(printf '\r.')"; then
        say "a .gitmodules of this push has a carriage return within a line; remove it and commit again"
        exit 1
    fi
    ;;
esac

must_fast_forward() { # name
    [ "${NETBIT_FAST_FORWARD:-0}" = 1 ] && return 0
    [ -n "${NETBIT_FAST_FORWARD_REFS:-}" ] || return 1
    case "$newline$NETBIT_FAST_FORWARD_REFS$newline" in
    *"$newline$1$newline"*) return 0 ;;
    esac
    return 1
}

histories=0
moves() { # kind, new, old, name, and the present target of the ref: zeros if it does not exist
    if [ "$2" = missing ]; then
        say "$1 is not in this push and not in the repository"
        return 1
    fi
    if [ "$3" != "$5" ]; then
        say "$4 has moved since it was read; fetch, then push again"
        return 1
    fi
    case $4 in refs/heads/*) ;; *) return 0 ;; esac
    if [ "$1" != commit ]; then
        say "$4 can only point to a commit"
        return 1
    fi
    [ "$3" != "$zero" ] && must_fast_forward "$4" || return 0
    histories=$((histories + 1))
    if [ "$histories" -gt 1000 ]; then
        say "an atomic push may update at most 1000 branches that must not be rewritten; push fewer at once"
        return 1
    fi
    git merge-base --is-ancestor "$3" "$2" 2>/dev/null && return 0
    say "$4 is protected and would be rewritten (non-fast-forward)"
    return 1
}

# Only few refs are checked, except in an atomic push: each check may start a process.
printf '%s\n' "$looked_up" | {
    checked=0
    while read -r kind new _ old name && [ "$kind" != "$end" ]; do
        read -r _ _ _
        read -r _ now _
        [ "$now" != missing ] || now=$zero
        if [ "${NETBIT_ATOMIC:-0}" = 1 ]; then
            moves "$kind" "$new" "$old" "$name" "$now" || exit 1
            continue
        fi
        moves "$kind" "$new" "$old" "$name" "$now" && exit 0
        checked=$((checked + 1))
        [ "$checked" -lt 20 ] || {
            say "the first 20 refs of this push cannot move; push the others alone"
            exit 1
        }
    done
    [ "${NETBIT_ATOMIC:-0}" = 1 ]
}
