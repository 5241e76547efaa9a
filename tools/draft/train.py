"""Trains the feature draft on what the target wrote; stops, goes on and decays by the clock.

Loss at every base drawn among the assistant's tokens, for every unrolled step: cross-entropy to the
target's law, plus the total variation distance to it (1 - overlap, which is the chance that a sampled
guess is refused), plus a small distance to the target's next hidden state.
"""

import argparse
import json
import os
import time
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from background import become_idle, parse_deadline, wait_while_paused
from draft import FeatureDraft, export
from features import CACHE_DIR, TeacherRows
from loss import HeadLoss
from texts import ASSISTANT, rounds

BASES_PER_TOKEN = 0.5
STEP_DECAY = 0.4  # weight of an unrolled step relative to the one before


@dataclass
class Batch:
    token_ids: torch.Tensor  # int64 [batch, seq]
    hidden_states: torch.Tensor  # float32 [batch, seq, hidden]
    teacher_ids: torch.Tensor  # int64 [batch, seq, teacher tokens]: distribution of the token at each position
    teacher_probs: torch.Tensor  # float32, same shape
    bases: torch.Tensor  # int64 [batch, bases]; the first guess is about base + 2
    counts: torch.Tensor  # bool [batch, bases]: False where a short answer had to be padded


class Corpus:
    """All rounds whose teacher rows are in the cache; new ones are found when an epoch begins.

    A batch holds texts of one length, tokens_per_batch in all, and trains BASES_PER_TOKEN of its positions.
    """

    def __init__(self, seed: int, tokens_per_batch: int, num_steps: int, max_rounds: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.tokens_per_batch, self.num_steps, self.max_rounds = tokens_per_batch, num_steps, max_rounds
        self.rounds: dict[str, tuple] = {}
        self.queue: list[list[tuple[str, int]]] = []  # batches of (round, row)
        self.epochs_begun = 0

    def _begin_epoch(self) -> None:
        for kept in islice(rounds(), self.max_rounds):
            if kept.name not in self.rounds and (CACHE_DIR / f"{kept.name}.log_probs.npy").exists():
                self.rounds[kept.name] = (kept.ids, kept.roles, TeacherRows.load(CACHE_DIR / kept.name))
        if not self.rounds:
            raise SystemExit("no training text: run synthesise.py, or features.py after a clone")
        for length in sorted({ids.shape[1] for ids, _, _ in self.rounds.values()}):
            rows = [
                (name, row)
                for name, (ids, roles, _) in self.rounds.items()
                if ids.shape[1] == length
                for row in np.flatnonzero(self._usable(roles).any(1))
            ]
            order = self.rng.permutation(len(rows))
            size = max(1, self.tokens_per_batch // length)
            self.queue += [[rows[i] for i in order[at : at + size]] for at in range(0, len(rows), size)]
        self.queue = [self.queue[i] for i in self.rng.permutation(len(self.queue))]
        self.epochs_begun += 1

    @property
    def num_tokens(self) -> int:
        return sum(ids.size for ids, _, _ in self.rounds.values())

    def next_batch(self) -> Batch:
        if not self.queue:
            self._begin_epoch()
        picked = self.queue.pop()
        ids = np.stack([self.rounds[name][0][row] for name, row in picked]).astype(np.int64)
        roles = np.stack([self.rounds[name][1][row] for name, row in picked])
        teachers = [(self.rounds[name][2], row) for name, row in picked]
        bases, counts = zip(*(self._draw_bases(row) for row in roles))
        return Batch(
            torch.from_numpy(ids),
            torch.from_numpy(np.stack([t.hidden_states[row] for t, row in teachers]).astype(np.float32)),
            torch.from_numpy(np.stack([t.token_ids[row] for t, row in teachers]).astype(np.int64)),
            torch.from_numpy(np.stack([t.log_probs[row] for t, row in teachers]).astype(np.float32)).exp(),
            torch.from_numpy(np.stack(bases)),
            torch.from_numpy(np.stack(counts)),
        )

    def _usable(self, roles: np.ndarray) -> np.ndarray:
        """bool [..., seq - num_steps - 1]: bases whose guesses 1 … num_steps all are about the assistant's own tokens."""
        spoken = roles == ASSISTANT
        count = roles.shape[-1] - self.num_steps - 1
        return np.logical_and.reduce([spoken[..., 2 + step : 2 + step + count] for step in range(self.num_steps)])

    def _draw_bases(self, roles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        num_bases = int(len(roles) * BASES_PER_TOKEN)
        drawn = self.rng.permutation(np.flatnonzero(self._usable(roles)))[:num_bases]
        counts = np.arange(num_bases) < len(drawn)
        return np.pad(drawn, (0, num_bases - len(drawn))), counts


def losses(draft: FeatureDraft, batch: Batch, inverse: torch.Tensor, num_steps: int, tv_weight: float, hidden_state_weight: float):
    """The loss and, per step, [cross-entropy, overlap, greedy agreement]; inverse maps target ids to head rows or -1."""
    total, reports = torch.zeros(()), torch.zeros(num_steps, 3)
    head = draft.served_head()
    for step, output in enumerate(draft.unroll(batch.token_ids, batch.hidden_states, batch.bases, num_steps)):
        num_bases = output.shape[1]
        counts, rows = batch.counts[:, :num_bases], torch.arange(len(output))[:, None]
        about = batch.bases[:, :num_bases] + 2 + step
        chosen = output[counts]
        head_rows = inverse[batch.teacher_ids[rows, about][counts]]
        probs = batch.teacher_probs[rows, about][counts]
        loss = HeadLoss.apply(chosen, head, head_rows, probs, tv_weight, reports[step])
        hidden_state_error = F.smooth_l1_loss(chosen, batch.hidden_states[rows, about - 1][counts])
        total = total + STEP_DECAY**step * (loss + hidden_state_weight * hidden_state_error)
    return total, reports.numpy()


class Checkpoint:
    """Weights, optimiser and counters in one file, replaced whole."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def save(self, **state) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_suffix(".partial")
        torch.save(state, partial)
        os.replace(partial, self.path)

    def load(self) -> dict | None:
        return torch.load(self.path, weights_only=True) if self.path.exists() else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--start-from", type=Path, required=True, help="folder of the feature draft whose weights are the beginning")
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoint.pt, curve.jsonl and exports")
    parser.add_argument("--until", required=True, help="HH:MM in UTC; the learning rate falls to zero by then")
    parser.add_argument("--max-tokens", type=float, default=float("inf"), help="ends earlier, after this many trained bases")
    parser.add_argument("--learning-rate", type=float, default=8e-4)
    parser.add_argument("--tokens-per-batch", type=int, default=2560)
    parser.add_argument("--steps", type=int, default=3, help="unrolled steps")
    parser.add_argument("--tv-weight", type=float, default=1.0)
    parser.add_argument("--hidden-state-weight", type=float, default=0.1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--export-every", type=int, default=200_000, help="trained bases between exports")
    parser.add_argument("--max-rounds", type=int, default=10**9)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    become_idle(args.threads)
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)

    args.out.mkdir(parents=True, exist_ok=True)
    draft = FeatureDraft(args.start_from)
    inverse = torch.full((len(draft.embedding),), -1)
    inverse[draft.draft_to_target] = torch.arange(len(draft.draft_to_target))
    matrices = [p for p in draft.parameters() if p.dim() == 2]
    gains = [p for p in draft.parameters() if p.dim() == 1]
    groups = [{"params": matrices, "weight_decay": 0.01}, {"params": gains, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=args.learning_rate, betas=(0.9, 0.95))
    checkpoint = Checkpoint(args.out / "checkpoint.pt")
    started, step, trained, seed = time.time(), 0, 0, args.seed
    if state := checkpoint.load():
        draft.load_state_dict(state["draft"])
        optimiser.load_state_dict(state["optimiser"])
        started, step, trained = state["started"], state["step"], state["trained"]
        seed += step  # other batches than those already seen
    corpus = Corpus(seed, args.tokens_per_batch, args.steps, args.max_rounds)
    deadline = parse_deadline(args.until)

    def save() -> None:
        checkpoint.save(draft=draft.state_dict(), optimiser=optimiser.state_dict(), started=started, step=step, trained=trained)

    def snapshot() -> None:
        save()
        export(draft, args.start_from, args.out / f"export-{trained}")

    recent, next_export, last_save = [], trained + args.export_every, time.time()
    while True:
        wait_while_paused()
        if time.time() >= deadline or trained >= args.max_tokens:
            break
        progress = max((time.time() - started) / (deadline - started), trained / args.max_tokens)
        for group in optimiser.param_groups:
            group["lr"] = args.learning_rate * min(1, (step + 1) / 50, (1 - progress) / 0.7)
        batch = corpus.next_batch()
        loss, report = losses(draft, batch, inverse, args.steps, args.tv_weight, args.hidden_state_weight)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(draft.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
        step, trained = step + 1, trained + int(batch.counts.sum())
        recent.append(report)
        if step % 25 == 0:
            cross_entropy, overlap, agreement = np.mean(recent, 0, dtype=np.float64).T.round(3).tolist()
            line = {
                "step": step, "trained": trained, "corpus_tokens": corpus.num_tokens, "epoch": corpus.epochs_begun,
                "minutes": round((time.time() - started) / 60, 1), "cross_entropy": cross_entropy, "overlap": overlap, "agreement": agreement,
            }  # fmt: skip
            with open(args.out / "curve.jsonl", "a") as file:
                file.write(json.dumps(line) + "\n")
            recent.clear()
        if time.time() - last_save > 120:
            save()
            last_save = time.time()
        if trained >= next_export:
            snapshot()
            next_export += args.export_every
    snapshot()
    (args.out / "finished").write_text(f"export-{trained}\n")


if __name__ == "__main__":
    main()
