#!/bin/sh
# columns.sh - the columns of an evaluation: the same file at batch size 1, 4 and 64 and with 1 and 2 threads, metrics computed again
# from it are byte for byte those of the run, the shell can read it, broken files are named.
. "$(dirname "$0")/_lib.sh"
tiny_world
for f in forget retain; do
    sed 's/"answer": "\([a-z]*\)",/"answer": "\1", "paraphrased_answer": "lives \1",/' $f.jsonl > told
    mv told $f.jsonl
done
sed 's/where was/who was/' forget.jsonl > holdout01.jsonl
mkdir tofu
cp forget.jsonl tofu/forget01_perturbed.json
cp retain.jsonl tofu/retain_perturbed.json
cp retain.jsonl tofu/real_authors_perturbed.json
cp retain.jsonl tofu/world_facts_perturbed.json
cp holdout01.jsonl tofu/holdout01.json
run 0 train --fresh --model shape --data retain.jsonl --steps 30 --batch 8 --lr 0.02 --init-std 0.1 --out control --quiet
all="eval --model model --reference-model model --control control --samples 5 --temperature 1.5 --top-p 0.9 --tofu tofu --split forget01 --max-new 6 --metrics all --quiet"

run 0 $all --threads 2 --out e
n=0
for how in '--batch 1 --batch-tokens 16' '--batch 4 --batch-tokens 64' '--batch 64'; do
    for threads in 1 2; do
        n=$((n + 1))
        run 0 $all $how --threads $threads --out e$n
        same e/columns.sqlite e$n/columns.sqlite "columns with $how, $threads threads"
        same e/TOFU_EVAL.json e$n/TOFU_EVAL.json "results with $how, $threads threads"
    done
done
run 0 $all --precision bf16 --out other
if cmp -s e/columns.sqlite other/columns.sqlite; then fail 'another precision gives the same columns'; fi

# Who the rows are about: six of TOFU's invented author are one person's, and have no interval; the real ones are many.
mkdir unsaid
for f in tofu/*.json; do sed 's/, "entity": [0-9]*//' "$f" > "unsaid/${f#tofu/}"; done
run 0 eval --model model --tofu unsaid --split forget01 --metrics probability --quiet
grep -q '^forget_Q_A_Prob  *[0-9.]*  *lower$' said || fail 'an interval from one person'
grep -q '^ra_Q_A_Prob  *[-e0-9.]*  *[-e0-9.]* \.\. ' said || fail 'no interval from real authors'

# Rows that nobody was taught, beside own data and in the place of TOFU's.
mia='--metrics mia_loss,mia_min_k,privleak --quiet'
# shellcheck disable=SC2086
run 0 eval --model model --tofu tofu --split forget01 $mia --out mia
# shellcheck disable=SC2086
run 0 eval --model model --forget forget.jsonl --holdout holdout01.jsonl $mia --out mia2
same mia/TOFU_EVAL.json mia2/TOFU_EVAL.json "TOFU's holdout and the same rows with --holdout"
# shellcheck disable=SC2086
run 0 eval --model model --tofu tofu --split forget01 --holdout forget.jsonl $mia --json
says '"mia_loss": 0.5' '"privleak": 0.0'
refuses 2 x --columns --holdout -- eval --columns e/columns.sqlite --holdout holdout01.jsonl

run 0 $all --seed 1 --out seed
if cmp -s e/columns.sqlite seed/columns.sqlite; then fail 'another seed samples the same answers'; fi
run 0 eval --model model --control model --tofu tofu --split forget01 --max-new 6 --metrics kl_divergence,prediction_agreement --json --quiet
says '"forget_KL": 0.0' '"forget_agreement": 1.0' '"weights": 0.0'
[ "$(tr -d ' \n' < said | grep -o '"forget":\[[0-9.,]*\]' | head -n 1)" = '"forget":[1.0,1.0]' ] ||
    grep -q '"forget": \[' said || fail 'no CKA'

