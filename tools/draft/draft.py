"""The feature draft in PyTorch: one decoder layer on [embedding of the next token; target's feature].

Knows how the weights lie in the ONNX folder (it is read from there and written back there) and how a
proposal unrolls. At base t the draft reads token t+1 with the target's hidden state at t and predicts token
t+2; each further step reads the next token with the draft's own last output in its place.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from onnx import numpy_helper
from torch import nn

from onnx_weights import dequantise_4bit, dequantise_8bit, load_initialisers, quantise_4bit, quantise_8bit, rounded_to_4_bits
from target import BF16, rotate

LAYER = "model.layers.0"
MATRICES = {  # parameter name -> name in the graph; each is there as _Q8 (the head as _Q4 or _Q8) and _scales
    "fuse": "draft.fc",
    "qkv": f"{LAYER}.attn.qkv_proj.MatMul.weight",
    "o": f"{LAYER}.attn.o_proj.MatMul.weight",
    "gate": f"{LAYER}.mlp.gate_proj.MatMul.weight",
    "up": f"{LAYER}.mlp.up_proj.MatMul.weight",
    "down": f"{LAYER}.mlp.down_proj.MatMul.weight",
    "head": "lm_head",
}
NORMS = {
    "attention_norm": f"{LAYER}.input_layernorm.weight",
    "mlp_norm": f"{LAYER}.post_attention_layernorm.weight",
    "final_norm": "model.layers.1.final_norm_layernorm.weight",
}


DEEP_SHARE = 0.2  # of the bases are unrolled past the first step


class FeatureDraft(nn.Module):
    """Parameters in float32; matrix products in bfloat16. The embedding stays as it is served.

    head_bits (4 or 8) is how the head is stored. Eight bits change nothing worth training for; four do, so
    the head is used as it will be read, and gradients pass through the rounding as if it were not there.
    """

    def __init__(self, folder: Path, max_positions: int = 1024) -> None:
        super().__init__()
        weights = load_initialisers(folder)
        config = json.loads((folder / "config.json").read_text())
        self.num_heads, self.num_kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
        self.head_dim, self.hidden_size = config["head_dim"], config["hidden_size"]
        for name, at in MATRICES.items():
            eight_bits = f"{at}_Q8" in weights
            dequantise, packed = (dequantise_8bit, weights[f"{at}_Q8"]) if eight_bits else (dequantise_4bit, weights[f"{at}_Q4"])
            setattr(self, name, nn.Parameter(torch.from_numpy(dequantise(packed, weights[f"{at}_scales"]))))
        self.head_bits = 8 if f"{MATRICES['head']}_Q8" in weights else 4
        for name, at in NORMS.items():
            setattr(self, name, nn.Parameter(torch.from_numpy(weights[at].copy())))
        self.embedding = torch.from_numpy(dequantise_4bit(weights["embed.q4"], weights["embed.scales"]))
        self.draft_to_target = torch.from_numpy(np.fromfile(folder / config["draft_to_target"], "<i4").astype(np.int64))
        self.cos = torch.from_numpy(weights["cos_cache"][:max_positions].copy()).repeat(1, 2)
        self.sin = torch.from_numpy(weights["sin_cache"][:max_positions].copy()).repeat(1, 2)

    def unroll(
        self, token_ids: torch.Tensor, hidden_states: torch.Tensor, bases: torch.Tensor, num_steps: int
    ) -> list[torch.Tensor]:
        """Outputs of num_steps steps; step s at base t is about token t + 2 + s.

        The first is [batch, bases, hidden]; the others are about the first bases * DEEP_SHARE of them (at least
        one), since a deeper step teaches less and costs the same. token_ids int64 [batch, seq], hidden_states
        float32 [batch, seq, hidden], bases int64 [batch, bases] with bases + num_steps < seq. Keys and values
        are made for every position, the rest of the layer only at the bases: with one layer nothing else is
        ever read.
        """
        w = {name: getattr(self, name).to(BF16) for name in MATRICES if name != "head"}
        batch = len(bases)
        length = token_ids.shape[1] - num_steps
        group = self.num_heads // self.num_kv_heads
        q_size, kv_size = self.num_heads * self.head_dim, self.num_kv_heads * self.head_dim
        embedded = self.embedding[token_ids].to(BF16)
        rows = torch.arange(batch)[:, None]

        def split_heads(x: torch.Tensor) -> torch.Tensor:
            return x.view(*x.shape[:2], -1, self.head_dim).transpose(1, 2)

        x = torch.cat([embedded[:, 1 : length + 1], hidden_states[:, :length].to(BF16)], -1) @ w["fuse"].T
        k, v = (self._norm(x.float(), self.attention_norm) @ w["qkv"][q_size:].T).split(kv_size, -1)
        context_k = rotate(split_heads(k).float(), self.cos[:length], self.sin[:length]).to(BF16).repeat_interleave(group, 1)
        context_v = split_heads(v).repeat_interleave(group, 1)
        future = torch.arange(length)[None, None, None] > bases[:, None, :, None]  # [batch, 1, bases, length]
        x = x[rows, bases]
        outputs: list[torch.Tensor] = []
        own_k: list[torch.Tensor] = []  # of the steps after the first, [batch, heads, bases, head dim]
        own_v: list[torch.Tensor] = []
        for step in range(num_steps):
            if step == 1:
                bases = bases[:, : max(1, int(bases.shape[1] * DEEP_SHARE))]
                future = future[:, :, : bases.shape[1]]
            if step > 0:
                last = outputs[-1][:, : bases.shape[1]].to(BF16)
                x = torch.cat([embedded[rows, bases + 1 + step], last], -1) @ w["fuse"].T
            h = x.float()
            y = self._norm(h, self.attention_norm)
            cos, sin = self.cos[bases + step][:, None], self.sin[bases + step][:, None]
            q = rotate(split_heads(y @ w["qkv"][:q_size].T).float(), cos, sin).to(BF16)
            scores = (q @ context_k.transpose(-1, -2)).float().masked_fill(future, float("-inf"))
            if step > 0:
                k, v = (y @ w["qkv"][q_size:].T).split(kv_size, -1)
                own_k.append(rotate(split_heads(k).float(), cos, sin).to(BF16).repeat_interleave(group, 1))
                own_v.append(split_heads(v).repeat_interleave(group, 1))
                own = torch.stack([(q * key).sum(-1) for key in own_k], -1).float()
                scores = torch.cat([scores, own], -1)
            probs = (scores / self.head_dim**0.5).softmax(-1).to(BF16)
            a = probs[..., :length] @ context_v
            for i, value in enumerate(own_v):
                a = a + probs[..., length + i, None] * value
            h = h + (a.transpose(1, 2).reshape(*bases.shape, -1) @ w["o"].T).float()
            y = self._norm(h, self.mlp_norm)
            h = h + ((F.silu(y @ w["gate"].T) * (y @ w["up"].T)) @ w["down"].T).float()
            outputs.append(F.rms_norm(h, (self.hidden_size,), self.final_norm, 1e-5))
        return outputs

    def logits(self, outputs: torch.Tensor) -> torch.Tensor:
        """float32 [..., draft vocabulary]."""
        return (outputs.to(BF16) @ self.served_head().to(BF16).T).float()

    def served_head(self) -> torch.Tensor:
        """float32 [draft vocabulary, hidden], rounded as it is stored."""
        if self.head_bits == 8:
            return self.head
        return self.head + (rounded_to_4_bits(self.head.detach()) - self.head.detach())

    def _norm(self, h: torch.Tensor, gain: torch.Tensor) -> torch.Tensor:
        return F.rms_norm(h, (self.hidden_size,), gain, 1e-5).to(BF16)


def export(draft: FeatureDraft, like: Path, out: Path) -> None:
    """Writes a folder as `like` with the weights of `draft`: the same graph but for the head's rows and bits."""
    weights = load_initialisers(like)
    for name, at in NORMS.items():
        weights[at] = getattr(draft, name).detach().numpy()
    for name, at in MATRICES.items():
        bits = draft.head_bits if name == "head" else 8
        quantise = quantise_8bit if bits == 8 else quantise_4bit
        weights[f"{at}_Q{bits}"], weights[f"{at}_scales"] = quantise(getattr(draft, name).detach().numpy())
    model = onnx.load(str(like / "model.onnx"), load_external_data=False)
    _fit_head(model.graph, draft)
    for tensor in model.graph.initializer:
        tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(weights[tensor.name]), tensor.name))
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    for file in like.iterdir():
        if not file.name.startswith("model.onnx"):
            shutil.copy(file, out)
    onnx.save(model, str(out / "model.onnx"), save_as_external_data=True, location="model.onnx.data", size_threshold=256)
    config = json.loads((like / "config.json").read_text())
    config["draft_vocab_size"] = len(draft.head)
    (out / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    draft.draft_to_target.numpy().astype("<i4").tofile(out / config["draft_to_target"])


def _fit_head(graph: onnx.GraphProto, draft: FeatureDraft) -> None:
    """Gives the head's node, its weights' name and the output `logits` the draft's rows and bits."""
    [node] = [node for node in graph.node if node.name == MATRICES["head"]]
    for attribute in node.attribute:
        attribute.i = {"N": len(draft.head), "bits": draft.head_bits}.get(attribute.name, attribute.i)
    [packed] = [tensor for tensor in graph.initializer if tensor.name == node.input[1]]
    packed.name = node.input[1] = f"{MATRICES['head']}_Q{draft.head_bits}"
    [logits] = [output for output in graph.output if output.name == "logits"]
    logits.type.tensor_type.shape.dim[-1].dim_value = len(draft.head)
