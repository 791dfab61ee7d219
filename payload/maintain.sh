# shellcheck shell=sh
# maintain: tidies the bases of the shared claim, one after the other, and evicts idle ones when the claim fills up. Needs task-messages.sh, base-lock.sh
# and task-removal.sh.
# It asks no server and no cluster. It may be killed at any moment: every base is sound after each single step.
# Input: BASE_ROOT TREES_ROOT CLAIM_NAME CLAIM_SIZE_BYTES EVICT_ABOVE_PERCENT EXPIRE_DAYS DEADLINE_SECONDS
#        LOCK_TIMEOUT_SECONDS (a base whose lock isn't had in that time is left for the next night)
#        HOLD_SECONDS (how long fetches of a base may be kept waiting).
#
# A base's config, hooks and attributes have no say: all git here works with a repository of this pod's own whose objects are the base's.
# Beside OWNER/REPO.git: OWNER/REPO.maintained, whose time of change is that of the last maintenance that came to its end.

PACKS_AT_MOST=20 # finding an object takes no longer with so many (docs/git-maintenance.md has the figures)
LOOSE_AT_MOST=1000
MOMENT_SECONDS=30
STALE_MINUTES=60 # what git writes is renamed within moments, or its time of change goes on

for name in BASE_ROOT TREES_ROOT CLAIM_NAME CLAIM_SIZE_BYTES EVICT_ABOVE_PERCENT EXPIRE_DAYS DEADLINE_SECONDS LOCK_TIMEOUT_SECONDS HOLD_SECONDS; do
    eval "[ -n \"\${$name:-}\" ]" || fail "maintain: the variable $name is empty. Remedy: deploy the stack again (pulumi up)."
done

maintain_until=$(($(now) + DEADLINE_SECONDS))
expire_before=$(($(now) - EXPIRE_DAYS * 86400))
troubles=0
first_trouble=
tidied=0
broken=0
skipped=0
unreached=0
evicted=0
git_environment
# Whatever a base's config says, nothing is fetched and no program is started in order to fetch.
GIT_ALLOW_PROTOCOL=none
export GIT_ALLOW_PROTOCOL
set_git pack.threads 2
set_git pack.windowMemory 128m

# trouble WHAT: something that a person should see; the job goes on and fails in the end.
trouble() {
    troubles=$((troubles + 1))
    [ -n "$first_trouble" ] || first_trouble=$1
    say "trouble: $1"
}

# note WORDS: for the line about this base.
note() {
    notes=${notes:+$notes; }$1
}

# last_words FILE: of a program that failed.
last_words() {
    clean "$(tail -n 1 "$1")" 200
}

mebibytes() {
    awk -v kib="$1" 'BEGIN { printf "%.1f MiB", kib / 1024 }'
}

# modified PATH: its time of change in seconds; 0 if it isn't there.
modified() {
    stat -c %Y "$1" 2>/dev/null || printf 0
}

# left_until UNTIL: the seconds, at least 1: timeout takes 0 for never.
left_until() {
    left=$(($1 - $(now)))
    [ "$left" -gt 0 ] || left=1
    printf '%s' "$left"
}

# kib_of PATH…: empty if it takes too long.
kib_of() {
    timeout "$(left_until "$maintain_until")" du -s -k "$@" 2>/dev/null | awk '{ sum += $1 } END { if (NR) print sum }'
}

# look_git …: git with a repository of this pod's own whose objects are the base's. It is ended when the base was held for long enough.
look_git() {
    GIT_OBJECT_DIRECTORY=$BASE/objects timeout "$(left_until "$base_until")" git --git-dir="$SCRATCH/look" "$@"
}

# records_of OWNER REPO: task ids, one a line. Starts no program, as there may be hundreds of records and thousands of bases.
records_of() {
    for record_file in "$BASE_ROOT"/.tasks/*; do
        if [ ! -f "$record_file" ] || [ -h "$record_file" ]; then
            continue
        fi
        record_line=
        IFS= read -r record_line <"$record_file" 2>/dev/null || true
        case $record_line in
            *"$TAB$1$TAB$2") printf '%s\n' "${record_file##*/}" ;;
        esac
    done
}