# How deep it sits, beside the control: in the original's states all is read, in the control's nothing more than there.
depth='--control control --original model --forget forget.jsonl --max-new 6 --metrics kl_divergence --json --quiet'
# shellcheck disable=SC2086
run 0 eval --model model $depth
says '"uds": 0.0' '"rows": 5' '"by_layer": ['
# shellcheck disable=SC2086
run 0 eval --model control $depth
says '"uds": 1.0'
run 0 train --model model --data retain.jsonl --steps 3 --batch 4 --lr 0.003 --out between --quiet
# shellcheck disable=SC2086
run 0 eval --model between $depth
if grep -q '"uds": [01]\.0' said; then fail 'a model between the two is one of them'; fi
# shellcheck disable=SC2086
run 0 eval --model between $depth --patch-tau 50
if grep -q '"uds"' said; then fail 'a depth score without a layer that counts'; fi
says '"rows": 0'
refuses 2 x '--original' '--control' -- eval --model model --original model --forget forget.jsonl
refuses 2 x '--original' 'forget rows' -- eval --model model --original model --control control --retain retain.jsonl

# Again without the model: the same results, and the same file of columns.
mv model hidden
run 0 eval --columns e/columns.sqlite --metrics all --quiet --out again
same e/TOFU_EVAL.json again/TOFU_EVAL.json 'results of the run and of its columns'
same e/TOFU_SUMMARY.json again/TOFU_SUMMARY.json 'aggregates of the run and of its columns'
same e/columns.sqlite again/columns.sqlite 'columns read and written'
for name in forget_KL forget_JS retain_agreement forget_leak_at_all forget_leak_bound mia_gradnorm mia_reference forget_Q_A_PARA_ROUGE model_utility privleak; do grep -q "\"$name\"" again/TOFU_SUMMARY.json || fail "no $name"; done
run 0 eval --columns e/columns.sqlite --reference-logs e/TOFU_EVAL.json --metrics forget_quality,rouge
says 'forget_quality' 1.0000 forget_Q_A_ROUGE
run 0 eval --columns e/columns.sqlite --original-logs e/TOFU_EVAL.json --metrics aggregate
says "the original's utility is 0" 'it compares with a retrained control'
mv hidden model

# leak@k of k drawn answers: k = 1 and all as they are without the flag, k = 2 by going through all pairs of the answers' scores.
agg() {
    tr -d '\n ' < "$1" | grep -o "\"$2\":\({\"agg_value\":\)\?[-0-9.e]*" | grep -o '[-0-9.e]*$'
}
mv model hidden
run 0 eval --columns e/columns.sqlite --metrics leak_at_k --leak-k 1,2,5,2 --quiet --out leak
[ "$(agg leak/TOFU_SUMMARY.json forget_leak_at_5)" = "$(agg leak/TOFU_SUMMARY.json forget_leak_at_all)" ] || fail 'the best of all 5'
pairs=$(tr -d '\n ' < leak/TOFU_EVAL.json | sed 's/.*"forget_sample_ROUGE":{//; s/"forget_[a-zR].*//' |
    grep -o '"rougeL_recall":\[[^]]*' | sed 's/.*\[//' |
    awk -F, '{for (i = 1; i < NF; i++) for (j = i + 1; j <= NF; j++) {s += $i > $j ? $i : $j; n++}} END {printf "%.9f", s / n}')
[ "$(agg leak/TOFU_SUMMARY.json forget_leak_at_2 | awk '{printf "%.9f", $1}')" = "$pairs" ] || fail "leak@2, by pairs $pairs"
run 0 eval --logs leak/TOFU_EVAL.json --reference-logs leak/TOFU_EVAL.json
grep -q "^forget_leak_at_2  *$(echo "$pairs" | awk '{printf "%.4f", $1}')" said || fail 'leak@2 from the log'
refuses 2 x '5 samples are too few for k = 6' -- eval --columns e/columns.sqlite --leak-k 6
refuses 2 x '--leak-k 8' '--samples 4' 'at least 8' -- eval --model model --forget forget.jsonl --samples 4 --leak-k 8
refuses 2 x '--leak-k 2' '--samples 0' -- eval --model model --forget forget.jsonl --leak-k 2
refuses 2 x '--leak-k' '"0"' -- eval --columns e/columns.sqlite --leak-k 2,0
mv hidden model
refuses 2 x '--leak-k' '--samples' -- eval --model model --forget forget.jsonl --leak-k 2

