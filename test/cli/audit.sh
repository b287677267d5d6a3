#!/bin/sh
# audit.sh - `unlearn audit` as a user meets it: bad input, an original that knows nothing, the self-test that fails when a verdict is wrong.
# Models here are barely trained: what verdicts mean on real ones is the self-test's own business (repro/audit-selftest.md).
. "$(dirname "$0")/_lib.sh"

# A self-test of untrained models must fail, and says which verdict is wrong.
run 1 audit --self-test --steps 1 --only original --profile quick --out world
says "original: wanted not forgotten, got inconclusive"
says "1 of 1 verdicts are wrong"
for f in report.json report.html report.md; do
    if [ ! -s "world/$f" ]; then fail "world/$f was not written"; fi
done
if grep -q '<script\|http://\|https://' world/report.html; then fail "report.html needs a script or the network"; fi

# Several worlds: their verdicts are counted, the wrong ones listed; a world that is there is not made again.
worlds="--self-test --seed 3 --seeds 2 --steps 1 --only original --profile quick --vocabulary bpe --out worlds"
# shellcheck disable=SC2086
run 1 audit $worlds
says "0 of 2 verdicts are right" "| original | not forgotten | 0 | 2 |" "| 4 | original | not forgotten | inconclusive |"
if ! grep -q '"type": "BPE"' worlds/world-3/shape/tokenizer.json; then fail "--vocabulary bpe is not a BPE vocabulary"; fi
cp worlds/seeds.json once.json
rm -r worlds/world-4/original
# shellcheck disable=SC2086
run 1 audit $worlds --resume
if [ -e worlds/world-4/original ]; then fail "--resume made a world again"; fi
if ! cmp -s once.json worlds/seeds.json; then fail "--resume counts something else"; fi
# shellcheck disable=SC2086
run 1 audit $worlds --resume --attack-steps 3
if [ ! -e worlds/world-4/original ]; then fail "--resume kept a world of other settings"; fi

# 8 people are enough for what is checked here.
head -n 80 world/data/forget.jsonl >forget.jsonl
head -n 40 world/data/rephrased.jsonl >rephrased.jsonl
head -n 80 world/data/phantom.jsonl >unseen.jsonl
common="--original world/original --forget forget.jsonl --retain world/data/retain.jsonl --attack-steps 2 --retain-rows 40 --curve-points 0"
# shellcheck disable=SC2086
run 0 audit --model world/original $common --control world/control --phantom world/data/phantom.jsonl --rephrased rephrased.jsonl --out a
says "verdict: inconclusive"
says "uninformative"
says "intention removal: undecided" "not measured (text)"
if ! grep -q '"utility_text": null' a/report.json; then fail "a utility on text that nobody measured"; fi
if ! grep -q '"verdict": "inconclusive"' a/report.json; then fail "report.json has no verdict"; fi
if [ ! -s a/manifest.json ]; then fail "no manifest"; fi
if grep -q savings said a/report.json a/report.md; then fail "savings of curves without points"; fi

# Plain text: the ratio of its perplexities under the original and the model, that of `eval` here.
learn="--data world/data/text.jsonl --schedule constant --lr 3e-3 --quiet"
# shellcheck disable=SC2086
run 0 train --model world/original $learn --steps 60 --out reads
# shellcheck disable=SC2086
run 0 train --model world/original $learn --steps 30 --out reads-less
for m in reads reads-less; do
    run 0 eval --model $m --forget world/data/text.jsonl --metrics forget_perplexity
    grep '^forget_perplexity' said >$m.perplexity
done
ratio=$(cat reads.perplexity reads-less.perplexity | awk '{x[NR] = $2} END {printf "%.3f", x[1] / x[2]}')
# shellcheck disable=SC2086
run 0 audit --model reads-less $common --original reads --text world/data/text.jsonl --profile quick --out text
got=$(grep -A 3 '"utility_text": {' text/report.json | sed -n 's/.*"value": \([0-9.]*\).*/\1/p' | awk '{printf "%.3f", $1}')
[ "$ratio" = "$got" ] || fail "plain text keeps $got of its probability, the perplexities say $ratio"
grep -A 5 '"utility_text": {' text/report.json | tr -d ' ",' |
    awk -F: '{x[$1] = $2} END {exit !(x["lower"] < x["value"] && x["value"] < x["upper"])}' ||
    fail 'the probability of plain text has no interval'
