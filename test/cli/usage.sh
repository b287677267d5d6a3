#!/bin/sh
# usage.sh - what was typed wrongly: exit status 2, the nearest name, the bounds; nothing is written, nothing overwritten.
. "$(dirname "$0")/_lib.sh"
tiny_world
data="--model model --forget forget.jsonl --retain retain.jsonl"

run 2
says 'usage: unlearn VERB' forget demo eval
run 0 --help
says 'usage: unlearn VERB' 'exit codes'
run 0 help forget
cp said help
run 0 forget --help
same said help '`unlearn help forget` and `unlearn forget --help`'
refuses 2 - '"forgt"' '"forget"' -- help forgt
run 0 --version
says 'unlearn '

refuses 2 - forgte '"forget"' -- forgte
refuses 2 - '--modle' '--model' 'unlearn forget --help' -- forget --modle x
refuses 2 - '--stts' '--stats' -- inspect --stts
refuses 2 - '--jsn' '--json' -- eval --jsn
refuses 2 - '"npoo"' '"npo"' 'unlearn methods' -- forget $data --method npoo
refuses 2 - '"npoo"' '"npo"' -- methods npoo
refuses 2 - '"rogue"' '"rouge"' -- metrics rogue
refuses 2 - '"betta"' '"beta"' -- forget --npo.betta 1
refuses 2 - '"ngo"' '"npo"' -- forget --ngo.beta 1
refuses 2 - --npo.beta simnpo -- forget --method simnpo --npo.beta 1
refuses 2 - --method -- forget $data
refuses 2 - --model -- forget --method npo
refuses 2 - --forget -- forget --model model --method npo --out o
refuses 2 - --out -- forget $data --method npo
refuses 2 - --tofu -- eval --model model
refuses 2 - --prompt -- generate --model model
refuses 2 - 'not both' -- generate --model model --prompt x --data forget.jsonl
refuses 2 - PATH -- inspect
refuses 2 - '"more"' -- inspect model more
refuses 2 - '"word"' -- forget word
refuses 2 - 'two dashes' -- forget -x

# Values: not a number, not whole, out of bounds (which), none of the choices, none at all; with a space and with "=".
refuses 2 - --lr '"fast"' -- forget --lr fast
refuses 2 - --lr '"nan"' -- forget --lr=nan
refuses 2 - --lr '-1' '0 to 100' -- forget --lr -1
refuses 2 - --steps '"1.5"' -- forget --steps=1.5
refuses 2 - --batch '0' '1 to' -- forget --batch 0
refuses 2 - --batch '1 to 1048576' -- forget --batch 9999999
refuses 2 - --seed '0 to 9007199254740991' -- forget --seed 9007199254740993
refuses 2 - --beta1 '1' '0.999999' -- forget --beta1 1
refuses 2 - npo.beta '"x"' -- forget --npo.beta x
refuses 2 - npo.beta '-1' '1e-06 to 100' "the paper's" 'is 0.1' -- forget --npo.beta -1
refuses 2 - --precision '"f23"' 'f32|bf16' -- forget --precision f23
refuses 2 - --steps value -- forget --steps
refuses 2 - --stats '"maybe"' -- inspect model --stats=maybe
refuses 2 - --split forget10 -- eval --model model --tofu . --split forgotten
refuses 2 o '"9"' 'layers 0 to 1' -- forget $data --method npo --train 'layers 9'

refuses 2 o 'layers 1-0' 'lower one comes first' -- forget $data --method npo --train 'layers 1-0'
refuses 2 - '"NPO"' '"npo"' -- forget $data --method NPO

# What would be left unread: flags of adapters and of other optimizers, alternates; a name twice; files that are read.
refuses 2 o --lora-r '--lora all-linear' -- forget $data --method npo --lora-r 4
refuses 2 o --lora-merge '--lora all-linear' -- train --model model --data all.jsonl --lora-merge
refuses 2 o '--momentum' sgd adamw -- forget $data --method npo --momentum 0.9
refuses 2 o '--beta2' adamw sophia -- forget $data --method npo --optimizer sophia --beta2 0.9
run 0 forget $data --method npo --alt nowhere --steps 2 --quiet --out alt
says 'warning: the method npo teaches no alternate answers; --alt is left unread'
refuses 2 o 'npo twice' -- compare $data --methods npo,tv,npo
refuses 2 - 'a file that is read' -- relabel --data forget.jsonl --as wrong --force --out ./forget.jsonl
refuses 2 - 'the control that is read' -- eval $data --control alt --force --out alt
refuses 2 - 'no token 64' 'largest id is' -- tokenize --model model --decode '5 64'
run 0 inspect model --json=true --quiet=false
says '"tensors"'

