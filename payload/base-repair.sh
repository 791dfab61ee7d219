# shellcheck shell=sh
# A base that is broken is mended, or set aside and made anew, and the task goes on. Only on proof: what a server, a full disk, missing permissions or a lack of
# memory can cause has ended the step before. Tasks that use a base which is set aside go on with it: their mounts follow the folder.
# Needs task-messages.sh, base-lock.sh and, of init-worktree.sh, what fetches and clones.

repairs=0
sound_before=no
renewed=no

# base_identity: tells one base from the next at the same path; empty without a base.
base_identity() {
    base_identity_line=$(ls -di "$BASE" 2>/dev/null) || true
    printf '%s' "${base_identity_line%%[!0-9 ]*}"
}

# is_malformed: is there a base that git can't take for one? Says what is wrong in $damage. Starts no program: every run asks this first.
is_malformed() {
    damage=
    if [ ! -e "$BASE" ] && [ ! -h "$BASE" ]; then
        return 1
    fi
    for part in "$BASE" "$BASE/objects" "$BASE/refs"; do
        if [ ! -d "$part" ] || [ -h "$part" ]; then
            damage="$part is not a folder"
            return 0
        fi
    done
    for part in HEAD config; do
        if [ ! -f "$BASE/$part" ] || [ -h "$BASE/$part" ] || [ ! -s "$BASE/$part" ]; then
            damage="$BASE/$part is missing or empty"
            return 0
        fi
    done
    # Nothing of the stack ever makes a base lean on other objects; what a task planted could show it another repository's.
    for part in alternates http-alternates; do
        if [ -e "$BASE/objects/info/$part" ] || [ -h "$BASE/objects/info/$part" ]; then
            damage="$BASE/objects/info/$part is there"
            return 0
        fi
    done
    for part in "$BASE"/objects/pack/*.idx; do
        if [ -s "$part" ] && [ -s "${part%.idx}.pack" ]; then
            continue
        fi
        # Asked again: a maintenance that replaces packs takes the index first.
        if [ -e "$part" ]; then
            damage="${part%.idx}.pack is missing or empty, or its index is"
            return 0
        fi
    done
    return 1
}

# look_at_base: before anything is read from it. Returns 1 if it is no base, with the reason in $SCRATCH/git-error.
look_at_base() {
    base_seen=$(base_identity)
    if is_malformed; then
        printf '%s\n' "$damage" >"$SCRATCH/git-error"
        return 1
    fi
}

# read_base_refs: the base's refs, as lines "ID name kind", in $SCRATCH/base-refs. Returns 1 with git's words in $SCRATCH/git-error if one can't be read or
# names an object that isn't there.
read_base_refs() {
    # Git would say of such a one that it is no repository, or that objects are missing.
    for part in "$BASE/HEAD" "$BASE/config" "$BASE/packed-refs" "$BASE/refs" "$BASE/objects" "$BASE"/objects/pack "$BASE"/objects/pack/*; do
        if [ -e "$part" ] && [ ! -r "$part" ]; then
            printf '%s: Permission denied\n' "$part" >"$SCRATCH/git-error"
            fail_storage "base of $(quoted "$OWNER/$REPO")" "$SCRATCH/git-error"
        fi
    done
    git --git-dir="$BASE" for-each-ref --format='%(objectname) %(refname) %(objecttype)' >"$SCRATCH/base-refs" 2>"$SCRATCH/git-error" || return 1
    ! grep -q 'ignoring broken ref' "$SCRATCH/git-error"
}

# is_broken: is it the base's own fault? Under the lock of fetches. Git's words about the failure are in $SCRATCH/git-error. Says what is wrong in $damage, and in
# $remedy whether more objects can mend it (fetch) or not (renew).
is_broken() {
    remedy=renew
    if is_malformed; then
        return 0
    fi
    [ -d "$BASE" ] || return 1
    # A file of the base that git names in an error of its own; what the server says begins with "remote:".
    damage=$(grep -v '^remote:' "$SCRATCH/git-error" | grep -F "$BASE/objects/" | tail -n 1 || true)
    if [ -n "$damage" ]; then
        return 0
    fi
    if ! read_base_refs; then
        explain_known_failure "$SCRATCH/git-error"
        damage=$(tail -n 1 "$SCRATCH/git-error")
        return 0
    fi
    copy_base_refs
    # What the task needs, read and thrown away.
    if has_commit "$COMMIT" && ! scratch_git archive --format=tar "$COMMIT" 2>"$SCRATCH/git-error" >/dev/null; then
        explain_known_failure "$SCRATCH/git-error"
        damage=$(tail -n 1 "$SCRATCH/git-error")
        grep -q -F "$BASE/objects/" "$SCRATCH/git-error" || remedy=fetch
        return 0
    fi
    # Whether anything is missing below the refs. What it says of an object's content is none of the disk's doing: old commits may be odd.
    scratch_git fsck --connectivity-only --no-dangling --no-progress >"$SCRATCH/git-error" 2>&1 || true
    explain_known_failure "$SCRATCH/git-error"
    damage=$(grep -v -e '^error in ' -e '^warning in ' -e '^notice: ' -e '^warning: ' "$SCRATCH/git-error" | head -n 1 || true)
    remedy=fetch
    [ -n "$damage" ]
}

# repair_base: after a failure that nothing else explains. Returns if the task may try again, else ends the step.
repair_base() {
    repairs=$((repairs + 1))
    cp "$SCRATCH/git-error" "$SCRATCH/first-error"
    [ "$repairs" -le 5 ] || explain_git_failure "$SCRATCH/first-error"
    lock_fetches
    if [ "$(base_identity)" != "$base_seen" ]; then
        say "base: another task has replaced it meanwhile"
    elif ! is_broken; then
        # Another task may have mended it while this one waited for the lock: once more, and then it is not the base.
        [ "$sound_before" = no ] || explain_git_failure "$SCRATCH/first-error"
        sound_before=yes
        say "base: found sound after a failure, trying again ($(clean "$(tail -n 1 "$SCRATCH/first-error")" 300))"
    elif [ "$remedy" = fetch ] && mend_base; then
        say "base: mended"
    else
        renew_base
    fi
    unlock_fetches
}

# mend_base: all objects of the commit once more, beside those that are there, which harms nobody who reads them. Returns 1 if the base is broken still.
mend_base() {
    say "base $BASE is broken: $(clean "$damage" 300); fetching all objects again"
    fetch_commit --refetch || return 1
    ! is_broken
}

# renew_base: made anew beside the broken one, which is moved away only when there is one to take its place.
renew_base() {
    [ "$renewed" = no ] ||
        fail "base $(quoted "$BASE") is broken again right after it was made anew: $(clean "$damage" 300). Remedy: check the volume of the claim (it may lose or change what is written), then submit again."
    renewed=yes
    say "base $BASE is broken: $(clean "$damage" 300); making it anew"
    # shellcheck disable=SC2034 # copy_seed reads it: a seed is what the damage may have come from
    SEED_ROOT=
    make_staging
    carry_pins
    lock_base
    renew_until=$(now)
    while [ -e "$BASE_BROKEN.$renew_until" ]; do
        renew_until=$((renew_until + 1))
    done
    {
        mv "$BASE" "$BASE_BROKEN.$renew_until" && mv "$STAGING" "$BASE"
    } 2>"$SCRATCH/git-error" || fail_storage "base of $(quoted "$OWNER/$REPO")" "$SCRATCH/git-error"
    unlock_base
    say "base: the broken one was set aside as $BASE_BROKEN.$renew_until"
}

# pins_of_base: lines "ID TASK" for refs/coderun/TASK, read without git, which may not be able to.
pins_of_base() {
    for part in "$BASE"/refs/coderun/*; do
        printf '%s %s\n' "$(first_line "$part")" "${part##*/}"
    done
    if [ -f "$BASE/packed-refs" ]; then
        awk '$2 ~ /^refs\/coderun\/[^\/]+$/ { print $1, substr($2, 14) }' "$BASE/packed-refs"
    fi
}

# carry_pins: the commits that living tasks have pinned come along: an agent whose pod has yet to start will mount the new base.
carry_pins() {
    pins_of_base >"$SCRATCH/pins" 2>/dev/null || true
    : >"$SCRATCH/carried"
    while read -r pin_id pin_task; do
        if ! is_commit_id "$pin_id" || ! is_task_id "$pin_task" || [ ! -f "$BASE_ROOT/.tasks/$pin_task" ] || grep -q -x -F "$pin_task" "$SCRATCH/carried"; then
            continue
        fi
        printf '%s\n' "$pin_task" >>"$SCRATCH/carried"
        git --git-dir="$STAGING" fetch --quiet --no-tags --no-write-fetch-head --no-auto-maintenance "$URL" "+$pin_id:refs/coderun/$pin_task" 2>"$SCRATCH/git-error" ||
            say "base: commit $pin_id of task $pin_task is not in the new one ($(clean "$(tail -n 1 "$SCRATCH/git-error")" 200))"
    done <"$SCRATCH/pins"
}