# list_base_refs FILE: IDs that the base's refs name, one a line. If they can't be read, git's words are in $SCRATCH/git-error.
list_base_refs() {
    timeout "$(left_until "$base_until")" git --git-dir="$BASE" for-each-ref --format='%(objectname)' >"$1" 2>"$SCRATCH/git-error" || return "$?"
    ! grep -q 'ignoring broken ref' "$SCRATCH/git-error"
}

# list_task_refs FILE: IDs that the git folders of living tasks have got from the base; a branch of the base may have moved on since. Returns 1 with the reason in $why
# if they can't be known: a task is about to write its git folder, or has the base itself (gitFolder=shared).
list_task_refs() {
    task_refs=$1
    : >"$task_refs"
    set --
    for ref_task in $(records_of "$base_owner" "$base_repo"); do
        ref_folder=$BASE_ROOT/.private/$ref_task
        # Init writes this one after the refs.
        if [ ! -e "$ref_folder/worktrees/$ref_task/locked" ]; then
            why="task $(clean "$ref_task") may write in it"
            return 1
        fi
        if [ -f "$ref_folder/packed-refs" ] && [ ! -h "$ref_folder/packed-refs" ]; then
            set -- "$@" "$ref_folder/packed-refs"
        fi
    done
    [ "$#" -gt 0 ] || return 0
    # Agents write there as well: a pipe in such a place would be waited for for ever.
    # shellcheck disable=SC2016 # awk's program
    if ! timeout 10 awk 'length($1) == 40 && $1 !~ /[^0-9a-f]/ && count++ < 100000 { print $1 }' "$@" >"$SCRATCH/named" 2>/dev/null ||
        ! look_git cat-file --batch-check='%(objectname) %(objecttype)' <"$SCRATCH/named" >"$SCRATCH/named-types" 2>/dev/null; then
        why="the git folders of its tasks can't be read"
        return 1
    fi
    awk '$2 != "missing" { print $1 }' "$SCRATCH/named-types" >"$task_refs"
}

# make_look: the repository for look_git; its refs are made of the IDs in $SCRATCH/roots.
make_look() {
    rm -rf "$SCRATCH/look"
    mkdir -p "$SCRATCH/look/refs" "$SCRATCH/look/objects"
    printf 'ref: refs/heads/none\n' >"$SCRATCH/look/HEAD"
    printf '[core]\n\trepositoryformatversion = 0\n\tbare = true\n' >"$SCRATCH/look/config"
    awk '{ printf "%s refs/look/%d\n", $1, NR }' "$SCRATCH/roots" >"$SCRATCH/look/packed-refs"
}

# is_proof CODE FILE: does git's failure, with its words in FILE, tell of the base, and not of the volume, of memory or of our own limit of time?
is_proof() {
    # 124 to 127 are timeout's own, above 128 are signals.
    [ "$1" -lt 124 ] || [ "$1" -eq 128 ] || return 1
    case $(cat "$2") in
        *'nput/output error'* | *'tale file handle'* | *'ermission denied'* | *'ut of memory'* | *'annot allocate memory'* | *'create thread'* | *'oo many open files'*) return 1 ;;
    esac
}

# find_damage: is anything missing below the refs? Returns 0 with git's words in $damage if so, 1 if not, 2 if that can't be known.
find_damage() {
    damage_code=0
    look_git fsck --connectivity-only --no-dangling --no-progress >"$SCRATCH/fsck" 2>&1 || damage_code=$?
    [ "$damage_code" -ne 0 ] || return 1
    # What it says of an object's content is none of the disk's doing: old commits may be odd.
    damage=$(grep -v -e '^error in ' -e '^warning in ' -e '^notice: ' -e '^warning: ' "$SCRATCH/fsck" | head -n 3 | tr -s ' \n' ' ' || true)
    is_proof "$damage_code" "$SCRATCH/fsck" || return 2
    [ -n "$damage" ]
}

