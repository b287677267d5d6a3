#!/usr/bin/env python3
"""Writes test/data/stat_golden.h: what nltk, rouge_score, scipy and sklearn compute, for test/unit/stat.

  python3 -m venv v && v/bin/pip install nltk rouge_score scipy scikit-learn
  v/bin/python tools/make-stat-golden.py SHARED > test/data/stat_golden.h

SHARED: the folder of shared data (words come from its TOFU questions)."""
import json
import random
import re
import sys

import nltk
import numpy as np
import scipy
import sklearn
from nltk.stem.porter import PorterStemmer
from rouge_score import rouge_scorer
from scipy.stats import ks_2samp, hmean
from sklearn.metrics import roc_auc_score

rnd = random.Random(5)
shared = sys.argv[1]
rows = [json.loads(l) for l in open(shared + "/data/datasets/tofu/full.json")]
SUFFIXES = """ational tional enci anci izer bli alli entli eli ousli ization ation ator alism iveness fulness ousness
 aliti iviti biliti fulli logi icate ative alize iciti ical ful ness al ance ence er ic able ible ant ement ment ent ion
 ou ism ate iti ous ive ize ed ing ies ied eed s ss sses ll e y""".split()


def c_text(s):
    return '"' + "".join(chr(b) if 32 <= b < 127 and chr(b) not in '"\\?' else "\\%03o" % b for b in s.encode()) + '"'


def numbers(x):
    return ", ".join(float(v).hex() if np.isfinite(v) else "NAN" for v in x)


def words():
    seen = sorted({w for r in rows for w in re.findall(r"[a-z0-9]+", (r["question"] + r["answer"]).lower())})
    made = set()
    while len(made) < 250:
        w = "".join(rnd.choice("aeiouybcdlstz") for _ in range(rnd.randrange(1, 6)))
        made.add(w + rnd.choice(SUFFIXES) + rnd.choice(["", "", rnd.choice(SUFFIXES)]))
    stem = PorterStemmer().stem
    for w in rnd.sample(seen, 350) + sorted(made) + ["y", "yyy", "yyying", "skies", "dying", "outings", "proceed"]:
        yield w, stem(w)


def texts():
    plain = [r["answer"] for r in rows]
    yield "", ""
    yield "answer", "..."
    yield "Answer", "answer answer"
    yield "\u0130stanbul and 300 \u212a, caf\u00e9", "istanbul at 300 k cafe \u0130"
    for _ in range(40):
        a, b = rnd.choice(plain), rnd.choice(plain)
        mix = a.split()
        for i in range(len(mix)):
            if rnd.random() < 0.3:
                mix[i] = rnd.choice(b.split())
        yield a, " ".join(mix) if rnd.random() < 0.7 else b


def samples():
    for n, m, shift, ties in [(1, 1, 0, 0), (3, 3, 0, 1), (8, 5, 0.3, 0), (5, 8, 0.3, 1), (40, 40, 0.2, 0), (40, 100, 0.4, 0),
                              (97, 101, 0.1, 1), (200, 200, 3, 0), (400, 400, 0.6, 0), (117, 400, 1.5, 0), (60, 90, 5, 0)]:
        x, y = [], []
        for k, out in ((n, x), (m, y)):
            for _ in range(k):
                v = rnd.gauss(shift if out is y else 0, 1)
                out.append(round(v, 1) if ties else v)
        yield x, y


print("/* stat_golden.h - written by tools/make-stat-golden.py with nltk %s, rouge_score 0.1.2, scipy %s, scikit-learn %s. */"
      % (nltk.__version__, scipy.__version__, sklearn.__version__))
print("static const struct {\n    const char *word, *stem;\n} golden_stem[] = {")
for w, s in words():
    print("    {%s, %s}," % (c_text(w), c_text(s)))
print("};")
print("/* precision, recall, F1 of rouge1, rouge2, rougeL */\nstatic const struct {\n    const char *reference, *text;\n    int stem;\n    double want[9];\n} golden_rouge[] = {")
for ref, text in texts():
    for stem in (0, 1):
        s = rouge_scorer.RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=bool(stem)).score(ref, text)
        print("    {%s,\n     %s, %d,\n     {%s}}," % (c_text(ref), c_text(text), stem, numbers(
            [v for k in ("rouge1", "rouge2", "rougeL") for v in (s[k].precision, s[k].recall, s[k].fmeasure)])))
print("};")
print("/* ks_2samp and roc_auc_score (y positive) */")
cases = []
for i, (x, y) in enumerate(samples()):
    print("static const double golden_x%d[] = {%s};\nstatic const double golden_y%d[] = {%s};" % (i, numbers(x), i, numbers(y)))
    k = ks_2samp(x, y)
    cases.append((i, len(x), len(y), k.statistic, k.pvalue, roc_auc_score([0] * len(x) + [1] * len(y), x + y)))
print("static const struct {\n    const double *x, *y;\n    int n, m;\n    double d, p, auc;\n} golden_samples[] = {")
for i, n, m, d, p, auc in cases:
    print("    {golden_x%d, golden_y%d, %d, %d, %s}," % (i, i, n, m, numbers([d, p, auc])))
print("};")
print("/* ks_2samp beyond the exact limit: x[i] = i / n, y[j] = (j + 0.5) / m + shift */")
print("static const struct {\n    int n, m;\n    double shift, p;\n} golden_large[] = {")
for n, m, shift in [(12000, 15000, 0.0), (12000, 15000, 0.012), (20000, 11000, 0.02), (30000, 400, 0.05)]:
    k = ks_2samp([i / n for i in range(n)], [(j + 0.5) / m + shift for j in range(m)])
    print("    {%d, %d, %s}," % (n, m, numbers([shift, k.pvalue])))
print("};")
q = [0.3, 1.5, -2.0, 7.25, 3.0, 0.125, 9.5]
print("static const double golden_values[] = {%s};" % numbers(q))
print("static const double golden_quantile[][2] = {%s};" % ", ".join(
    "{%s}" % numbers([p, np.quantile(q, p)]) for p in (0, 0.025, 0.1, 0.5, 0.8, 0.975, 1)))
h = [0.8544994558393956, 0.7723959023847817, 0.5117212349329163, 0.42974441543830955, 0.8195, 0.5521560629573392]
print("static const double golden_positive[] = {%s};\nstatic const double golden_hmean = %s;" % (numbers(h), numbers([hmean(h)])))
