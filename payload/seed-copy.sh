# shellcheck shell=sh
# The first base of a run's own claim, from the base that the shared claim has of the repository (its seed), and sharing nothing with it. Packs are copied as they are:
# of the ways that were measured it is the fastest, and the only one that brings what no ref names (docs/volume-modes.md). Needs task-messages.sh and base-lock.sh.
# Input: OWNER REPO; optional SEED_ROOT (the folder of bases to copy from, mounted read-only), LOCK_TIMEOUT_SECONDS, LOCK_POLL_SECONDS.
#
# Others write in the seed meanwhile: a fetch adds packs, maintenance puts packs in the place of others. A copy is whole if the seed had the same packs before and after
# it, and the copy has just these: a pack is never removed before the ones in its place are there. So the first try takes no lock; a second one holds the seed's lock of
# fetches, shared with other copies, which a file that is open for reading only is enough for.

SEED_LOCK_SECONDS=60 # longer than most repacks; a download that takes longer than that is no faster than a download of our own

seed_packs() {
    for seed_pack in "$1"/objects/pack/pack-*; do
        case $seed_pack in
            *.keep) ;;
            *) printf '%s\n' "${seed_pack##*/}" ;;
        esac
    done
}

# copy_seed_once: returns 1 with the reason in $SCRATCH/git-error if the copy isn't whole.
copy_seed_once() {
    rm -rf -- "$STAGING"
    git init --quiet --bare --template= "$STAGING" 2>"$SCRATCH/git-error" &&
        git --git-dir="$seed" for-each-ref --format='create %(refname) %(objectname)' refs/heads refs/tags refs/fetched >"$SCRATCH/seed-refs" 2>"$SCRATCH/git-error" &&
        seed_head=$(git --git-dir="$seed" symbolic-ref HEAD 2>"$SCRATCH/git-error") || return 1
    # In this order: all that refs name is in the packs that are there after the refs were read.
    seed_packs "$seed" >"$SCRATCH/seed-packs"
    cp -R "$seed/objects/." "$STAGING/objects/" 2>"$SCRATCH/git-error" || return 1
    seed_packs "$seed" >"$SCRATCH/seed-packs-after"
    seed_packs "$STAGING" >"$SCRATCH/seed-packs-copied"
    if ! cmp -s "$SCRATCH/seed-packs" "$SCRATCH/seed-packs-after" || ! cmp -s "$SCRATCH/seed-packs" "$SCRATCH/seed-packs-copied"; then
        echo 'packs have come or gone' >"$SCRATCH/git-error"
        return 1
    fi
    find "$STAGING/objects" \( -name 'tmp_*' -o -name '.tmp-*' -o -name '*.keep' -o -name '*.lock' \) -prune -exec rm -rf {} + 2>"$SCRATCH/git-error" &&
        git --git-dir="$STAGING" update-ref --stdin <"$SCRATCH/seed-refs" 2>"$SCRATCH/git-error" &&
        git --git-dir="$STAGING" symbolic-ref HEAD "$seed_head" 2>"$SCRATCH/git-error" &&
        git --git-dir="$STAGING" pack-refs --all 2>"$SCRATCH/git-error"
}

# lock_seed: returns 1 if it isn't had in time, or there is none.
lock_seed() {
    [ -f "$seed_lock" ] && [ -r "$seed_lock" ] || return 1
    exec 7<"$seed_lock"
    lock_seed_until=$(($(now) + SEED_LOCK_SECONDS))
    [ "$LOCK_TIMEOUT_SECONDS" -ge "$SEED_LOCK_SECONDS" ] || lock_seed_until=$(($(now) + LOCK_TIMEOUT_SECONDS))
    until flock -s -n 7; do
        if is_past "$lock_seed_until"; then
            exec 7<&-
            return 1
        fi
        sleep "${LOCK_POLL_SECONDS:-0.2}"
    done
}

# copy_seed: into $STAGING. Returns 1 if there is nothing fit to copy, or no whole copy to be had.
copy_seed() {
    seed=${SEED_ROOT:-}/$OWNER/$REPO.git
    seed_lock=${SEED_ROOT:-}/$OWNER/$REPO.fetch.lock
    if [ -z "${SEED_ROOT:-}" ] || [ ! -d "$seed/objects" ] || [ -e "$seed/objects/info/alternates" ]; then
        return 1
    fi
    ! copy_seed_once || return 0
    say "base: the copy from the shared claim is not whole ($(clean "$(tail -n 1 "$SCRATCH/git-error")" 200))"
    if ! lock_seed; then
        say 'base: the lock of the shared one is held'
        return 1
    fi
    say 'base: copying once more, under the lock of the shared one'
    copy_seed_code=0
    copy_seed_once || copy_seed_code=1
    drop_lock 7
    return "$copy_seed_code"
}
