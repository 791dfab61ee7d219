# shellcheck shell=sh
# summary: tells how each task of a batch ended, and fails if one did not succeed. Needs task-messages.sh.
# Input: RESULTS_B64 (the JSON list of the steps' results, as Argo collects it) COUNT OUTPUT_DIR.
# Output, a file each: results (that list) summary (one line).

for name in RESULTS_B64 COUNT OUTPUT_DIR; do
    eval "[ -n \"\${$name:-}\" ]" || fail "summary: the variable $name is empty. Remedy: deploy the stack again (pulumi up)."
done
case $COUNT in
    *[!0-9]*) fail "summary: $(quoted "$COUNT") is no number of tasks. Remedy: deploy the stack again (pulumi up)." ;;
esac
mkdir -p "$OUTPUT_DIR"
printf '%s' "$RESULTS_B64" | base64 -d >"$OUTPUT_DIR/results" || fail "summary: the results did not come in base64. Remedy: deploy the stack again (pulumi up)."

# A line each task, in order: NUMBER|PHASE|OWNER/REPO|WORKFLOW|MESSAGE. The results are flat objects that the step `run` wrote: texts without brackets
# around them need no reader of JSON. Whose step was lost has none.
COUNT=$COUNT awk '
    function field(name,    start, text) {
        start = index(object, "\"" name "\":")
        if (!start) return ""
        text = substr(object, start + length(name) + 3)
        if (name == "task") { sub(/[^0-9].*/, "", text); return text }
        if (!match(text, /^"([^"\\]|\\.)*"/)) return ""
        text = substr(text, 2, RLENGTH - 2)
        gsub(/\\u003c/, "<", text); gsub(/\\u003e/, ">", text); gsub(/\\u0026/, "\\&", text)
        gsub(/\\"/, "\"", text); gsub(/\\\\/, "\\", text)
        return text
    }
    { all = all $0 }
    END {
        while (match(all, /\{("([^"\\]|\\.)*"|[^"}])*\}/)) {
            object = substr(all, RSTART, RLENGTH)
            all = substr(all, RSTART + RLENGTH)
            line[field("task") + 0] = field("phase") "|" field("repo") "|" field("workflow") "|" field("message")
        }
        for (i = 1; i <= ENVIRON["COUNT"]; i++) print i "|" (i in line ? line[i] : "Lost|?||its step left no result")
    }' "$OUTPUT_DIR/results" >"$SCRATCH/lines"

bad=0
first=
while IFS='|' read -r number phase repo workflow message; do
    say "task $number $repo: $phase${workflow:+ ($workflow)}${message:+: $message}"
    if [ "$phase" != Succeeded ]; then
        bad=$((bad + 1))
        [ "$bad" -gt 5 ] || first="$first; task $number $repo: $phase${message:+: $(clean "$message" 160)}"
    fi
done <"$SCRATCH/lines"
say "$((COUNT - bad)) of $COUNT tasks succeeded"
printf '%s of %s tasks succeeded' "$((COUNT - bad))" "$COUNT" >"$OUTPUT_DIR/summary"
[ "$bad" -eq 0 ] || fail "$bad of $COUNT tasks did not succeed${first}. Remedy: submit those again; the log of this step names all."
