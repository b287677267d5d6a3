#!/usr/bin/env python3
"""intention-verdict.py UNLEARN SHARED TABLE OUT - the verdict on every model of repro/tofu-656k.md beside what its method declares.

TABLE is what `unlearn compare --methods all --tofu ...` left there (its command stands in tofu-656k.md): a folder a method. Audits those
that declare removal and those that declare suppression, each in one go with the standard profile (`--resume` keeps what is in OUT), and
prints the second half of repro/intention-verdict.md."""
import json, os, subprocess, sys
from collections import defaultdict

UNLEARN, SHARED, TABLE, OUT = sys.argv[1:]
MODELS, TOFU = SHARED + "/golden/models/", SHARED + "/data/datasets/tofu/"
ORIGINAL, FORGET = MODELS + "tofu-656k-full", TOFU + "forget10_perturbed.json"
REPHRASED = OUT + "/rephrased.jsonl"
KINDS = ["removal", "suppression"]
COMMON = ["--original", ORIGINAL, "--control", MODELS + "tofu-656k-retain90", "--forget", FORGET,
          "--retain", TOFU + "retain90.json", "--rephrased", REPHRASED, "--entity-rows", "20",
          "--text", SHARED + "/data/text/cs336/tinystories_sample.txt", "--retain-rows", "100", "--attack-steps", "40",
          "--attack-batch", "16", "--curve-points", "0", "--max-new", "48", "--threads", "1", "--quiet", "--resume"]


def rephrase():
    rows = [json.loads(line) for line in open(FORGET)]
    with open(REPHRASED, "w") as f:
        for r in rows:
            f.write(json.dumps({"question": r["paraphrased_question"], "answer": r["answer"]}) + "\n")


def audit(ids, kind):
    """The report's models, in the order of ids. A method without weights of its own is a guard of the original."""
    weights = [TABLE + "/" + i for i in ids]
    models = [w if os.path.exists(w + "/model.safetensors") else ORIGINAL for w in weights]
    guards = [w + "/guard.json" if os.path.exists(w + "/guard.json") else "none" for w in weights]
    given = ["--guard", ",".join(guards)] if any(g != "none" for g in guards) else []
    out = OUT + "/" + kind
    command = [UNLEARN, "audit", "--model", ",".join(models), "--intention", kind, "--out", out] + given + COMMON
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return json.load(open(out + "/report.json"))["models"]


def number(bound):
    return "-" if bound is None else "%.2f" % bound["value"]


def strongest(m):
    found = [(p["rho"]["value"], p["id"]) for p in m["probes"] if p.get("rho") and p["role"] != "shown"]
    if m["evidence"]["depth"]:
        found.append((m["evidence"]["depth"]["value"], "depth"))
    return "%.2f | %s" % max(found) if found else "- | -"


def row(i, kind, m):
    e, other = m["evidence"], m["secondary"]
    verdict = "**%s**%s" % (m["verdict"], "" if other == m["verdict"] else " (else %s)" % other)
    met = {"pass": "met", "fail": "not met"}.get(m["outcome"], m["outcome"])
    cells = [i, kind, verdict, number(e["s"]), strongest(m), number(e["inverse"]), number(e["utility_K1"]), number(e["utility_said"]), met]
    return "| " + " | ".join(cells) + " |"


os.makedirs(OUT, exist_ok=True)
rephrase()
methods = {m["id"]: m.get("intention") for m in json.loads(subprocess.check_output([UNLEARN, "methods", "--json"]))}
verdicts, rows, measures = defaultdict(lambda: defaultdict(list)), [], set()
for kind in KINDS:
    ids = sorted(i for i in os.listdir(TABLE) if methods.get(i) == kind)
    for i, m in zip(ids, audit(ids, kind)):
        rows.append(row(i, kind, m))
        measures.add(m["evidence"]["s_of"])
        name = m["verdict"] if m["secondary"] == m["verdict"] else "%s (else %s)" % (m["verdict"], m["secondary"])
        verdicts[name][kind].append(i)
print("s is of: " + ", ".join(sorted(measures)) + "\n\n| verdict | declared: removal | declared: suppression |\n|---|---|---|")
for name, of in verdicts.items():
    print("| %s | %s |" % (name, " | ".join("%d: %s" % (len(of[k]), " ".join(of[k])) if of[k] else "" for k in KINDS)))
print("\n| method | intention | verdict | s | strongest recovery | by | true answer last | ranks kept | says kept | intention met |")
print("|---|---|---|--:|--:|---|--:|--:|--:|---|")
print("\n".join(rows))
