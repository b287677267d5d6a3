#!/bin/sh
# logs.sh - aggregates computed again from a log, without a model: those of the evaluation that wrote it; a control's log; logs
# that do not fit, broken numbers, results by name.
. "$(dirname "$0")/_lib.sh"
tiny_world
for f in forget retain; do
    sed 's/"answer": "\([a-z]*\)",/"answer": "\1", "paraphrased_answer": "lives \1",/' $f.jsonl > told
    mv told $f.jsonl
done
run 0 eval --model model --forget forget.jsonl --retain retain.jsonl --max-new 4 --quiet --out e
log=e/TOFU_EVAL.json

# agg FILE NAME: the aggregate of a result in what `eval --logs --json` printed, or in a TOFU_SUMMARY.json.
agg() {
    tr -d '\n ' < "$1" | grep -o "\"$2\":\({\"agg_value\":\)\?[-0-9.e]*" | grep -o '[-0-9.e]*$'
}
run 0 eval --logs $log --reference-logs $log --json
cp said again
names=$(grep -o '^ *"[A-Za-z_]*": [-0-9]' e/TOFU_SUMMARY.json | grep -o '[A-Za-z_]\{4,\}')
[ "$(echo "$names" | wc -l)" -ge 12 ] || fail "few results: $names"
for name in $names; do
    case $name in *_perplexity) grep -q 'computed from tokens of forget' again || fail 'no word on perplexity'; continue ;; esac
    [ "$(agg again "$name")" = "$(agg e/TOFU_SUMMARY.json "$name")" ] || fail "$name is another one from the log"
done
[ "$(agg again forget_quality)" = 1.0 ] || fail 'a control that is the model itself has another forget quality'
[ "$(agg again forget_quality_D)" = 0.0 ] || fail 'a control that is the model itself is at a distance'
run 0 eval --logs $log
says forget_truth_ratio 'it compares with a retrained control'

# spoilt NAME 'sed script'
spoilt() { sed "$2" $log > "$1.json"; }
first='/"forget_Q_A_Prob"/,/"avg_loss"/'
spoilt nan "$first s/\"avg_loss\": [-0-9.e]*/\"avg_loss\": NaN/"
refuses 3 - nan.json NaN -- eval --logs nan.json
spoilt text "$first s/\"prob\": [-0-9.e]*/\"prob\": \"high\"/"
refuses 3 - forget_Q_A_Prob 'row 0' '"prob"' -- eval --logs text.json
spoilt lacks "$first s/\"prob\": [-0-9.e]*/\"porb\": 1/"
refuses 3 - forget_Q_A_Prob 'row 1' '"prob"' -- eval --logs lacks.json
spoilt twice 's/"1": {/"0": {/'
refuses 3 - twice.json 'duplicate object key' '"0"' -- eval --logs twice.json
refuses 3 - e/TOFU_SUMMARY.json 'TOFU_EVAL.json beside it' -- eval --logs e/TOFU_SUMMARY.json
spoilt key "$first s/\"0\": {/\"9\": {/"
refuses 3 - forget_Q_A_Prob 'not the same rows' -- eval --logs key.json
# Rows without a value (open-unlearning's None) are no zeros: the mean is of the others.
em='/"exact_memorization"/,/"score"/'
spoilt null "$em s/\"score\": [0-9.]*/\"score\": null/"
run 0 eval --logs null.json --json
says 'exact_memorization: 1 of 6 rows are null'
others=$(sed -n '/"exact_memorization"/,/"agg_value"/p' $log | sed -n 's/.*"score": \([0-9.]*\).*/\1/p' |
    awk 'NR > 1 {s += $1; n++} END {printf "%.12f", s / n}')
[ "$(agg said exact_memorization | awk '{printf "%.12f", $1}')" = "$others" ] ||
    fail "the mean of the rows that have a value is $(agg said exact_memorization)"
run 0 eval --logs null.json --reference-logs $log --quiet
spoilt none '/"exact_memorization"/,/"agg_value"/ s/"score": [0-9.]*/"score": null/'
refuses 3 - exact_memorization 'all of its 6 rows are null' -- eval --logs none.json
spoilt other 's/"agg_value"/"aggregate"/; s/"value_by_index"/"values"/'
run 0 eval --logs other.json --json
says '"why": "the log has no value of forget_Q_A_Prob"'
# Results of other names are what their rows say; but three means of a truth ratio are in use.
sed 's/"forget_Q_A_PARA_ROUGE"/"forget_Q_A_PERT_ROUGE"/; s/"retain_Truth_Ratio"/"neighbour_Truth_Ratio"/
    s/"forget_Q_A_PARA_Prob"/"told_Prob"/; s/"exact_memorization"/"gibberish"/' $log > named.json
