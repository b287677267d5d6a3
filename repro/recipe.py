#!/usr/bin/env python3
"""recipe.py UNLEARN OUT [SEED] - what does removal cost? UNDO and its cheaper kin on the self-test's world, each audited, beside retraining.

Makes the world (original, control) in OUT, runs every recipe below (what is in OUT already is kept), audits all of them in one go with
the standard profile, and prints the table of repro/recipe.md. A recipe is a list of runs, each on the model that the one before left.

Cost in documents of the world's text (all that stays: keep.jsonl), because a document is as long in every run: a step trains on BATCH of
them forwards and backwards (1), a forget row of a method with a retain row is two (2), a forward pass of a teacher or of statistics is a
third. The unit is the control's training: 1400 steps of 64. Seconds are those of the processor, one thread, without the audit."""
import json, os, subprocess, sys

UNLEARN, OUT = sys.argv[1], sys.argv[2]
SEED = sys.argv[3] if len(sys.argv) > 3 else "0"
BATCH, CONTROL, KEEP, FORGET = 64, 1400 * 64, 6100, 400
COMMON = ["--threads", "1", "--max-length", "64", "--quiet", "--force"]
ADAM = ["--beta2", "0.98", "--weight-decay", "0", "--schedule", "cosine", "--warmup", "0.05", "--lr-floor", "0.05", "--batch", str(BATCH)]


def undo(alpha, steps, lr=3e-3, where="", suppress="none"):
    """UNDO; the teacher is the model as it is."""
    args = ["--method", "undo", "--undo.suppress", suppress, "--undo.alpha", str(alpha), "--undo.beta", "0.8",
            "--undo.distil_steps", str(steps), "--lr", str(lr)] + ADAM
    if where:
        args += ["--undo.noise_in", where]
    return ("forget", "keep", args, steps * BATCH + KEEP / 3)


def method(name, docs, *args):
    return ("forget", "retain", ["--method", name] + list(args), docs)


def retrain(steps):
    return ("train", "keep", ["--fresh", "--init-std", "0.08", "--lr", "4e-3", "--steps", str(steps), "--seed", "7"] + ADAM, steps * BATCH)


REPSELECT = method("repselect", FORGET * 2 + 128 * 10 / 3, "--repselect.kl", "0.3")
NPO = method("npo", 200 * 64, "--steps", "200", "--lr", "1e-3", "--batch", "32")
RECIPES = [
    ("retrain, 400 steps", [retrain(400)]), ("retrain, 500", [retrain(500)]), ("retrain, 600", [retrain(600)]), ("retrain, 800", [retrain(800)]), ("retrain, 1000", [retrain(1000)]),
    ("undo 0.8, 1000 steps", [undo(0.8, 1000)]), ("undo 0.8, 800, rate 4e-3", [undo(0.8, 800, 4e-3)]), ("undo 0.8, 600 steps", [undo(0.8, 600)]), ("undo 0.8, 400", [undo(0.8, 400)]), ("undo 0.8, 250", [undo(0.8, 250)]),
    ("undo 0.8, 150", [undo(0.8, 150)]), ("undo 0.7, 250", [undo(0.7, 250)]), ("undo 0.6, 250", [undo(0.6, 250)]), ("undo 0.6, 150", [undo(0.6, 150)]),
    ("undo 0.5, 150", [undo(0.5, 150)]),
    ("undo 0.8 in block 1, 150", [undo(0.8, 150, where="layers.1.")]), ("undo 0.8 in block 0, 150", [undo(0.8, 150, where="layers.0.")]),
    ("undo 0.8 in both mlps, 150", [undo(0.8, 150, where="mlp.")]), ("undo 0.8 in attention, 150", [undo(0.8, 150, where="self_attn.")]),
    ("undo 0.8 in the blocks, 250", [undo(0.8, 250, where="layers.")]),
    ("undo 1.0 in block 0's mlp, 150", [undo(1.0, 150, where="layers.0.mlp")]),
    ("repselect", [REPSELECT]), ("repselect, undo 0.6, 150", [REPSELECT, undo(0.6, 150)]),
    ("repselect, undo 0.8 in both mlps, 150", [REPSELECT, undo(0.8, 150, where="mlp.")]),
    ("npo, undo 0.6, 150", [NPO, undo(0.6, 150)]),
]


