"""eval-speed.py - TOFU's evaluation as open-unlearning runs it, for timing it beside `unlearn eval` (repro/eval-speed.md).

Mirrors open-unlearning d3d7cf9, src/evals/metrics/{memorization,utils}.py and src/data/{qa,collators,utils}.py with the
configuration of configs/eval/tofu.yaml and configs/eval/tofu_metrics/: every metric has its own data set, its own collator
and its own pass; batch_size 32, one DataLoader without workers, tokenisation when a row is fetched; probabilities from
model(**batch) with the logits of all positions and CrossEntropyLoss(reduction="none"); several answers of a row are several
batches; generation left-padded, greedy, max_new_tokens 200, use_cache; rouge_score with the Porter stemmer, rouge1 and rougeL;
exact memorization and extraction strength from a pass each, log_softmax over all positions. A named result is computed
once and reused (pre_compute cache), as there. float32: what a CPU is fastest with. Not mirrored: hydra, logging, JSON.

    python repro/eval-speed.py MODEL TOFU_DIR [--threads 2] [--default] [--rows N]

--default: only what tofu.yaml switches on (no exact memorization, no paraphrase ROUGE of the forget set)."""
import argparse
import json
import time

import torch
from rouge_score import rouge_scorer
from torch.utils.data import DataLoader, Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer

IGNORE = -100
ap = argparse.ArgumentParser()
ap.add_argument("model")
ap.add_argument("tofu")
ap.add_argument("--threads", type=int, default=2)
ap.add_argument("--default", action="store_true")
ap.add_argument("--rows", type=int, default=0)
args = ap.parse_args()
torch.set_num_threads(args.threads)
clock = time.perf_counter()
cpu = time.process_time()
tok = AutoTokenizer.from_pretrained(args.model)
model = AutoModelForCausalLM.from_pretrained(args.model, torch_dtype=torch.float32).eval()


class QA(Dataset):
    def __init__(self, name, key, generate=False):
        rows = [json.loads(line) for line in open(f"{args.tofu}/{name}_perturbed.json")]
        self.rows = rows[: args.rows] if args.rows else rows
        self.key, self.generate = key, generate

    def __len__(self):
        return len(self.rows)

    def item(self, question, answer, index):
        prompt = "Question: " + question + "\n" + "Answer: "
        ids = tok(prompt + answer, add_special_tokens=True, max_length=512, truncation=True)["input_ids"]
        head = tok(prompt, add_special_tokens=True)["input_ids"]
        if ids[-1] != tok.eos_token_id:
            ids = ids + [tok.eos_token_id]
        if self.generate:
            return {"input_ids": torch.tensor(head), "labels": torch.tensor(ids), "index": index}
        labels = [IGNORE] * len(head) + ids[len(head):]
        return {"input_ids": torch.tensor(ids), "labels": torch.tensor(labels), "index": index}

    def __getitem__(self, i):
        row = self.rows[i]
        answer = row[self.key]
        if isinstance(answer, str):
            return self.item(row["question"], answer, i)
        return {k: self.item(row["question"], a, i) for k, a in enumerate(answer)}


def pad(seqs, value, left):
    n = max(len(s) for s in seqs)
    out = torch.full((len(seqs), n), value, dtype=torch.long)
    for i, s in enumerate(seqs):
        if left:
            out[i, n - len(s):] = s
        else:
            out[i, :len(s)] = s
    return out


def collate(left):
    def one(items):
        ids = pad([x["input_ids"] for x in items], tok.pad_token_id, left)
        return {"input_ids": ids, "attention_mask": ids.ne(tok.pad_token_id), "index": [x["index"] for x in items],
                "labels": pad([x["labels"] for x in items], IGNORE, left)}

    def both(items):
        if "input_ids" in items[0]:
            return {"0": one(items)}
        return {k: one([x[k] for x in items if k in x]) for k in items[0]}
    return both


def passes(name, key, function, left=False):
    out = {}
    for batch in DataLoader(QA(name, key, left), batch_size=32, collate_fn=collate(left)):
        for k, mini in batch.items():
            for i, value in zip(mini.pop("index"), function(mini)):
                out.setdefault(i, {})[k] = value
    return out


