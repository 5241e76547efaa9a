"""Run with `python -m unittest test_texts` in this folder; needs numpy only."""

import tempfile
import unittest
from pathlib import Path
from unittest import mock

import numpy as np

import texts
from texts import ASSISTANT, Round, digest, pack, round_names, rounds, save_round

# Of the 415 rounds that the repository's weights were trained on, as they were before they were packed.
NUM_ROUNDS, NUM_TOKENS, NUM_ANSWERED = 415, 11_781_120, 6_912_883
DIGEST = "31568e1e7eb340ff8fcd6f137b78753eede07b1411f3a3d7f5835ec7661aa6b4"


def some_round(seed: int, length: int = 16) -> Round:
    drawn = np.random.default_rng(seed)
    return Round(seed, drawn.integers(0, 49152, (4, length), np.uint16), drawn.integers(0, 3, (4, length), np.uint8))


class CommittedTexts(unittest.TestCase):
    def test_are_those_that_the_weights_were_trained_on(self):
        committed = [kept for path in texts._packs() for kept in texts._rounds_of(path)]
        committed.sort(key=lambda kept: kept.name)
        self.assertEqual(len({kept.name for kept in committed}), NUM_ROUNDS)
        self.assertEqual(sum(kept.ids.size for kept in committed), NUM_TOKENS)
        self.assertEqual(sum(int((kept.roles == ASSISTANT).sum()) for kept in committed), NUM_ANSWERED)
        self.assertEqual(digest(committed), DIGEST)


class Packing(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.data = Path(folder.name)
        patch = mock.patch.object(texts, "DATA_DIR", self.data)
        patch.start()
        self.addCleanup(patch.stop)

    def test_changes_nothing_for_a_reader(self):
        for seed in (2, 10, 7):
            save_round(some_round(seed))
        before, names = digest(rounds()), round_names()
        self.assertEqual(names, ["round-10", "round-2", "round-7"])
        pack("some", range(0, 8))
        self.assertEqual([path.name for path in sorted(self.data.iterdir())], ["round-10.npz", "some.npz"])
        self.assertEqual((digest(rounds()), round_names()), (before, names))
        pack("some", range(8, 100))
        self.assertEqual([path.name for path in self.data.iterdir()], ["some.npz"])
        self.assertEqual((digest(rounds()), round_names()), (before, names))

    def test_refuses_rounds_of_different_shapes_and_keeps_them(self):
        save_round(some_round(1))
        save_round(some_round(2, length=8))
        with self.assertRaisesRegex(SystemExit, "one shape"):
            pack("some", range(0, 8))
        self.assertEqual(round_names(), ["round-1", "round-2"])

    def test_a_digest_tells_one_other_token(self):
        kept = some_round(1)
        other = Round(1, kept.ids.copy(), kept.roles)
        other.ids[3, 5] ^= 1
        self.assertNotEqual(digest([kept]), digest([other]))


if __name__ == "__main__":
    unittest.main()