def run(args):
    """CPU seconds of one command."""
    child = subprocess.Popen([UNLEARN] + args, stdout=subprocess.DEVNULL, env=dict(os.environ, OMP_NUM_THREADS="1"))
    _, status, usage = os.wait4(child.pid, 0)
    if status:
        sys.exit("recipe.py: failed: unlearn " + " ".join(args))
    return usage.ru_utime + usage.ru_stime


def make(name, stages):
    """The directory of a recipe's last model, its documents and its seconds."""
    docs = seconds = 0
    done = ""
    model = OUT + "/original"
    for verb, data, args, cost in stages:
        done += "|" + verb + " ".join(args)
        out = "%s/m-%s" % (OUT, "".join(c if c.isalnum() or c in ".-" else "_" for c in name)) + ("" if (verb, data, args, cost) == stages[-1] else "-first")
        note = out + "/recipe.json"
        if os.path.exists(note) and json.load(open(note))["args"] == done:
            spent = json.load(open(note))["seconds"]
        else:
            files = ["--data", OUT + "/data/keep.jsonl"] if verb == "train" else ["--forget", OUT + "/data/forget.jsonl", "--retain", "%s/data/%s.jsonl" % (OUT, data)]
            spent = run([verb, "--model", OUT + "/shape" if verb == "train" else model] + files + args + COMMON + ["--out", out])
            json.dump({"args": done, "seconds": spent}, open(note, "w"))
            if os.path.exists(out + "/audit.json"):
                os.remove(out + "/audit.json")
        model, docs, seconds = out, docs + cost, seconds + spent
    return model, docs, seconds


def audit(models):
    """What the audit says of each; of those in OUT already, what it said."""
    new = [m for m in models if not os.path.exists(m + "/audit.json")]
    if new:
        run(["audit", "--model", ",".join(new), "--original", OUT + "/original", "--control", OUT + "/control",
             "--forget", OUT + "/data/forget.jsonl", "--retain", OUT + "/data/retain.jsonl", "--phantom", OUT + "/data/phantom.jsonl",
             "--rephrased", OUT + "/data/rephrased.jsonl", "--attack-lr", "0.002", "--max-new", "4", "--out", OUT + "/audit"] + COMMON)
        for where, said in zip(new, json.load(open(OUT + "/audit/report.json"))["models"]):
            json.dump(said, open(where + "/audit.json", "w"))
    return [json.load(open(m + "/audit.json")) for m in models]


def main():
    if not os.path.exists(OUT + "/control/config.json"):
        subprocess.call([UNLEARN, "audit", "--self-test", "--seed", SEED, "--only", "original", "--profile", "quick", "--out", OUT] + COMMON[:2] + COMMON[4:])
    made = [make(name, stages) for name, stages in RECIPES]
    judged = audit([m[0] for m in made])
    print("| recipe | cost, % | s | verdict | s | strongest recovery | by | ranks kept | says kept |\n|---|--:|--:|---|--:|--:|---|--:|--:|")
    for (name, _), (_, docs, seconds), m in zip(RECIPES, made, judged):
        e = m["evidence"]
        found = [(p["rho"]["value"], p["id"]) for p in m["probes"] if p.get("rho") and p["role"] != "shown"] + [((e["depth"] or {}).get("value") or 0, "depth")]
        verdict = m["verdict"] + (" (else %s)" % m["secondary"] if m["verdict"] == "damaged" else "")
        print("| %s | %.0f | %.0f | **%s** | %.2f | %.2f | %s | %.2f | %.2f |" % ((name, 100 * docs / CONTROL, seconds, verdict, e["s"]["value"]) + max(found) + (e["utility_K1"]["value"], e["utility_said"]["value"])))


main()
