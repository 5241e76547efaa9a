"""Chooses the rows of the draft's head: the tokens that answers consist of most. Leaves a folder to train from.

As many rows as before; those that stay keep their weights, a new one begins as the target's own.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch

from draft import FeatureDraft, export
from features import DATA_DIR, TARGET_DIR
from synthesise import ASSISTANT
from target import Target


def likeliest_tokens(count: int, vocab_size: int) -> np.ndarray:
    """int64 [count], ascending: the tokens seen most among the assistant's own in data/, and how much of them they are."""
    seen = np.zeros(vocab_size, np.int64)
    for path in DATA_DIR.glob("round-*.npz"):
        kept = np.load(path)
        seen += np.bincount(kept["ids"][kept["roles"] == ASSISTANT], minlength=vocab_size)
    chosen = np.sort(np.argsort(-seen, kind="stable")[:count])
    print(f"{count} rows are {seen[chosen].sum() / seen.sum():.4f} of {seen.sum()} tokens")
    return chosen


def rechoose(draft: FeatureDraft, tokens: np.ndarray, target_head: torch.Tensor) -> int:
    """Gives the head the rows of `tokens`; returns how many of them are new."""
    before = {token: row for row, token in enumerate(draft.draft_to_target.tolist())}
    head = target_head[tokens].float()
    stayed = [(row, before[token]) for row, token in enumerate(tokens.tolist()) if token in before]
    to, of = (torch.tensor(rows) for rows in zip(*stayed))
    head[to] = draft.head.data[of]
    draft.head.data = head
    draft.draft_to_target = torch.from_numpy(tokens)
    return len(tokens) - len(stayed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("draft", type=Path, help="folder of a feature draft")
    parser.add_argument("out", type=Path, help="the folder to write")
    args = parser.parse_args()
    draft, target = FeatureDraft(args.draft), Target(TARGET_DIR, 1)
    num_new = rechoose(draft, likeliest_tokens(len(draft.head), len(target.head)), target.head)
    print(f"{num_new} of them are new")
    export(draft, args.draft, args.out)
    name = json.loads((args.draft / "config.json").read_text())["draft_to_target"]
    draft.draft_to_target.numpy().astype("<i4").tofile(args.out / name)


if __name__ == "__main__":
    main()