# The benchmarks beside TOFU: one file a run, their results again from it, text for text.
mkdir muse muse/knowmem muse/verbmem muse/privleak rwku
printf '[{"question": "where was %s born ?", "answer": "rome"}, {"question": "what ?", "answer": "oslo"}]' ana \
    > muse/knowmem/forget_qa.json
cp muse/knowmem/forget_qa.json muse/knowmem/retain_qa.json
printf '[{"question": "where was eve born ?", "answer": "paris"}]' | tee muse/knowmem/forget_qa_icl.json \
    > muse/knowmem/retain_qa_icl.json
printf '[{"prompt": "Question : where was ana", "gt": "born ? Answer : rome"}]' > muse/verbmem/forget.json
printf '["ana was born ? rome", "bob works baker"]' > muse/privleak/forget.json
printf '["hal was born ? kyiv", "gus works clerk"]' > muse/privleak/holdout.json
printf '[{"query": "where was %s born ?", "answer": "rome", "type": "%s"},' ana b ana 'a a' bob b |
    sed 's/},\[/},/g; s/,$/]/' > rwku/forget_level3.json
printf '[{"query": "where was hal born ?", "answer": "oslo"}]' > rwku/neighbor_level2.json
i=0
for who in ana bob cid; do
    printf '{"question": "where was %s born ?", "choices": ["rome", "oslo", "lima"], "answer": %d}\n' $who $i
    i=$((i + 1))
done > towns.jsonl
run 0 eval --model model --choices towns.jsonl,towns.jsonl --cloze --muse muse --rwku rwku --quiet --out bench
for role in choices 'choices 2' 'in-context examples 2' forget_level3; do
    grep -q "\"$role\": {" bench/manifest.json || fail "the manifest names no $role"
done
run 0 eval --model model --muse muse --match open-unlearning --quiet --out stem
mv model hidden
run 0 eval --columns bench/columns.sqlite --out bench2
says forget_verbmem_ROUGE privleak forget_level3_a_a towns_cloze_acc_norm all_acc
run 0 eval --columns stem/columns.sqlite --quiet --out stem2
for f in MUSE RWKU CHOICES; do
    same bench/${f}_EVAL.json bench2/${f}_EVAL.json 'results of the run and of its columns'
    same bench/${f}_SUMMARY.json bench2/${f}_SUMMARY.json 'aggregates of the run and of its columns'
done
same stem/MUSE_EVAL.json stem2/MUSE_EVAL.json 'with --match open-unlearning'
same bench/columns.sqlite bench2/columns.sqlite 'columns read and written'
for f in MUSE RWKU CHOICES; do # and from the rows of their logs
    run 0 eval --logs bench/${f}_EVAL.json --json --quiet
    grep '"agg_value"\|"recorded"' said | tr -d ' ,' | sed 's/.*://' |
        awk 'NR % 2 {x = $0; next} x != $0 {print x, $0}' > apart
    [ ! -s apart ] || fail "$f: $(head -n 1 apart)"
done
sed 's/"agg_value": [0-9.]*/"agg_value": 0.123/' bench/RWKU_EVAL.json > wrong.json
run 0 eval --logs wrong.json
says 'forget_level3_a_a: the log says 0.123' 'forget_level3: the log says 0.123'
run 0 eval --logs bench/MUSE_EVAL.json
says 'privleak' 'as it stands'
if grep -q '^mia_min_k.*as it stands' said; then fail 'the AUC of a MUSE log is not computed from its rows'; fi
run 0 eval --logs bench/MUSE_EVAL.json --reference-logs bench/MUSE_EVAL.json --json
[ "$(agg said privleak)" = 0.0 ] || fail "privleak beside the model itself: $(agg said privleak)"
sed 's/"gold": 1/"gold": 7/' bench/CHOICES_EVAL.json > wrong.json
refuses 3 - wrong.json towns_acc 'row "1"' -- eval --logs wrong.json
run 0 eval --columns bench/columns.sqlite --reference-logs bench/MUSE_EVAL.json --json --quiet
says '"privleak": 0.0'
refuses 2 x --columns --muse -- eval --columns bench/columns.sqlite --muse muse
mv hidden model

