"""Writes transformers-golden.json: what the processors of Hugging Face's transformers, in the order in which `generate` puts
them, make of some rows. Needs torch and transformers.

    python3 packages/sampling/test/transformers_golden.py > packages/sampling/test/transformers-golden.json
"""

import json

import torch
import transformers
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

V = 60
model = LlamaForCausalLM(
    LlamaConfig(vocab_size=V, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1)
)
CASES = [
    {},
    {"temperature": 0.6},
    {"temperature": 1.7, "top_k": 12},
    {"top_p": 0.8},
    {"min_p": 0.1},
    {"temperature": 0.9, "top_k": 30, "top_p": 0.9, "min_p": 0.02},
    {"repetition_penalty": 1.3},
    {"repetition_penalty": 0.7, "temperature": 0.8},
    {"logit_bias": {"3": 2.5, "17": -4.0}},
    {"suppress_tokens": [0, 5, 31]},
    {
        "logit_bias": {"2": 3.0, "9": -1.0},
        "repetition_penalty": 1.2,
        "suppress_tokens": [7, 8],
        "temperature": 1.2,
        "top_k": 25,
        "top_p": 0.85,
        "min_p": 0.03,
    },
]
ORDER = ["SequenceBias", "RepetitionPenalty", "SuppressTokens", "Temperature", "TopK", "TopP", "MinP"]

golden = []
torch.manual_seed(7)
for case in CASES:
    config = GenerationConfig(
        do_sample=True,
        temperature=case.get("temperature", 1.0),
        top_k=case.get("top_k", 0),
        top_p=case.get("top_p", 1.0),
        min_p=case.get("min_p"),
        repetition_penalty=case.get("repetition_penalty", 1.0),
        sequence_bias=[[[int(v)], b] for v, b in case["logit_bias"].items()] if "logit_bias" in case else None,
        suppress_tokens=case.get("suppress_tokens"),
    )
    text = torch.randint(0, V, (1, 12))
    logits = torch.randn(1, V) * 2.5
    processors = model._get_logits_processor(config, input_ids_seq_length=12, device="cpu")
    names = [type(one).__name__.removesuffix("LogitsProcessor").removesuffix("LogitsWarper") for one in processors]
    assert names == [name for name in ORDER if name in names], names
    probs = torch.softmax(processors(text, logits.clone()).double(), dim=-1)[0]
    golden.append({"sampling": case, "processors": names, "text": text[0].tolist(), "logits": logits[0].tolist(), "probs": probs.tolist()})

print(json.dumps({"torch": torch.__version__, "transformers": transformers.__version__, "cases": golden}))
