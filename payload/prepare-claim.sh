# shellcheck shell=sh
# prepare: makes the folders of a claim, once, and proves that it can do what the steps need. Needs task-messages.sh and base-lock.sh.
# Input: CLAIM_ROOT (where the whole claim is mounted).

[ -n "${CLAIM_ROOT:-}" ] || fail "prepare-claim: the variable CLAIM_ROOT is empty. Remedy: deploy the stack again (pulumi up)."

mkdir -p "$CLAIM_ROOT/base/.tasks" "$CLAIM_ROOT/base/.kept" "$CLAIM_ROOT/trees" 2>"$SCRATCH/error" || fail_storage "folders of the claim" "$SCRATCH/error"

probe=$(mktemp "$CLAIM_ROOT/base/.probe.XXXXXX" 2>"$SCRATCH/error") || fail_storage "a file on the claim" "$SCRATCH/error"
(printf 'probe\n' >"$probe") 2>"$SCRATCH/error" || fail_storage "a file on the claim" "$SCRATCH/error"
[ "$(cat "$probe")" = probe ] || fail "claim: what was written is not read back. Remedy: use another storage class for storage.shared."
ln "$probe" "$probe.link" 2>"$SCRATCH/error" ||
    fail "claim: hard links don't work ($(clean "$(cat "$SCRATCH/error")" 200)), and task ids are claimed by them. Remedy: use a storage class with a POSIX file system."

# Two descriptors of the same file, as two pods have: the second must be turned away while the first holds the lock.
exec 9>>"$probe" 8>>"$probe"
flock -n 9 || fail "claim: flock doesn't work. Remedy: use a storage class with locks (NFS: without nolock or local_lock)."
if flock -n 8; then
    fail "claim: flock lets two in at once. Remedy: use a storage class with locks (NFS: without nolock or local_lock)."
fi
flock -u 9
flock -n 8 || fail "claim: a lock isn't given up. Remedy: use a storage class with locks (NFS: without nolock or local_lock)."
exec 9>&- 8>&-

rm -f "$probe" "$probe.link" 2>"$SCRATCH/error" || fail_storage "deletion on the claim" "$SCRATCH/error"
[ ! -e "$probe" ] || fail "claim: a deleted file is still there. Remedy: use another storage class for storage.shared."
say "claim $CLAIM_ROOT: folders made; write, link, lock and delete work"