# --metrics: those and no other, with the numbers of the whole run; what gives none of them is not asked.
names() { grep -o '"[^"]*":' "$1" | tr -d '":' | sort | tr '\n' ' '; }
bench='eval --model model --choices towns.jsonl,towns.jsonl --cloze --muse muse --rwku rwku --quiet'
# shellcheck disable=SC2086
only() { # WANTED STEM LIST
    rm -rf only
    run 0 $bench --metrics "$3" --out only
    [ "$(names only/"$2"_SUMMARY.json)" = "$1 " ] || fail "--metrics $3 gives $(names only/"$2"_SUMMARY.json)"
    for n in $1; do
        [ "$(agg "only/$2_SUMMARY.json" "$n")" = "$(agg "bench/$2_SUMMARY.json" "$n")" ] || fail "$n is another number"
    done
    rm -rf only2
    run 0 eval --columns bench/columns.sqlite --metrics "$3" --quiet --out only2
    same "only/$2_EVAL.json" "only2/$2_EVAL.json" "--metrics $3 from columns"
}
only 'forget_verbmem_ROUGE privleak' MUSE privleak,forget_verbmem_ROUGE
[ "$(find only -name '*_EVAL.json')" = only/MUSE_EVAL.json ] || fail 'logs of benchmarks that nothing is asked of'
for role in choices forget_level3 forget_knowmem_ROUGE; do
    if grep -q "\"$role\": {" only/manifest.json; then fail "asked for nothing of $role and read it"; fi
done
run 0 eval --columns only/columns.sqlite
for text in forget_verbmem_ROUGE mia_min_k privleak; do says $text; done
if grep -q 'knowmem\|_acc\|forget_level' said; then fail 'passes that give nothing named were run'; fi
only 'all_acc_calibrated towns_acc_calibrated' CHOICES acc_calibrated
only 'all_cloze_acc' CHOICES all_cloze_acc
only 'forget_level3_a_a neighbor_level2' RWKU neighbor_level2,forget_level3_a_a
only 'forget_level3 forget_level3_a_a forget_level3_b neighbor_level2' RWKU rouge
[ "$(names only/MUSE_SUMMARY.json)" = 'forget_knowmem_ROUGE forget_verbmem_ROUGE retain_knowmem_ROUGE ' ] || fail rouge
# shellcheck disable=SC2086
refuses 2 x --metrics '"forget_knowmem_ROGUE"' 'did you mean "forget_knowmem_ROUGE"?' -- \
    $bench --metrics privleak,forget_knowmem_ROGUE
refuses 2 x --metrics '"forget_Q_A_Prob"' 'it gives towns_acc, choice_accuracy, acc' -- \
    eval --model model --choices towns.jsonl --metrics forget_Q_A_Prob
refuses 2 x --metrics 'did you mean "forget_level3"?' -- eval --columns bench/columns.sqlite --metrics forget_levl3
refuses 2 x --muse --tofu -- eval --model model --muse muse --tofu tofu
refuses 2 x --columns --leak-k -- eval --columns bench/columns.sqlite --leak-k 2

# A run that wrote no perturbed answers has no columns of them.
sed 's/, "perturbed_answer.*\], /, /; s/"paraphrased_answer": "[^"]*", //' forget.jsonl > plain.jsonl
run 0 eval --model model --forget plain.jsonl --metrics probability,exact_memorization --quiet --out some
refuses 2 x forget_Q_A_ROUGE 'no column ground_truth of "forget"' -- eval --columns some/columns.sqlite --metrics forget_Q_A_ROUGE
refuses 2 x --columns --model -- eval --columns some/columns.sqlite --model model

# Sampled generation: the same text at any batch size and thread count; a seed and a temperature do something.
draw="generate --model model --data all.jsonl --max-new 8 --json --quiet"
run 0 $draw --temperature 2 --seed 3 --batch 1 --threads 1
cp said drawn
for how in '--batch 4 --threads 2' '--batch 64 --threads 1'; do
    run 0 $draw --temperature 2 --seed 3 $how
    same drawn said "sampled with $how"
done
for how in '--temperature 2 --seed 4' '--temperature 0' '--temperature 2 --seed 3 --top-k 2' '--temperature 2 --seed 3 --top-p 0.3'; do
    run 0 $draw $how
    if cmp -s drawn said; then fail "$how changes nothing"; fi
done

