"""Chooses the rows of the draft's head: the tokens that answers consist of most. Leaves a folder to train from.

Rows that stay keep their weights. A new one begins as the target's own row, sent through the affine map
that takes the target's rows closest to the draft's, for those tokens that the draft has.
"""

import argparse
from pathlib import Path

import numpy as np
import torch

from draft import FeatureDraft, export
from features import TARGET_DIR
from target import Target
from texts import ASSISTANT, rounds


def likeliest_tokens(count: int, vocab_size: int) -> np.ndarray:
    """int64 [count], ascending: the tokens seen most among the assistant's own in data/, and how much of them they are."""
    seen = np.zeros(vocab_size, np.int64)
    for kept in rounds():
        seen += np.bincount(kept.ids[kept.roles == ASSISTANT], minlength=vocab_size)
    chosen = np.sort(np.argsort(-seen, kind="stable")[:count])
    print(f"{count} rows are {seen[chosen].sum() / seen.sum():.4f} of {seen.sum()} tokens")
    return chosen


def rechoose(draft: FeatureDraft, tokens: np.ndarray, target_head: torch.Tensor) -> int:
    """Gives the head the rows of `tokens`; returns how many of them are new."""
    known = draft.draft_to_target
    inputs = torch.cat([target_head.double(), torch.ones(len(target_head), 1)], 1)
    fit = torch.linalg.lstsq(inputs[known], draft.head.data.double()).solution
    rows = (inputs @ fit).float()
    rows[known] = draft.head.data
    draft.head.data = rows[tokens]
    draft.draft_to_target = torch.from_numpy(tokens)
    return len(np.setdiff1d(tokens, known.numpy()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("draft", type=Path, help="folder of a feature draft")
    parser.add_argument("out", type=Path, help="the folder to write")
    parser.add_argument("--rows", type=int, help="of the head; as many as before if not given")
    parser.add_argument("--bits", type=int, choices=[4, 8], help="of the head's weights; as before if not given")
    args = parser.parse_args()
    draft, target = FeatureDraft(args.draft), Target(TARGET_DIR, 1)
    draft.head_bits = args.bits or draft.head_bits
    num_new = rechoose(draft, likeliest_tokens(args.rows or len(draft.head), len(target.head)), target.head)
    print(f"{num_new} of them are new")
    export(draft, args.draft, args.out)


if __name__ == "__main__":
    main()
