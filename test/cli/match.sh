#!/bin/sh
# match.sh - --match NAME computes what a published program does: every name that `methods` lists makes another result
# than the default, on a model and as a manifest says; unknown names are refused with the nearest.
. "$(dirname "$0")/_lib.sh"
tiny_world
data="--model model --forget forget.jsonl --retain retain.jsonl"

train="train --model model --data all.jsonl"
refuses 2 o '--match soull' 'did you mean soul?' 'open-unlearning, soul' -- forget $data --method npo --match soull
refuses 2 o '--match g-effect' 'known with this run: none, open-unlearning' -- forget $data --method ga --match g-effect
refuses 2 o '--match open-unlearnin' 'did you mean open-unlearning?' -- $train --match open-unlearnin
refuses 2 - '--match' 'did you mean soul?' -- plan $data --method npo --match sou

# What makes the default the other one where it is not, at a small model: a margin, the paper's schedule.
beside() {
    case $1 in
    simnpo) echo --simnpo.delta 0.5 ;;
    rr) [ "$2" = default ] && echo --rr.share rising ;;
    esac
    return 0
}

# weights ID DIR FLAGS...: a short run; what it leaves, as one digest.
weights() {
    dir=$1
    shift
    run 0 forget $data --steps 4 --batch 3 --warmup 0 --quiet --out "$dir" "$@"
    sha256sum < "$dir/model.safetensors"
}

"$UL" methods --json | tr -d ' \n' | sed 's/{"id":/\n/g' |
    sed -n 's/^"\([a-z_]*\)","kind":"\([a-z]*\)".*/\1 \2/p' > listed
[ "$(wc -l < listed)" -ge 60 ] || fail 'fewer than 60 methods are listed'
found=0
while read -r id kind; do
    "$UL" methods "$id" | sed -n 's/^  --match \([a-z-]*\): .*/\1/p' > names
    case $kind in
    wrapper) what="--method npo --wrap $id --$id.batches 2" ;;
    optimizer) what="--method npo --optimizer sophia" ;;
    *) what="--method $id" ;;
    esac
    [ -s names ] && [ "$kind" != guard ] || continue
    weights "$id-default" $what $(beside "$id" default) > one
    while read -r name; do
        weights "$id-$name" $what $(beside "$id" "$name") --match "$name" > two
        cmp -s one two && fail "$id --match $name leaves the same weights"
        grep -q "\"match\": \"$name\"" "$id-$name/manifest.json" || fail "the manifest of $id does not say $name"
        found=$((found + 1))
    done < names
done < listed
[ "$found" -ge 18 ] || fail "only $found programs to match"

# What was matched is in the manifest as a value, which does the same; what the user gives wins.
grep -q '"ratio": "mean"' npo-soul/manifest.json || fail 'the manifest does not say what --match soul set'
weights named --method npo --npo.ratio mean > /dev/null
same npo-soul/model.safetensors named/model.safetensors '--match soul and its value'
weights given --method npo --match soul --npo.ratio sum > /dev/null
same npo-default/model.safetensors given/model.safetensors '--match soul with the value of none'

# A guard: the same assistant, subtracted as it stands.
for match in none uld; do
    run 0 forget $data --method uld --steps 20 --uld.top 0.3 --match $match --quiet --out "guard-$match"
    run 0 eval $data --max-new 4 --guard "guard-$match" --out "eval-$match" --quiet
done
cmp -s eval-none/TOFU_SUMMARY.json eval-uld/TOFU_SUMMARY.json && fail 'uld --match uld scores alike'

# Both sizes' defaults are told.
run 0 methods undial
says '--lr 1e-4' 'small      the usual run (models of up to 20 million weights)'
run 0 methods rmu
says '--lr 5e-5 --steps 80' 'small      --epochs 5' '--match wmdp: c 20, alpha 100; as --rmu.steer 20 --rmu.alpha 100'
run 0 methods soul
says '--match soul:'
run 0 methods rs
says 'small      --rs.sigma 0.02 --rs.absolute false'
finish
