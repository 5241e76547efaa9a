"""The target in PyTorch, for making training text: batched, bfloat16, hidden states included.

Reads the same 8-bit ONNX folder that is served, so nothing else has to be fetched. It is not
bit-equal to the served graph (that one rounds activations to 8 bits) and never serves anybody.
"""

import json
from pathlib import Path

import torch
import torch.nn.functional as F

from onnx_weights import dequantise_8bit, load_initialisers

BF16 = torch.bfloat16


class Target:
    """A Llama-shaped causal LM. Key and value caches belong to the caller: see new_cache."""

    def __init__(self, folder: Path, max_positions: int) -> None:
        config = json.loads((folder / "config.json").read_text())
        self.num_layers = config["num_hidden_layers"]
        self.hidden_size = config["hidden_size"]
        self.num_heads = config["num_attention_heads"]
        self.num_kv_heads = config["num_key_value_heads"]
        self.head_dim = config["head_dim"]
        weights = load_initialisers(folder)
        self.cos = torch.from_numpy(weights["cos_cache"][:max_positions]).repeat(1, 2)
        self.sin = torch.from_numpy(weights["sin_cache"][:max_positions]).repeat(1, 2)
        self.embedding = torch.from_numpy(dequantise_8bit(weights["embed.q8"], weights["embed.scales"]))
        self.head = self.embedding.to(BF16)  # [vocabulary, hidden]: shared with the embedding
        self.final_norm = torch.from_numpy(weights[f"model.layers.{self.num_layers}.final_norm_layernorm.weight"])

        def matrix(name: str) -> torch.Tensor:
            name = f"{name}.MatMul.weight"
            return torch.from_numpy(dequantise_8bit(weights[f"{name}_Q8"], weights[f"{name}_scales"])).to(BF16)

        def layer(i: int) -> dict[str, torch.Tensor]:
            at = f"model.layers.{i}"
            return {
                "attention_norm": torch.from_numpy(weights[f"{at}.input_layernorm.weight"]),
                "mlp_norm": torch.from_numpy(weights[f"{at}.post_attention_layernorm.weight"]),
                "qkv": matrix(f"{at}.attn.qkv_proj"),
                "o": matrix(f"{at}.attn.o_proj"),
                "gate_up": torch.cat([matrix(f"{at}.mlp.gate_proj"), matrix(f"{at}.mlp.up_proj")]),
                "down": matrix(f"{at}.mlp.down_proj"),
            }

        self.layers = [layer(i) for i in range(self.num_layers)]

    def new_cache(self, batch: int, capacity: int) -> torch.Tensor:
        """Zeroed bfloat16 cache [layers, 2 (key, value), batch, kv heads, capacity, head dim]."""
        shape = (self.num_layers, 2, batch, self.num_kv_heads, capacity, self.head_dim)
        return torch.zeros(shape, dtype=BF16)

    def forward(self, token_ids: torch.Tensor, position: int, cache: torch.Tensor) -> torch.Tensor:
        """Hidden states (the head's input) float32 [batch, seq, hidden] of token_ids int64 [batch, seq].

        All rows start at the same position; one token per row, or the whole text from position 0.
        """
        batch, seq = token_ids.shape
        end = position + seq
        cos, sin = self.cos[position:end], self.sin[position:end]
        sizes = [n * self.head_dim for n in (self.num_heads, self.num_kv_heads, self.num_kv_heads)]
        group = self.num_heads // self.num_kv_heads
        h = self.embedding[token_ids]
        for layer, (keys, values) in zip(self.layers, cache):
            qkv = self._norm(h, layer["attention_norm"]) @ layer["qkv"].T
            q, k, v = (part.view(batch, seq, -1, self.head_dim).transpose(1, 2) for part in qkv.split(sizes, -1))
            keys[:, :, position:end] = rotate(k.float(), cos, sin)
            values[:, :, position:end] = v
            q = rotate(q.float(), cos, sin).to(BF16)
            if seq == 1:
                # the heads that share keys become query rows of one head: three times faster
                q = q.view(batch, self.num_kv_heads, group, self.head_dim)
                a = F.scaled_dot_product_attention(q, keys[:, :, :end], values[:, :, :end])
                a = a.reshape(batch, 1, -1)
            else:
                a = F.scaled_dot_product_attention(
                    q,
                    keys[:, :, :end].repeat_interleave(group, 1),
                    values[:, :, :end].repeat_interleave(group, 1),
                    is_causal=True,
                )
                a = a.transpose(1, 2).reshape(batch, seq, -1)
            h = h + a @ layer["o"].T
            gate, up = (self._norm(h, layer["mlp_norm"]) @ layer["gate_up"].T).chunk(2, -1)
            h = h + (F.silu(gate) * up) @ layer["down"].T
        return F.rms_norm(h, (self.hidden_size,), self.final_norm, 1e-5)

    def logits(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """float32 [..., vocabulary] of hidden states [..., hidden]."""
        return (hidden_states.to(BF16) @ self.head.T).float()

    def _norm(self, h: torch.Tensor, gain: torch.Tensor) -> torch.Tensor:
        return F.rms_norm(h, (self.hidden_size,), gain, 1e-5).to(BF16)


def rotate(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Rotary embedding of x [batch, heads, seq, head dim], first half paired with second half."""
    first, second = x.chunk(2, -1)
    return x * cos + torch.cat([-second, first], -1) * sin
