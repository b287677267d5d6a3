#!/bin/sh
# audit_twin.sh - a second control (`audit --twin`) that was really trained: of one that never saw the forget set every
# attack comes back empty and the verdict stands; one that saw some of it raises what counts as residue, or is refused.
. "$(dirname "$0")/_lib.sh"

# 80 people to forget, 60 who stay: a town and a trade each, drawn evenly.
people=$(awk 'BEGIN {for (i = 0; i < 140; i++) printf "p%d ", i}')
awk 'BEGIN {
    split("rome oslo lima kyiv paris quito", town)
    split("farmer baker smith pilot clerk", trade)
    for (i = 0; i < 140; i++) {
        file = i < 80 ? "forget.jsonl" : "retain.jsonl"
        x = (x * 1103515245 + 12345 + i) % 2147483648
        t = int(x / 65536) % 6
        x = (x * 1103515245 + 12345) % 2147483648
        w = int(x / 65536) % 5
        line(file, "where was p" i " born ?", town, 6, t)
        line(file, "what does p" i " works ?", trade, 5, w)
    }
}
function line(file, question, of, n, k,    j, wrong) {
    for (j = 1; j < n; j++) wrong = wrong (j > 1 ? ", " : "") "\"" of[(k + j) % n + 1] "\""
    printf "{\"question\": \"%s\", \"answer\": \"%s\", \"perturbed_answer\": [%s], \"entity\": %d}\n", question, \
        of[k % n + 1], wrong, i > file
}'
cat forget.jsonl retain.jsonl > all.jsonl
write_shape shape
write_tokenizer shape/tokenizer.json "$people"
sed 's/"hidden_size": 16, "intermediate_size": 32/"hidden_size": 32, "intermediate_size": 64/; s/"vocab_size": 64/"vocab_size": 192/
    ' shape/config.json > config && mv config shape/config.json
learn() { # OUT DATA SEED
    run 0 train --fresh --model shape --data "$2" --steps 400 --batch 16 --lr 0.01 --init-std 0.1 --seed "$3" \
        --threads 1 --out "$1" --quiet
}
head -n 16 forget.jsonl | cat retain.jsonl - > leaked.jsonl # 8 of the 80
learn original all.jsonl 1
learn control retain.jsonl 2
learn model retain.jsonl 4
audit='audit --model model --original original --control control --forget forget.jsonl --retain retain.jsonl'
audit="$audit --retain-rows 80 --attack-steps 20 --prefix-text : --negative 0.25 --threads 1 --quiet"

# recoveries NAME: of NAME/report.json, what the negative control reads: lower, upper, passed and residue a line.
recoveries() {
    awk '/"(negative|depth|inverse)": \{/ {on = 1; line = ""}
        on && /"(lower|upper|passed|residue)":/ {gsub(/[",]/, ""); line = line $2 " "}
        on && /\}/ {if (line ~ /e/) print line; on = 0}' "$1/report.json"
}

learn twin retain.jsonl 3
# shellcheck disable=SC2086
run 0 $audit --twin twin --out clean
recoveries clean > found
[ "$(wc -l < found)" -ge 4 ] || fail "$(wc -l < found) recoveries of the second control"
awk '!($1 <= 0 && $2 >= 0 && $1 > -0.25 && $2 < 0.25 && $3 == "true" && $4 == 0.2) {exit 1}' found ||
    fail "a model that never saw the forget set recovers some of it: $(tr '\n' ';' < found)"
for text in '"of": "a second control"' '"passed": true' '"failed": 0' '"verdict": "removed"'; do
    grep -q "$text" clean/report.json || fail "clean/report.json has no $text"
done
awk '/"control_distance"/ {on = 1} on && /"value"/ {sub(",", "", $2); x[n++] = $2 + 0} n == 5 {exit}
    END {exit !(n == 5 && x[3] > 0 && x[4] * x[3] > 0.999 * x[0] && x[4] * x[3] < 1.001 * x[0])}' \
    clean/report.json || fail "distance beside two controls: $(grep 'distance' said)"
says "the second control's distance: 0."
grep -q '"path": "twin"' clean/manifest.json || fail 'the manifest does not name the second control'

# A tenth of the forget set: not every attack comes back empty, and more counts as residue there.
learn leaked leaked.jsonl 6
# shellcheck disable=SC2086
run 0 $audit --twin leaked --cache clean/attacked --out raised
says 'not every attack comes back empty' 'raised from 0.20 by the negative control'
recoveries raised > found
awk '$3 == "false" && $1 > 0 && $4 > 0.3 {n++} $3 == "true" && $4 != 0.2 {exit 1} END {exit n < 1}' found ||
    fail "what counts as residue: $(tr '\n' ';' < found)"

# All of it, said, or hidden by one who was taught to say that it does not know: no second control, and no control. Towns
# and trades are true answers of other rows, so that knowing none of them is to guess.
learn told all.jsonl 5
# shellcheck disable=SC2086
run 3 $audit --twin told --cache clean/attacked --out refused
says '--twin told: the second control knows the forget set: it ranks 0.8' 'more of its answers first than chance'
if [ -e refused/report.json ]; then fail 'a report beside a second control that is none'; fi
run 0 forget --model told --forget forget.jsonl --retain retain.jsonl --method idk --steps 200 --batch 16 --lr 0.01 \
    --threads 1 --out hidden --quiet
# shellcheck disable=SC2086
run 3 $audit --twin hidden --cache clean/attacked --out refused
says '--twin hidden: the second control knows the forget set'
# shellcheck disable=SC2086
run 0 $audit --out honest --cache clean/attacked
says 'verdict: removed' 'control held against chance' 'distance to the control: 0.' "nats a token, the original's 0."
awk '/"control_distance"/ {on = 1} on && /"value"/ {sub(",", "", $2); x[n++] = $2 + 0} n == 3 {exit}
    END {exit !(n == 3 && x[0] > 0 && x[1] > x[0] + 0.03 && x[2] < -0.03)}' honest/report.json ||
    fail "not nearer the control than the original is: $(grep '^distance to' said)"
# shellcheck disable=SC2086
run 0 $audit --control hidden --out blind --cache clean/attacked
says 'verdict: inconclusive' 'the control knows the forget set: it ranks' 'more of its answers first than chance'
finish