def probability(batch):
    with torch.no_grad():
        logits = model(**batch).logits
    labels = batch["labels"][..., 1:].contiguous()
    logits = logits[..., :-1, :].contiguous()
    losses = torch.nn.CrossEntropyLoss(ignore_index=IGNORE, reduction="none")(logits.transpose(-1, -2), labels).sum(-1)
    avg = losses / (labels != IGNORE).sum(-1)
    return list(zip(torch.exp(-avg).tolist(), avg.tolist()))


def tokenwise(batch):
    with torch.no_grad():
        logits = model(**batch).logits
    labels, out = batch["labels"], []
    log_probs = torch.nn.functional.log_softmax(logits, dim=-1)[:, :-1, :]
    for i in range(len(labels)):
        index = (labels[i] != IGNORE).nonzero(as_tuple=True)[0][:-1]
        out.append((log_probs[i, index - 1], labels[i, index]))
    return out


def exact_memorization(batch):
    return [(torch.argmax(lp, -1) == y).float().mean().item() for lp, y in tokenwise(batch)]


def extraction_strength(batch):
    out = []
    for lp, y in tokenwise(batch):
        preds, k = torch.argmax(lp, -1), 0
        for k in range(len(y)):
            if torch.equal(preds[k:], y[k:]):
                break
        out.append(1 - k / len(y) if len(y) else 0)
    return out


def rouge(batch):
    prompts = tok.batch_decode(batch["input_ids"], skip_special_tokens=True, clean_up_tokenization_spaces=True)
    full = tok.batch_decode([y[y != IGNORE] for y in batch["labels"]], skip_special_tokens=True, clean_up_tokenization_spaces=True)
    truth = [f.replace(p, "").strip() for f, p in zip(full, prompts)]
    with torch.no_grad():
        ids = model.generate(batch["input_ids"], attention_mask=batch["attention_mask"], do_sample=False, top_p=None,
                             temperature=None, max_new_tokens=200, use_cache=True, pad_token_id=tok.eos_token_id)
    said = tok.batch_decode(ids[:, batch["input_ids"].shape[-1]:], skip_special_tokens=True, clean_up_tokenization_spaces=True)
    scorer = rouge_scorer.RougeScorer(["rouge1", "rougeL"], use_stemmer=True)
    return [scorer.score(t, g.strip())["rougeL"].recall for t, g in zip(truth, said)]


def mean(values):
    rows = [sum(x[0] if isinstance(x, tuple) else x for x in v.values()) / len(v) for v in values.values()]
    return sum(rows) / len(rows)


plan = []
for short, name, keys in (("forget", "forget10", ("answer", "paraphrased_answer", "perturbed_answer")),
                          ("retain", "retain", ("answer", "paraphrased_answer", "perturbed_answer")),
                          ("ra", "real_authors", ("answer", "perturbed_answer")),
                          ("wf", "world_facts", ("answer", "perturbed_answer"))):
    title = {"answer": "Q_A", "paraphrased_answer": "Q_A_PARA", "perturbed_answer": "Q_A_PERT"}
    plan += [(f"{short}_{title[k]}_Prob", name, k, probability, False) for k in keys]
    plan.append((f"{short}_Q_A_ROUGE", name, "answer", rouge, True))
if not args.default:
    plan.append(("forget_Q_A_PARA_ROUGE", "forget10", "paraphrased_answer", rouge, True))
    plan.append(("exact_memorization", "forget10", "answer", exact_memorization, False))
plan.append(("extraction_strength", "forget10", "answer", extraction_strength, False))
began = time.perf_counter()
spent = {}
for title, name, key, function, left in plan:
    t = time.perf_counter()
    value = mean(passes(name, key, function, left))
    spent[function.__name__] = spent.get(function.__name__, 0) + time.perf_counter() - t
    print(f"{title:30s} {value:.6f}  {time.perf_counter() - t:7.2f} s", flush=True)
print(f"evaluation {time.perf_counter() - began:.2f} s, with opening the model {time.perf_counter() - clock:.2f} s, "
      + f"processor {time.process_time() - cpu:.2f} s; "
      + ", ".join(f"{k} {v:.1f} s" for k, v in spent.items()))