# is_damaged: looks for damage, and mends what can be mended without a server.
is_damaged() {
    damaged_code=0
    find_damage || damaged_code=$?
    if [ "$damaged_code" -eq 0 ]; then
        # These only say faster what the packs say, and are made anew.
        rm -rf "$BASE/objects/info/commit-graph" "$BASE/objects/info/commit-graphs" "$BASE"/objects/pack/multi-pack-index*
        find_damage || damaged_code=$?
        [ "$damaged_code" -ne 1 ] || note 'its commit graph was damaged and is made anew'
    fi
    [ "$damaged_code" -ne 2 ] || note "not checked, as git could not read or was ended ($(last_words "$SCRATCH/fsck"))"
    return "$damaged_code"
}

# set_base_aside: under the lock of fetches. Not while a task is there: its agent's pod may be about to mount the base. Runs repair it when they come upon the damage.
set_base_aside() {
    broken=$((broken + 1))
    aside=$BASE_ROOT/$base_owner/$base_repo.broken.$(now)
    if ! take_lock 9 "$BASE_LOCK"; then
        trouble "base $base_owner/$base_repo is broken ($damage), and its lock is held. Remedy: the next maintenance tries again."
        return 0
    fi
    if [ -n "$(records_of "$base_owner" "$base_repo")" ]; then
        trouble "base $base_owner/$base_repo is broken ($damage), and tasks are on it. Remedy: the next run that comes upon the damage makes the base anew; else the next maintenance sets it aside."
    elif [ ! -e "$aside" ] && mv "$BASE" "$aside"; then
        note "broken ($damage): set aside as $aside, and the next run makes it anew"
    else
        trouble "base $base_owner/$base_repo is broken ($damage) and can't be set aside. Remedy: check that the claim can be written."
    fi
    drop_lock 9
}

# remove_leftovers: under the lock of fetches. What a git that was killed left behind, and nothing that one may be writing.
remove_leftovers() {
    find "$BASE/objects" -mindepth 1 \( -name 'tmp_*' -o -name '.tmp-*' -o -name '*.lock' -o -path '*/pack/*.keep' \) \
        -mmin "+$STALE_MINUTES" -prune -exec rm -rf {} + 2>/dev/null || true
    for leftover in "$BASE"/objects/pack/pack-*; do
        # Without its index a file is no part of the base: the index comes last and goes first.
        if [ ! -e "${leftover%.*}.idx" ]; then
            find "$leftover" -mmin "+$STALE_MINUTES" -exec rm -f {} + 2>/dev/null || true
        fi
    done
}

# ages_in FILE: of a pack's .mtimes (gitformat-pack): a head of 12 bytes, four bytes an object, two hashes of 20 bytes.
ages_in() {
    od -An -v -tu1 "$1" | awk '
        { for (i = 1; i <= NF; i++) byte[count++] = $i }
        END { for (i = 12; i + 44 <= count; i += 4) print ((byte[i] * 256 + byte[i + 1]) * 256 + byte[i + 2]) * 256 + byte[i + 3] }'
}