# SOUL is an optimizer: listed as one, and who takes it for a method is led there.
refuses 2 o 'soul is an optimizer' '--optimizer sophia' -- forget $data --method soul
run 0 methods
says 'of any method that trains: --optimizer sophia' '(arXiv:2404.18239)'
run 0 methods soul
says '--optimizer sophia' arXiv:2404.18239 sophia-rho sophia-beta2
run 0 methods --json
tr -d ' \n' < said | grep -q '"id":"soul","kind":"optimizer".*"key":"sophia-rho"' || fail 'methods --json does not list soul'
run 0 forget $data --method npo --optimizer sophia --steps 2 --out soul --quiet

# What `methods` lists is what a run demands, and who demands it is named.
refuses 2 - 'the method npo needs' '--retain FILE' -- forget --model model --forget forget.jsonl --method npo --out o
"$UL" methods --json | tr -d ' \n' | sed 's/{"id":/\n/g' | sed -n 's/^"\([a-z_]*\)".*"needs_retain":\([a-z]*\).*/\1 \2/p' > listed
[ "$(wc -l < listed)" -ge 60 ] || fail 'fewer than 60 methods are listed'
while read -r id retain; do
    "$UL" methods "$id" > shown
    grep -q 'a wrapper: --wrap' shown && continue
    grep -q '^  reads .*, retain' shown && shown=true || shown=false
    "$UL" forget --model model --forget forget.jsonl --method "$id" --print-plan > said 2>&1 < /dev/null || true
    grep -q "the method $id needs rows that shall stay: --retain FILE" said && asked=true || asked=false
    [ "$asked $shown" = "$retain $retain" ] || fail "$id: listed as $retain, shown as $shown, asked for: $asked"
done < listed

# Blocks that the model does not have, of every method that names one: both numbers.
"$UL" methods --json | tr -d '\n' | sed 's/"id":/\n/g' > each
while IFS= read -r line; do
    id=$(printf '%s' "$line" | sed 's/^ *"\([a-z_]*\)".*/\1/')
    printf '%s' "$line" | grep -o '"key": *"[a-z_]*",[^}]*"unit": *"blocks*"' | sed 's/"key": *"\([a-z_]*\)".*/\1/' > keys
    while read -r key; do
        echo "$id.$key" >> bounded
        refuses 2 o "--$id.$key = 9" 'the model has 2 blocks' -- forget $data --method "$id" --"$id.$key" 9
    done < keys
done < each
for key in rmu.layer armu.layer cosrmu.layer lunar.layer rr.first rr.last mrp.last rome.layer uld.blocks; do
    grep -qx $key bounded || fail "$key is not bounded by the blocks of the model"
done
refuses 2 o '--grun.layer = 9' 'the model has 2 blocks' -- forget $data --method grun --grun.layer 1,9

# Who needs alternates of each row's own does not run on refusals; what the message names makes them.
refuses 2 o 'the method altpo needs' '--alt FILE --alt-own' 'unlearn relabel --data forget.jsonl --as wrong' -- forget $data --method altpo
refuses 2 o '--alt FILE --alt-own' -- forget $data --method altpo --alt forget.jsonl
run 0 relabel --data forget.jsonl --as wrong --out wrong.jsonl
run 0 forget $data --method altpo --alt wrong.jsonl --alt-own --steps 2 --out altpo --quiet
head -n 5 wrong.jsonl > few.jsonl
refuses 3 o 'cannot be dealt to the 6 rows' -- forget $data --method altpo --alt few.jsonl --alt-own

# An output that is there stays as it is, byte for byte.
mkdir full
echo mine > full/model.safetensors
refuses 2 - full 'not empty' --force -- forget $data --method npo --out full
refuses 2 - full -- train --model model --data all.jsonl --out full
refuses 2 - full -- eval $data --out full
refuses 2 - full model.safetensors -- forget $data --method npo --out full --resume
[ "$(cat full/model.safetensors)" = mine ] && [ "$(ls -A full)" = model.safetensors ] || fail 'full was written into'
cp -r model before
refuses 2 - 'model that is read' -- forget $data --method npo --out model --force
refuses 2 - 'model that is read' -- train --model model --data all.jsonl --out ./model/ --resume
diff -r model before > said || fail 'the model that is read was changed'
echo mine > file
refuses 3 - file -- forget $data --method npo --out file
refuses 3 - file -- forget $data --method npo --out file/below
[ "$(cat file)" = mine ] || fail 'a file was overwritten'

# An instruction set that is none (usage), one that this machine lacks (resource).
refuses 2 - avx3 portable -- forget $data --method npo --out o --isa avx3
for isa in avx512 amx; do
    flag=$(echo $isa | sed 's/avx512/avx512f/; s/amx/amx_tile/')
    grep -qw $flag /proc/cpuinfo 2> /dev/null && continue
    refuses 4 o $isa -- forget $data --method npo --isa $isa
    UL_ISA=$isa
    export UL_ISA
    refuses 4 o $isa -- forget $data --method npo
    unset UL_ISA
done
finish
