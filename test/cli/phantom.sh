#!/bin/sh
# phantom.sh - `audit --phantom generated`: people of TOFU under invented names, written beside the report; data without names.
. "$(dirname "$0")/_lib.sh"
need_shared data/datasets/tofu/retain90.json
need_shared data/models/TinyStories-656K
M="$UL_SHARED/data/models/TinyStories-656K"
head -n 400 "$UL_SHARED/data/datasets/tofu/retain90.json" > retain.jsonl
head -n 400 "$UL_SHARED/data/datasets/tofu/forget10.json" > forget.jsonl
common="--model $M --original $M --forget forget.jsonl --retain retain.jsonl --phantom generated --profile quick"
few="--forget-rows 20 --retain-rows 80 --options 2 --max-new 1 --quiet"
# shellcheck disable=SC2086
run 0 audit $common $few --entity-rows 20 --out a
[ "$(grep -o '"entity":[0-9]*' a/phantom.jsonl | sort -u | wc -l)" -eq 20 ] || fail 'not everybody got a name'
rows=$(wc -l < a/phantom.jsonl)
[ "$rows" -ge 300 ] && [ "$rows" -lt 400 ] || fail "$rows phantom rows of 400"
if ! grep -q '"path": "generated"' a/manifest.json; then fail 'the manifest does not name the phantoms'; fi

# No real name is left, no invented one stands in the files, and no question is a real one.
sed -n 's/.*"question":"When was \([^"?]*\) born?".*/\1/p' retain.jsonl | sort -u > real
sed -n 's/.*"question":"When was \([^"?]*\) born?".*/\1/p' a/phantom.jsonl | sort -u > invented
[ "$(wc -l < invented)" -ge 3 ] || fail 'no invented names were found to look at'
if grep -qFf real a/phantom.jsonl; then fail 'a real name among the phantoms'; fi
if grep -qFf invented retain.jsonl forget.jsonl; then fail 'an invented name is somebody'; fi
for f in retain.jsonl a/phantom.jsonl; do sed 's/","answer".*//' $f | sort -u > "asked.$(basename $f)"; done
[ -z "$(comm -12 asked.retain.jsonl asked.phantom.jsonl)" ] || fail 'a question about somebody real'

# Without people (every row its own) no name stands in two rows.
# shellcheck disable=SC2086
refuses 3 b 'got an invented name' '--entity-rows' 'Give --phantom FILE' -- audit $common $few
finish