# list_packs: packs of objects that no ref names in $cruft_packs, all others in $SCRATCH/other-packs. Returns 1 if nothing in the former is old enough to go.
list_packs() {
    cruft_packs=
    list_code=1
    : >"$SCRATCH/other-packs"
    for listed in "$BASE"/objects/pack/pack-*.idx; do
        listed_name=${listed##*/}
        listed_name=${listed_name%.idx}
        case ${listed_name#pack-} in
            *[!0-9a-f]*) continue ;;
        esac
        if [ ! -f "${listed%.idx}.mtimes" ]; then
            printf '%s.pack\n' "$listed_name" >>"$SCRATCH/other-packs"
            continue
        fi
        cruft_packs="$cruft_packs $listed_name"
        if ages_in "${listed%.idx}.mtimes" | awk -v before="$expire_before" '$1 < before { found = 1 } END { exit !found }'; then
            list_code=0
        fi
    done
    return "$list_code"
}

# is_untidy: many packs, or something old enough to go, or an old pack in a base that was used since it was written.
is_untidy() {
    untidy_counts=$(look_git count-objects -v 2>/dev/null | awk '{ value[$1] = $2 } END { print value["packs:"] + 0, value["count:"] + 0 }')
    if [ "${untidy_counts% *}" -gt "$PACKS_AT_MOST" ] || [ "${untidy_counts#* }" -gt "$LOOSE_AT_MOST" ]; then
        return 0
    fi
    ! list_packs || return 0
    for untidy_pack in "$BASE"/objects/pack/pack-*.pack; do
        if [ ! -e "${untidy_pack%.pack}.mtimes" ] && [ "$(modified "$untidy_pack")" -lt "$expire_before" ] &&
            [ "$(modified "$untidy_pack")" -lt "$(modified "$BASE_USED")" ]; then
            return 0
        fi
    done
    return 1
}

# repack: under the lock of fetches. All that refs name into one pack, all else into another with each object's age. Nothing is dropped.
repack() {
    if look_git repack -q -d -l --cruft --cruft-expiration=never --no-write-bitmap-index 2>"$SCRATCH/git-error"; then
        note "repacked ${untidy_counts% *} pack(s) and ${untidy_counts#* } loose object(s)"
        repacked=yes
        tidied=$((tidied + 1))
    else
        note "not repacked: $(last_words "$SCRATCH/git-error")"
    fi
}

# write_commit_graph: under the lock of fetches.
write_commit_graph() {
    look_git commit-graph write --reachable --no-progress 2>"$SCRATCH/git-error" ||
        note "no commit graph written: $(last_words "$SCRATCH/git-error")"
}

# is_graph_old: is there a pack that is younger than the commit graph?
is_graph_old() {
    [ ! -e "$BASE/objects/info/commit-graph" ] ||
        [ -n "$(find "$BASE/objects/pack" -name 'pack-*.pack' -newer "$BASE/objects/info/commit-graph" 2>/dev/null | head -n 1)" ]
}

# list_objects FILE PACK…: their IDs, one a line.
list_objects() {
    objects_file=$1
    shift
    : >"$objects_file"
    for objects_pack in "$@"; do
        git show-index <"$BASE/objects/pack/$objects_pack.idx" >"$SCRATCH/index" 2>/dev/null || return 1
        awk '{ print $2 }' "$SCRATCH/index" >>"$objects_file"
    done
}

# remove_pack PACK: the index first: from then on the rest is no part of the base.
remove_pack() {
    rm -f "$BASE/objects/pack/$1.idx" && rm -f "$BASE/objects/pack/$1".*
}

# choose_old_objects: under the lock of fetches. A pack of what is too young to go, and of all that this needs, is written beside the present ones; its name is in
# $survivors, if it was not there before. Packs that can go then are in $doomed_packs, and the objects that go with them in $SCRATCH/going.
# Returns 1 if nothing goes, or with the reason in $why.
choose_old_objects() {
    survivors=
    staying_pack=
    # Only what this look has just put there: what was put there earlier may have been pinned since.
    if [ "$repacked" = no ] || ! list_packs; then
        return 1
    fi
    if [ -n "$task_refs_unknown" ]; then
        why=$task_refs_unknown
        return 1
    fi
    # An older one may name what goes.
    if is_graph_old; then
        why='the commit graph is not up to date'
        return 1
    fi
    cp "$SCRATCH/other-packs" "$SCRATCH/packs"
    for cruft_pack in $cruft_packs; do
        printf '%s\n' "-$cruft_pack.pack" >>"$SCRATCH/packs"
    done
    if ! survivors=$(look_git pack-objects -q --cruft --cruft-expiration="$expire_before" --non-empty "$BASE/objects/pack/pack" <"$SCRATCH/packs" 2>"$SCRATCH/git-error"); then
        survivors=
        why=$(last_words "$SCRATCH/git-error")
        return 1
    fi
    survivors=${survivors:+pack-$survivors}
    doomed_packs=
    for cruft_pack in $cruft_packs; do
        # The very pack may be there, if all of it stays, or if a maintenance was killed before the removal.
        if [ "$cruft_pack" = "$survivors" ]; then
            survivors=
            staying_pack=$cruft_pack
        else
            doomed_packs="$doomed_packs $cruft_pack"
        fi
    done
    [ -n "$doomed_packs" ] || return 1
    # shellcheck disable=SC2086 # names of packs
    if ! list_objects "$SCRATCH/staying" $survivors $staying_pack || ! list_objects "$SCRATCH/unnamed" $doomed_packs; then
        why="an index can't be read"
        return 1
    fi
    awk 'FILENAME == ARGV[1] { stays[$1]; next } !($1 in stays)' "$SCRATCH/staying" "$SCRATCH/unnamed" >"$SCRATCH/going"
}

# is_wanted_again: under both locks. Is anything in $SCRATCH/going named by what was added since the look? The reason is in $why.
is_wanted_again() {
    if ! list_base_refs "$SCRATCH/roots-now"; then
        why="its refs can't be read any more"
        return 0
    fi
    list_task_refs "$SCRATCH/task-refs-now" || return 0
    cat "$SCRATCH/task-refs-now" >>"$SCRATCH/roots-now"
    awk 'FILENAME == ARGV[1] { known[$1]; next } !($1 in known)' "$SCRATCH/roots" "$SCRATCH/roots-now" >"$SCRATCH/roots-new"
    [ -s "$SCRATCH/roots-new" ] || return 1
    if ! look_git rev-list --objects --stdin --not --all <"$SCRATCH/roots-new" >"$SCRATCH/wanted" 2>"$SCRATCH/git-error"; then
        why="what was pinned meanwhile can't be read ($(last_words "$SCRATCH/git-error"))"
        return 0
    fi
    awk 'FILENAME == ARGV[1] { going[$1]; next } $1 in going { found = 1 } END { exit !found }' "$SCRATCH/going" "$SCRATCH/wanted" || return 1
    why='a task has pinned some of them meanwhile'
}

# drop_old_objects: under the lock of fetches. Which objects go is found out without the base's lock. Under it only what was added since then is looked at, and whole
# packs are removed, which takes moments. A run pins its commit under that lock, after having looked whether it is there: so either its pin is seen here, or it sees
# that the commit is gone.
drop_old_objects() {
    why=
    if choose_old_objects; then
        if ! take_lock 9 "$BASE_LOCK"; then
            why='the lock of the base is held'
        else
            # Not longer than this with the lock in hand.
            base_until=$(($(now) + MOMENT_SECONDS))
            if ! is_wanted_again; then
                rm -f "$BASE"/objects/pack/multi-pack-index*
                for doomed_pack in $doomed_packs; do
                    remove_pack "$doomed_pack"
                done
                survivors=
                note "dropped $(awk 'END { print NR }' "$SCRATCH/going") object(s) that nothing named for $EXPIRE_DAYS days"
            fi
            drop_lock 9
        fi
    fi
    [ -z "$survivors" ] || remove_pack "$survivors"
    [ -z "$why" ] || note "old objects kept: $why"
}

# tidy_refs: under the lock of fetches. Branches that no run has asked for in the days before the base's last use go; a base that rests loses nothing. pack-refs takes
# tags and what was packed before. Short-lived refs stay files: their age can be seen, and their removal touches nothing else.
tidy_refs() {
    if ! take_lock 9 "$BASE_LOCK"; then
        note 'refs left alone: the lock of the base is held'
        return 0
    fi
    base_until=$(($(now) + MOMENT_SECONDS))
    refs_before=$(($(modified "$BASE_USED") - EXPIRE_DAYS * 86400))
    find "$BASE/refs/fetched" -type f ! -name '*.lock' 2>/dev/null | while IFS= read -r fetched; do
        [ "$(modified "$fetched")" -ge "$refs_before" ] || printf 'delete %s\n' "${fetched#"$BASE/"}"
    done >"$SCRATCH/old-refs"
    if [ -s "$SCRATCH/old-refs" ]; then
        if update_base_refs "$SCRATCH/old-refs"; then
            note "forgot $(awk 'END { print NR }' "$SCRATCH/old-refs") branch(es) that runs no longer ask for"
        else
            note "old branches not forgotten: $(last_words "$SCRATCH/git-error")"
        fi
    fi
    timeout "$(left_until "$base_until")" git --git-dir="$BASE" pack-refs 2>"$SCRATCH/git-error" || note "refs not packed: $(last_words "$SCRATCH/git-error")"
    drop_lock 9
}

# maintain_held_base: under the lock of fetches.
maintain_held_base() {
    remove_leftovers
    if [ -e "$BASE/objects/info/alternates" ] || [ -h "$BASE/objects/info/alternates" ]; then
        # Nothing of the stack makes a base lean on other objects.
        damage='objects/info/alternates is there'
        set_base_aside
        return 0
    fi
    refs_code=0
    list_base_refs "$SCRATCH/roots" || refs_code=$?
    if [ "$refs_code" -ne 0 ]; then
        damage=$(last_words "$SCRATCH/git-error")
        if is_proof "$refs_code" "$SCRATCH/git-error"; then
            set_base_aside
        else
            note "left alone: its refs can't be read now ($damage)"
        fi
        return 0
    fi
    make_look
    why=
    task_refs_unknown=
    list_task_refs "$SCRATCH/task-refs" || task_refs_unknown=$why
    cat "$SCRATCH/task-refs" >>"$SCRATCH/roots"
    sort -u "$SCRATCH/roots" >"$SCRATCH/roots-sorted"
    mv "$SCRATCH/roots-sorted" "$SCRATCH/roots"
    make_look
    if is_damaged; then
        damage=$(clean "$damage" 200)
        set_base_aside
        return 0
    fi
    repacked=no
    if is_untidy; then
        repack
    fi
    if is_graph_old; then
        write_commit_graph
    fi
    drop_old_objects
    tidy_refs
    touch "$BASE_MAINTAINED" 2>/dev/null || note "the time of this maintenance can't be noted"
}

# maintain_base OWNER REPO: a line in the log.
maintain_base() {
    base_owner=$1
    base_repo=$2
    notes=
    use_repository "$1" "$2" maintenance
    BASE_MAINTAINED=$BASE_ROOT/$1/$2.maintained
    if ! take_lock 8 "$FETCH_LOCK"; then
        note 'left alone: the lock of fetches is held'
        skipped=$((skipped + 1))
    else
        base_until=$(($(now) + HOLD_SECONDS))
        [ "$base_until" -lt "$maintain_until" ] || base_until=$maintain_until
        if [ -d "$BASE" ]; then
            maintain_held_base
        fi
        drop_lock 8
    fi
    base_kib=$(kib_of "$BASE")
    last_use=$(modified "$BASE_USED")
    if [ "$last_use" -eq 0 ]; then
        last_use='last use unknown'
    else
        last_use="last used $((($(now) - last_use) / 86400)) day(s) ago"
    fi
    say "base $1/$2: $(mebibytes "${base_kib:-0}"), $last_use${notes:+: $notes}"
}

# list_bases WHICH: lines "SECONDS OWNER REPO", the longest ago first: when each was last used, or maintained.
list_bases() {
    for listed in "$BASE_ROOT"/*/*.git; do
        listed_repo=${listed##*/}
        listed_repo=${listed_repo%.git}
        listed_owner=${listed%/*}
        listed_owner=${listed_owner##*/}
        if [ ! -d "$listed" ] || [ -h "$listed" ] || ! is_owner "$listed_owner" || ! is_repository "$listed_repo"; then
            continue
        fi
        listed_at=$(modified "${listed%.git}.$1")
        if [ "$1" = used ] && [ "$listed_at" -eq 0 ]; then
            listed_at=$(modified "$listed")
        fi
        printf '%s %s %s\n' "$listed_at" "$listed_owner" "$listed_repo"
    done | sort -n
}

