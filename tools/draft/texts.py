"""The texts that the target wrote, kept in data/ as rounds: what synthesise.py adds and everything else reads.

A round is one batch of chats of one length: token ids and who spoke each of them. New rounds lie there as
files of their own, data/round-N.npz (N is the seed); packed, many rounds of one kind are one file named for
what it holds, and git sees only those. Readers see no difference. Knows nothing of models; needs numpy only.
"""

import argparse
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

DATA_DIR = Path(__file__).parent / "data"
FORCED, ASSISTANT = 0, 2  # roles of tokens (FORCED: whatever the draft need not guess); 1 is the user in older data


@dataclass(frozen=True)
class Round:
    seed: int
    ids: np.ndarray  # uint16 [batch, length]
    roles: np.ndarray  # uint8, same shape

    @property
    def name(self) -> str:
        return f"round-{self.seed}"


def _loose_path(seed: int) -> Path:
    return DATA_DIR / f"round-{seed}.npz"


def _loose_paths() -> list[Path]:
    return sorted(DATA_DIR.glob("round-*.npz"))


def _packs() -> list[Path]:
    return [path for path in sorted(DATA_DIR.glob("*.npz")) if not path.name.startswith("round-")]


def round_names() -> list[str]:
    """Of every round, packed or not, in the order in which `rounds` gives them."""
    packed = [f"round-{seed}" for path in _packs() for seed in np.load(path)["seeds"]]
    return sorted(packed + [path.stem for path in _loose_paths()])


def rounds() -> Iterator[Round]:
    """Every round, packed or not, ascending by name."""
    found = [_loose_round(path) for path in _loose_paths()]
    for path in _packs():
        found += _rounds_of(path)
    yield from sorted(found, key=lambda kept: kept.name)


def _loose_round(path: Path) -> Round:
    return Round(int(path.stem.removeprefix("round-")), **np.load(path))


def _rounds_of(path: Path) -> list[Round]:
    held = np.load(path)
    return [Round(int(seed), ids, roles) for seed, ids, roles in zip(held["seeds"], held["ids"], held["roles"])]


def save_round(kept: Round) -> Path:
    DATA_DIR.mkdir(exist_ok=True)
    np.savez_compressed(_loose_path(kept.seed), ids=kept.ids, roles=kept.roles)
    return _loose_path(kept.seed)


def pack(kind: str, seeds: range) -> Path:
    """Moves loose rounds of one shape into data/<kind>.npz, beside those that are in it already."""
    path = DATA_DIR / f"{kind}.npz"
    moved = [kept for kept in map(_loose_round, _loose_paths()) if kept.seed in seeds]
    taken = sorted(moved + (_rounds_of(path) if path.exists() else []), key=lambda kept: kept.seed)
    shapes = {kept.ids.shape for kept in taken}
    if len(shapes) != 1:
        raise SystemExit(f"{kind}: only rounds of one shape can be packed together, these have {sorted(shapes)}")
    np.savez_compressed(
        path,
        seeds=np.array([kept.seed for kept in taken], np.int64),
        ids=np.stack([kept.ids for kept in taken]),
        roles=np.stack([kept.roles for kept in taken]),
    )
    if digest(_rounds_of(path)) != digest(taken):
        raise SystemExit(f"{path} does not read as what was written; the loose rounds are still there")
    for kept in moved:
        _loose_path(kept.seed).unlink()
    return path


def digest(kept_rounds: Iterable[Round]) -> str:
    """sha256 of rounds in the order given: names, shapes and contents, however they are stored."""
    found = hashlib.sha256()
    for kept in kept_rounds:
        found.update(f"{kept.name} {kept.ids.shape} {kept.ids.dtype} {kept.roles.dtype}\n".encode())
        found.update(kept.ids.tobytes())
        found.update(kept.roles.tobytes())
    return found.hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(description="Says what data/ holds; with a kind and seeds, packs these rounds first.")
    parser.add_argument("kind", nargs="?", help="name of the file to pack into, such as templates-short")
    parser.add_argument("--from", type=int, dest="first", default=0, help="the lowest seed to pack")
    parser.add_argument("--to", type=int, dest="last", default=2**62, help="the highest seed to pack")
    args = parser.parse_args()
    if args.kind:
        pack(args.kind, range(args.first, args.last + 1))
    kept = list(rounds())
    num_tokens, num_answered = sum(k.ids.size for k in kept), sum(int((k.roles == ASSISTANT).sum()) for k in kept)
    print(f"{len(kept)} rounds, {num_tokens} tokens, {num_answered} of them answers, sha256 {digest(kept)}")


if __name__ == "__main__":
    main()