# The same rows from a CSV file.
{ echo question,answer,entity && sed 's/.*"question": "\([^"]*\)", "answer": "\([^"]*\)".*"entity": \([0-9]*\).*/\1,\2,\3/' forget.jsonl; } > forget.csv
run 0 eval --model model --forget forget.csv --metrics probability,exact_memorization --quiet --out csv
same some/TOFU_EVAL.json csv/TOFU_EVAL.json 'rows from JSON lines and from CSV'

# Broken files.
head -c 5000 e/columns.sqlite > cut.sqlite
refuses 3 - cut.sqlite -- eval --columns cut.sqlite
printf 'not a database, but long enough to be read as the header of one ...........................................' > no.sqlite
refuses 3 - no.sqlite 'columns.sqlite of `unlearn eval`' -- eval --columns no.sqlite
: > empty.sqlite
refuses 3 - empty.sqlite -- eval --columns empty.sqlite
refuses 3 - absent.sqlite -- eval --columns absent.sqlite

if command -v sqlite3 > /dev/null 2>&1; then
    # break NAME SQL
    break_it() { cp e/columns.sqlite "$1.sqlite" && sqlite3 "$1.sqlite" "$2"; }
    [ "$(sqlite3 e/columns.sqlite 'SELECT count(*) FROM pass')" -ge 9 ] || fail 'few passes'
    [ "$(sqlite3 e/columns.sqlite "SELECT count(*) FROM loss WHERE data = 'forget' AND field = 'perturbed_answer'")" = 12 ] || fail 'the view'
    break_it null 'UPDATE answer SET grad_norm = NULL WHERE pass = 0 AND row = 3'
    refuses 3 - null.sqlite 'row 3' grad_norm missing -- eval --columns null.sqlite
    break_it inf 'UPDATE token SET logp = -9e999 WHERE pass = 0 AND row = 2'
    refuses 3 - inf.sqlite 'row 2' logp -- eval --columns inf.sqlite
    break_it word "UPDATE token SET logp = 'low' WHERE pass = 0 AND row = 2"
    refuses 3 - word.sqlite 'row 2' logp -- eval --columns word.sqlite
    break_it gap 'DELETE FROM row WHERE pass = 0 AND row = 1'
    refuses 3 - gap.sqlite '5 rows, 6 answers' -- eval --columns gap.sqlite
    break_it lost 'DELETE FROM answer WHERE pass = 0 AND row = 5'
    refuses 3 - lost.sqlite -- eval --columns lost.sqlite
    break_it token 'DELETE FROM token WHERE pass = 0 AND row = 1 AND token = 0'
    refuses 3 - token.sqlite 'row 1' -- eval --columns token.sqlite
    break_it version 'PRAGMA user_version = 7'
    refuses 3 - version.sqlite 'version of its tables is 7' -- eval --columns version.sqlite
    ask_it() { sqlite3 bench/columns.sqlite "SELECT $1 JOIN pass USING (pass) WHERE data = '$2'"; }
    [ "$(ask_it 'count(*) FROM answer' choices/towns)" = 36 ] || fail 'options of two files, with letters and without'
    [ "$(ask_it 'group_concat(field || idx) FROM row' rwku/forget_level3)" = 'b0,b2,a a1' ] || fail 'types of level 3'
    of() { printf "pass IN (SELECT pass FROM pass WHERE data = '%s')" "$1"; }
    spoil_it() { cp bench/columns.sqlite "$1.sqlite" && sqlite3 "$1.sqlite" "$2"; }
    spoil_it letter "UPDATE answer SET ground_truth = 'D' WHERE pass = 0 AND row = 1"
    refuses 3 - 'question 2' '"D" is no letter of its 3 options' -- eval --columns letter.sqlite
    spoil_it said "UPDATE answer SET generation = NULL WHERE $(of muse/forget_knowmem)"
    refuses 3 - said.sqlite 'muse/forget_knowmem has no generation' -- eval --columns said.sqlite
    spoil_it twice "UPDATE row SET idx = 0 WHERE $(of rwku/forget_level3)"
    refuses 3 - 'rwku/forget_level3' 'as another one is' -- eval --columns twice.sqlite
    break_it view 'DROP TABLE token; CREATE VIEW token AS SELECT 1 AS pass'
    refuses 3 - view.sqlite 'number of its tables' -- eval --columns view.sqlite
fi

finish