run 0 eval --logs named.json --reference-logs named.json --json
for pair in forget_Q_A_PERT_ROUGE:forget_Q_A_PARA_ROUGE told_Prob:forget_Q_A_PARA_Prob gibberish:exact_memorization; do
    [ "$(agg said "${pair%:*}")" = "$(agg e/TOFU_SUMMARY.json "${pair#*:}")" ] || fail "${pair%:*} in a log"
done
says '"neighbour_Truth_Ratio" is no result that is known here'
run 0 eval --logs named.json
says told_Prob

# The three truth ratios of probabilities 1/2 against 1/2 and 1/8, and the bounds of eight sampled answers that leak
# nothing: 1 - 0.05^(1/8) of one that does, sqrt(log(20) / 16) of the mean.
cat > three.json << 'END'
{"forget_Q_A_PARA_Prob": {"value_by_index": {"0": {"prob": 0.5, "avg_loss": 0.6931471805599453}}},
 "forget_Q_A_PERT_Prob": {"value_by_index": {"0": {"prob": [0.5, 0.125],
  "avg_loss": [0.6931471805599453, 2.0794415416798357]}}},
 "forget_sample_ROUGE": {"value_by_index": {"0": {"rouge1_recall": [0, 0, 0, 0, 0, 0, 0, 0],
  "rougeL_f1": [0, 0, 0, 0, 0, 0, 0, 0], "rougeL_recall": [0, 0, 0, 0, 0, 0, 0, 0]}}}}
END
run 0 eval --logs three.json --json
for want in forget_truth_ratio:0.500000 forget_truth_ratio_arithmetic:0.625000 forget_truth_ratio_prob_mean:0.666667 \
    forget_leak_bound:0.312344 forget_leak_bound_mean:0.432705 forget_leak_deviation:0.000000 \
    forget_leak_expectation_deviation:0.000000; do
    found=$(agg said ${want%:*} | awk '{printf "%.6f", $1}')
    [ "$found" = ${want#*:} ] || fail "${want%:*} $found"
done

# MUSE's log as open-unlearning writes it, in any order: memorisation and membership scores are in it too.
muse='"forget_knowmem_ROUGE": {"agg_value": 0.375, "value_by_index": {"0": {"rougeL_f1": 0.5, "rougeL_recall": 1},
    "7": {"rougeL_f1": 0.25, "rougeL_recall": 1}}}'
rest='"privleak": {"agg_value": -50},
    "extraction_strength": {"value_by_index": {"0": {"score": 0.25}, "1": {"score": 1}}},
    "mia_min_k": {"forget": {"value_by_index": {"0": {"score": 1}, "1": {"score": 3}}},
    "holdout": {"value_by_index": {"0": {"score": 2}, "1": {"score": 4}, "2": {"score": 4}}}, "agg_value": 9}'
printf '{%s, %s}\n' "$muse" "$rest" > muse.json
printf '{%s, %s}\n' "$rest" "$muse" > esum.json
printf '{"mia_min_k": 0.5}\n' > control.json
for f in muse esum; do
    run 0 eval --logs $f.json --reference-logs control.json --json
    says 'mia_min_k: the log says 9'
    for want in forget_knowmem_ROUGE:0.375000 extraction_strength:0.625000 mia_min_k:0.833333 privleak:-66.666667; do
        found=$(agg said ${want%:*} | awk '{printf "%.6f", $1}')
        [ "$found" = ${want#*:} ] || fail "$f: ${want%:*} $found"
    done
done
run 0 eval --logs muse.json
says 'as it stands'
refuses 2 - --original-logs -- eval --logs muse.json --original-logs muse.json
printf '{"accuracy": {"agg_value": 1}}\n' > foreign.json
refuses 3 - foreign.json 'no result of TOFU' -- eval --logs foreign.json
printf '[1, 2]\n' > list.json
refuses 3 - list.json 'not an object' -- eval --logs list.json

# A control of fewer rows, and one of as many rows about other things.
head -n 4 forget.jsonl > fewer.jsonl
run 0 eval --model model --forget fewer.jsonl --retain retain.jsonl --max-new 4 --quiet --out fewer
refuses 3 - fewer/TOFU_EVAL.json 'another split?' '6 rows' 4 -- eval --logs $log --reference-logs fewer/TOFU_EVAL.json
refuses 3 x fewer/TOFU_EVAL.json 'another split?' 6 4 -- eval --model model --forget forget.jsonl --retain retain.jsonl --reference-logs fewer/TOFU_EVAL.json
sed 's/"answer": "[a-z]*"/"answer": "pilot bob"/' forget.jsonl > others.jsonl
run 0 eval --model model --forget others.jsonl --retain retain.jsonl --max-new 4 --quiet --out others
refuses 3 - others/TOFU_EVAL.json 'different data sets' -- eval --logs $log --reference-logs others/TOFU_EVAL.json

refuses 2 x --model -- eval --logs $log --model model
refuses 2 x --metrics 'did you mean "forget_Q_A_ROUGE"' -- eval --model model --forget forget.jsonl --metrics forget_QA_ROUGE
sed '2s/"answer": "[a-z]*"/"answer": ""/' forget.jsonl > empty.jsonl
run 3 eval --model model --forget empty.jsonl --metrics exact_memorization
says 'unlearn: exact_memorization: forget answer, row 1: no labelled token'
refuses 2 x mia_gradnorm holdout --holdout -- eval --model model --forget forget.jsonl --metrics mia_gradnorm
run 0 eval --model model --forget forget.jsonl --metrics forget_truth_ratio,rouge --max-new 4 --quiet --out some
sed -n 's/^ *"\([A-Za-z_]*\)": .*/\1/p' some/TOFU_SUMMARY.json | sort | tr '\n' ' ' > said
says 'forget_Q_A_ROUGE'
! grep -q retain_ said || fail 'more than what was asked for'
finish
