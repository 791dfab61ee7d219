# shellcheck shell=sh
# How full the shared claim is. Needs task-messages.sh.
# Input: BASE_ROOT TREES_ROOT CLAIM_SIZE_BYTES (what the claim asks for) USAGE_TIMEOUT_SECONDS.

# measure_claim: $claim_used and $claim_size in bytes. A volume that is a file system of its own tells at once; where it is a folder of a bigger one
# (local-path, NFS exports), its files are counted, and $claim_used is empty if that takes too long.
# shellcheck disable=SC2034 # for the caller
measure_claim() {
    claim_used=
    claim_size=$CLAIM_SIZE_BYTES
    # "filesystem size used …" in KiB
    measure_line=$(df -P -k "$BASE_ROOT" 2>/dev/null | awk 'NR == 2 { print $(NF - 4), $(NF - 3) }')
    if [ -n "$measure_line" ] && [ "$((${measure_line% *} * 1024))" -le "$((CLAIM_SIZE_BYTES * 2))" ]; then
        claim_size=$((${measure_line% *} * 1024))
        claim_used=$((${measure_line#* } * 1024))
        return 0
    fi
    measure_sum=$(timeout "$USAGE_TIMEOUT_SECONDS" du -s -k "$BASE_ROOT" "$TREES_ROOT" 2>/dev/null | awk '{ sum += $1; lines++ } END { if (lines == 2) print sum }')
    [ -z "$measure_sum" ] || claim_used=$((measure_sum * 1024))
}
