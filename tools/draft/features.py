"""What the target thought at every position of a kept text: hidden states and likeliest next tokens.

They are large (about 1.3 KB a token against 2 bytes of token id), follow from the ids, and so live in
a cache folder that git does not see. Run as a program, this computes what the cache lacks.
"""

import argparse
import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from background import become_idle, parse_deadline, wait_while_paused
from target import Target
from texts import rounds

HERE = Path(__file__).parent
TARGET_DIR = HERE.parent.parent / "models" / "smollm2-135m-instruct-int8"
CACHE_DIR = Path(os.environ.get("FORERUNNER_DRAFT_CACHE", HERE / ".cache"))
NUM_TEACHER_TOKENS = 24


@dataclass
class TeacherRows:
    """Rows of one round; the teacher of position t is the target's distribution of the token at t."""

    hidden_states: np.ndarray  # float16 [batch, seq, hidden]
    token_ids: np.ndarray  # uint16 [batch, seq, NUM_TEACHER_TOKENS], likeliest first
    log_probs: np.ndarray  # float16, same shape

    @staticmethod
    def empty(batch: int, seq: int, hidden_size: int) -> "TeacherRows":
        return TeacherRows(
            np.zeros((batch, seq, hidden_size), np.float16),
            np.zeros((batch, seq, NUM_TEACHER_TOKENS), np.uint16),
            np.full((batch, seq, NUM_TEACHER_TOKENS), -30, np.float16),
        )

    def set_teacher(self, position, top: torch.return_types.topk, logits: torch.Tensor) -> None:
        self.token_ids[:, position] = top.indices.numpy().astype(np.uint16)
        self.log_probs[:, position] = (top.values - logits.logsumexp(-1, keepdim=True)).numpy()

    def save(self, stem: Path) -> None:
        stem.parent.mkdir(parents=True, exist_ok=True)
        for name in ("hidden_states", "token_ids", "log_probs"):
            np.save(f"{stem}.{name}.npy", getattr(self, name))

    @staticmethod
    def load(stem: Path) -> "TeacherRows":
        """Memory-mapped; FileNotFoundError where the cache lacks the round."""
        return TeacherRows(*(np.load(f"{stem}.{n}.npy", mmap_mode="r") for n in ("hidden_states", "token_ids", "log_probs")))


def teacher_rows(target: Target, ids: np.ndarray, batch: int) -> TeacherRows:
    """The rows of kept texts, uint16 [texts, seq], by whole passes over `batch` texts at a time."""
    rows = TeacherRows.empty(*ids.shape, target.hidden_size)
    cache = target.new_cache(batch, ids.shape[1])
    for start in range(0, len(ids), batch):
        wait_while_paused()
        part = slice(start, start + batch)
        texts = torch.from_numpy(ids[part].astype(np.int64))
        hidden = target.forward(texts, 0, cache[:, :, : len(texts)])
        rows.hidden_states[part] = hidden.half().numpy()
        logits = target.logits(hidden[:, :-1])
        top = logits.topk(NUM_TEACHER_TOKENS)
        rows.token_ids[part, 1:] = top.indices.numpy().astype(np.uint16)
        rows.log_probs[part, 1:] = (top.values - logits.logsumexp(-1, keepdim=True)).numpy()
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rounds", nargs="*", help="names such as round-0; all if none is given")
    parser.add_argument("--batch", type=int, default=4, help="texts in one pass")
    parser.add_argument("--until", help="HH:MM in UTC: no round is begun after that")
    args = parser.parse_args()
    become_idle()
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    deadline = parse_deadline(args.until)
    missing = [
        kept
        for kept in rounds()
        if kept.name in (args.rounds or [kept.name]) and not (CACHE_DIR / f"{kept.name}.log_probs.npy").exists()
    ]
    target = Target(TARGET_DIR, 1024) if missing else None
    for kept in missing:
        if time.time() > deadline:
            break
        start = time.time()
        teacher_rows(target, kept.ids, args.batch).save(CACHE_DIR / kept.name)
        print(f"{kept.name}: {kept.ids.size / (time.time() - start):.0f} tokens/s", flush=True)


if __name__ == "__main__":
    main()