# measure_claim: $claim_percent, by the files of the claim or by its file system, whichever is fuller; $claim_words tells both.
measure_claim() {
    claim_kib=$(kib_of "$BASE_ROOT" "$TREES_ROOT")
    disk_percent=$(df -P -k "$BASE_ROOT" 2>/dev/null | awk 'END { if ($(NF - 3) + $(NF - 2) > 0) printf "%d", $(NF - 3) * 100 / ($(NF - 3) + $(NF - 2)) }')
    claim_percent=$(awk -v kib="${claim_kib:-0}" -v size="$CLAIM_SIZE_BYTES" 'BEGIN { printf "%d", kib * 1024 * 100 / size }')
    claim_words="$CLAIM_NAME holds $(mebibytes "${claim_kib:-0}") of $(mebibytes "$((CLAIM_SIZE_BYTES / 1024))") ($claim_percent %), its file system is ${disk_percent:-?} % full"
    [ -n "$claim_kib" ] || claim_words="$claim_words (the files could not be counted in time)"
    [ "${disk_percent:-0}" -le "$claim_percent" ] || claim_percent=$disk_percent
}

# remove_evicted PATH: in a subshell, as what can't be removed must not end the job.
remove_evicted() {
    (remove_folder "$1" 'evicted base') 2>"$SCRATCH/evict-error" || trouble "$(last_words "$SCRATCH/evict-error")"
}