# An original that gives a token less than a guess would has no plain text to lose.
# shellcheck disable=SC2086
run 0 audit --model reads $common --text world/data/text.jsonl --profile quick --out lost
says 'plain text was not measured: a token of it costs the original' 'a guess among its'
if ! grep -q '"path": "world/data/text.jsonl"' text/manifest.json; then fail "the manifest does not name the text"; fi
# shellcheck disable=SC2086
run 3 audit --model world/control $common --text forget.jsonl --out c
says "it has a question" "plain text is wanted"

# --require: 1 where the intention is not met (undecided is not), with the report and its JSON.
# shellcheck disable=SC2086
run 1 audit --model world/control $common --profile quick --require --json --quiet --out require
says '--require: 1 of 1 models do not meet the intention removal: control, undecided' '"verdict": "inconclusive"'
if [ ! -s require/report.html ] || [ ! -s require/manifest.json ]; then fail "--require keeps the report to itself"; fi

# Fewer forget rows: whole people, from both halves, and their other words with them.
# shellcheck disable=SC2086
run 0 audit --model world/original $common --control world/control --rephrased rephrased.jsonl --forget-rows 25 --out few
for text in '"entities": 2,' '"rows": 20,'; do
    if ! grep -q "$text" few/report.json; then fail "--forget-rows 25 of 8 people with 10 rows each: no $text in the report"; fi
done

# Every number is the same again, with another number of threads too.
# shellcheck disable=SC2086
run 0 audit --model world/original $common --control world/control --phantom world/data/phantom.jsonl --rephrased rephrased.jsonl --out b --threads 1
for f in a b; do grep -v '"seconds"\|"command"\|"name"' "$f/report.json" >"$f.numbers"; done
if ! cmp -s a.numbers b.numbers; then fail "two audits of the same models differ"; fi

# Several models in one report, by the last parts of their names; rows that nobody was taught in the place of phantoms.
# shellcheck disable=SC2086
run 0 audit --model world/original,world/control $common --control world/control --holdout unseen.jsonl --profile quick --out d
says "original" "control" "report: d/report.html"
if [ "$(grep -c '"verdict": "inconclusive"' d/report.json)" -ne 2 ]; then fail "d/report.json does not tell of two models"; fi
if ! grep -q '"others": "holdout"' d/report.json; then fail "membership did not take the holdout rows"; fi
for text in 'Forgetting against usefulness' 'Membership'; do
    if ! grep -q "$text" d/report.html; then fail "d/report.html has no \"$text\""; fi
done
if grep -q '<script\|http://\|https://' d/report.html; then fail "d/report.html needs a script or the network"; fi

run 2 audit --model world/original --forget world/data/forget.jsonl --retain world/data/retain.jsonl --out c
says "--original"
run 2 audit --original world/original --out c
says "--model"
# shellcheck disable=SC2086
run 2 audit --model world/original $common --profile thorough --out c
says "profile"
head -n 3 world/data/forget.jsonl >few.jsonl
run 3 audit --model world/original --original world/original --forget few.jsonl --retain world/data/retain.jsonl --out c
says "two halves need 2"
sed 's/"perturbed_answer": \[[^]]*\], //; s/"answer": "[^"]*"/"answer": "same"/' world/data/forget.jsonl >same.jsonl
run 3 audit --model world/original --original world/original --forget same.jsonl --retain world/data/retain.jsonl --out c
says "ranking needs 2"
head -n 30 world/data/rephrased.jsonl >thirty.jsonl
# shellcheck disable=SC2086
run 3 audit --model world/original $common --rephrased thirty.jsonl --out c
says "in other words"
if [ -e c ]; then fail "a refused audit left --out behind"; fi
finish
