#!/usr/bin/env python3
"""Writes components.json: what the tokenizers library (pip install tokenizers==0.22.2) makes of small texts with every
normalizer, pre-tokenizer, decoder and post-processor. The model is the same everywhere and is built by the test: BPE with
the 256 byte tokens, no merges and a prefix on continuing characters, so that the ids show the text and its cuts."""
import json
import os
from tokenizers import AddedToken, Regex, Tokenizer, __version__
from tokenizers import decoders as D, models as M, normalizers as N, pre_tokenizers as P, processors as R

TEXTS = ["", "  Héllo wörld, it's 1234567 don't\n\n x  ", "a\u0301\ufb01x\u2581Ab\u3000\u00bd \u65e5\u672c 😀!?--th",
         "<s> foo bar</s>the THE  the<x>  "]
GPT4 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|"
        r"\s+(?!\S)|\s+")
NORM = [N.NFC(), N.NFD(), N.NFKC(), N.NFKD(), N.Lowercase(), N.StripAccents(), N.Nmt(), N.BertNormalizer(),
        N.BertNormalizer(False, False, True, False), N.Strip(), N.Strip(True, False), N.Prepend("▁"), N.Replace(" ", "▁"),
        N.Replace(Regex(r"\s+"), " "), N.ByteLevel(), N.Sequence([N.NFKD(), N.Lowercase(), N.Prepend("_")])]
BEHAVIOR = ["isolated", "removed", "contiguous", "merged_with_previous", "merged_with_next"]
PRE = [P.ByteLevel(True), P.ByteLevel(False, use_regex=False), P.Split(Regex(GPT4), "isolated"),
       P.Split(Regex(r"\w{2,3}+|(?m:\n.x)|[^\S\n]|\u00e9"), "removed", True), P.Split(Regex(r"\b"), "isolated"),
       P.Metaspace("▁", "always"), P.Metaspace("▁", "first", False), P.Metaspace("▁", "never"), P.Whitespace(),
       P.WhitespaceSplit(), P.Digits(True), P.Digits(False), P.Punctuation(), P.BertPreTokenizer(),
       P.CharDelimiterSplit("l"), P.Sequence([P.Whitespace(), P.Split("l", "merged_with_next")])] + \
      [P.Split(" ", b, i) for b in BEHAVIOR for i in (False, True)] + [P.Punctuation(b) for b in BEHAVIOR[2:]]
DEC = [D.ByteLevel(), D.ByteFallback(), D.Fuse(), D.Metaspace(), D.BPEDecoder("5>"), D.WordPiece("<0x2"), D.Strip("<", 1, 0),
       D.Replace("<0x", " "), D.Replace(Regex("x[0-9]"), "-"), D.Sequence([D.ByteFallback(), D.Fuse(), D.Strip(" ", 1, 1)])]
TEMPLATE = R.TemplateProcessing(single="<s> $A </s>", pair="$B:2 <s>:3 $A", special_tokens=[("<s>", 257), ("</s>", 258)])
POST = [R.ByteLevel(), R.BertProcessing(("</s>", 258), ("<s>", 257)), R.RobertaProcessing(("</s>", 258), ("<s>", 257)),
        TEMPLATE, R.Sequence([R.ByteLevel(), TEMPLATE])]
ADDED = [[AddedToken("<s>", special=True), AddedToken("the", single_word=True)],
         [AddedToken("<s>", rstrip=True, normalized=False), AddedToken("</s>", lstrip=True, special=True)],
         [AddedToken("THE", normalized=True), AddedToken(" foo", normalized=False), AddedToken("<x>", lstrip=True, rstrip=True)],
         [AddedToken("o"), AddedToken("oo", normalized=False), AddedToken("foo bar"), AddedToken("  ", rstrip=True)]]


def case(normalizer=None, pre=None, decoder=None, post=None, added=(), lower=False):
    t = Tokenizer(M.BPE(vocab={**{"<0x%02X>" % b: b for b in range(256)}, "<unk>": 256}, merges=[], unk_token="<unk>",
                        byte_fallback=True, continuing_subword_prefix="\x01"))
    t.add_special_tokens(["<S>", "</S>"]) if post else None
    for a in added:
        t.add_tokens([a])
    if lower:
        t.normalizer = N.Lowercase()
    if normalizer:
        t.normalizer = normalizer
    if pre:
        t.pre_tokenizer = pre
    if decoder:
        t.decoder = decoder
    if post:
        t.post_processor = post
    t = Tokenizer.from_str(t.to_str())
    out = {k: v for k, v in json.loads(t.to_str()).items() if k not in ("model", "version", "truncation", "padding")}
    out["cases"] = []
    for s in TEXTS:
        e = t.encode(s)
        out["cases"].append({"text": s, "ids": e.ids,
                             "decoded": t.decode(e.ids, skip_special_tokens=True) if e.ids and (decoder or post or added) else None})
        if post:
            p = t.encode(s, "p Q")
            out["cases"][-1].update(pair_ids=p.ids, pair_types=p.type_ids)
    return out


cases = [case(normalizer=n) for n in NORM] + [case(pre=p) for p in PRE] + [case(decoder=d) for d in DEC]
cases += [case(post=p) for p in POST] + [case(added=a) for a in ADDED] + [case(added=a, lower=True) for a in ADDED]
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "components.json"), "w") as f:
    f.write('{"made_with": "tokenizers %s", "tokenizers": [\n' % __version__)
    f.write(",\n".join(json.dumps(c, separators=(",", ":")) for c in cases))
    f.write("\n]}\n")