# evict OWNER REPO: if no task is on it. By its new name whoever finds it removes it, so the long removal needs no lock.
evict() {
    use_repository "$1" "$2" maintenance
    evict_path=
    take_lock 8 "$FETCH_LOCK" || return 1
    if take_lock 9 "$BASE_LOCK"; then
        evict_path=$BASE_ROOT/$1/$2.evicted.$(now)
        if [ -z "$(records_of "$1" "$2")" ] && [ ! -e "$evict_path" ] && mv "$BASE" "$evict_path" 2>/dev/null; then
            rm -f "$BASE_USED" "$BASE_ROOT/$1/$2.maintained"
        else
            evict_path=
        fi
        drop_lock 9
    fi
    drop_lock 8
    [ -n "$evict_path" ] || return 1
    remove_evicted "$evict_path"
}

# make_room: idle bases by least recent use, until the claim is no fuller than it may be.
make_room() {
    measure_claim
    if [ "$claim_percent" -le "$EVICT_ABOVE_PERCENT" ]; then
        return 0
    fi
    say "$claim_words; above $EVICT_ABOVE_PERCENT %, so idle bases go"
    list_bases used >"$SCRATCH/by-use"
    while read -r used_at used_owner used_repo <&3; do
        if is_past "$maintain_until"; then
            break
        fi
        if evict "$used_owner" "$used_repo"; then
            evicted=$((evicted + 1))
            say "base $used_owner/$used_repo: evicted, last used $((($(now) - used_at) / 86400)) day(s) ago"
            measure_claim
            [ "$claim_percent" -gt "$EVICT_ABOVE_PERCENT" ] || return 0
        fi
    done 3<"$SCRATCH/by-use"
    trouble "$claim_words; all idle bases are gone. Remedy: enlarge storage.shared.size, or the file system that the claim is on; or raise gitMaintenance.evictAbovePercent."
}

for old in "$BASE_ROOT"/*/*.evicted.*; do
    case ${old##*.evicted.} in
        *[!0-9]*) ;;
        *) remove_evicted "$old" ;;
    esac
done
list_bases maintained >"$SCRATCH/bases"
while read -r _ one_owner one_repo <&3; do
    if is_past "$maintain_until"; then
        unreached=$((unreached + 1))
    else
        maintain_base "$one_owner" "$one_repo"
    fi
done 3<"$SCRATCH/bases"
make_room
say "$(awk 'END { print NR }' "$SCRATCH/bases") base(s): $tidied repacked, $broken broken, $skipped left alone, $unreached not reached in $DEADLINE_SECONDS s, $evicted evicted; $claim_words"
if [ "$troubles" -gt 0 ]; then
    fail "$first_trouble$([ "$troubles" -eq 1 ] || printf ' (and %s more in the log)' "$((troubles - 1))")"
fi
