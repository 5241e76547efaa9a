"""Run with `python -m unittest` in this folder; seconds, no training."""

import json
import random
import re
import tempfile
import unittest
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import numpy as np
import torch
from tokenizers import Tokenizer

import openings
import prompts
import synthesise
import texts
import train
from draft import FeatureDraft, export
from evaluate import PROMPTS_FILE, Answer, OnnxModel, replay
from features import HERE, TARGET_DIR, TeacherRows
from head import rechoose
from loss import HeadLoss
from onnx_weights import dequantise_4bit, dequantise_8bit, load_initialisers, quantise_4bit, quantise_8bit, rounded_to_4_bits
from run import SHIPPED_DRAFT
from synthesise import END_OF_TURN, MAX_PROMPT_TOKENS, PROMPT_TEMPERATURE, TEMPERATURES, Chat
from texts import ASSISTANT, FORCED, Round, rounds, save_round


def template_pattern(template: str) -> re.Pattern:
    """Matches every instance of a template, whatever fills it; openings too bare to tell apart need a listed filling."""
    lists = {"t": prompts.TOPICS, "u": prompts.TOPICS, "v": prompts.TOPICS, "p": prompts.PEOPLE, "c": prompts.PLACES,
             "l": prompts.LANGUAGES, "m": prompts.LANGUAGES, "f": prompts.TASKS, "g": prompts.TASKS}  # fmt: skip
    parts = re.split(r"\{(\w)\}", template)
    text = ""
    for i, part in enumerate(parts):
        text += re.escape(part) if i % 2 == 0 else "(?:" + "|".join(map(re.escape, lists.get(part, [r"\d+"]))) + ")"
    return re.compile(text.replace(r"\\d\+", r"\d+"), re.IGNORECASE)


class EvaluationPrompts(unittest.TestCase):
    def test_there_are_a_hundred_different_ones_and_none_is_an_instance_of_a_template(self):
        found = json.loads(PROMPTS_FILE.read_text())
        self.assertEqual(len(set(found)), 100)
        patterns = [template_pattern(t) for t in prompts.GENERAL + prompts.CODE]
        self.assertEqual([p for p in found if any(x.fullmatch(p) for x in patterns)], [])

    def test_openings_are_short_and_never_the_better_part_of_one(self):
        found = json.loads(PROMPTS_FILE.read_text())
        every = openings.STATEMENTS + openings.QUESTIONS + openings.REQUESTS
        self.assertEqual([o for o in every if len(o.split()) > openings.MAX_WORDS], [])
        better_parts = [(o, p) for o in every for p in found if p.lower().startswith(o.lower()) and len(o) > len(p) / 2]
        self.assertEqual(better_parts, [])

    def test_half_of_the_openings_go_on_with_a_word_of_the_vocabulary(self):
        words = openings.words_of({"Ġwalrus": 1, "Ġthe": 2, "alrus": 3, "ĠParis": 4, "Ġx86": 5, "ĠJSON": 6})
        self.assertEqual(words, ["Paris", "walrus"])
        rng = random.Random(0)
        drawn = [openings.random_opening(rng, words) for _ in range(1000)]
        self.assertAlmostEqual(sum(o.endswith((" Paris", " walrus")) for o in drawn) / 1000, openings.WORD_SHARE, delta=0.05)

    def test_no_training_text_contains_one(self):
        """Nor a prompt of the benchmarks."""
        tokenizer = Tokenizer.from_file(str(TARGET_DIR / "tokenizer.json"))
        benchmarks = (HERE.parent.parent / "bench" / "src" / "prompts.ts").read_text()
        wanted = json.loads(PROMPTS_FILE.read_text()) + re.findall(r"^  '(.*)',$", benchmarks, re.MULTILINE)
        self.assertGreater(len(wanted), 140)
        everything = "\n".join(text for kept in rounds() for text in tokenizer.decode_batch(kept.ids.tolist())).lower()
        self.assertEqual([prompt for prompt in wanted if prompt.lower() in everything], [])

    def test_the_check_finds_a_planted_instance(self):
        patterns = [template_pattern(t) for t in prompts.GENERAL]
        self.assertTrue(any(x.fullmatch("What is the difference between gravity and tea?") for x in patterns))


class Weights(unittest.TestCase):
    def test_quantising_twice_changes_nothing_but_the_last_bit_of_scales(self):
        weights = np.random.default_rng(0).normal(size=(8, 128)).astype(np.float32)
        once = dequantise_8bit(*quantise_8bit(weights))
        self.assertLess(np.abs(once - weights).max(), 0.02)
        self.assertLess(np.abs(dequantise_8bit(*quantise_8bit(once)) - once).max(), 2e-3)

    def test_four_bits_come_back_as_the_rounding_that_training_sees(self):
        weights = np.random.default_rng(0).normal(size=(8, 128)).astype(np.float32)
        weights[2] = 0
        packed, scales = quantise_4bit(weights)
        self.assertEqual((packed.shape, scales.shape), ((8, 2, 32), (8, 2)))
        rounded = rounded_to_4_bits(torch.from_numpy(weights)).numpy()
        np.testing.assert_array_equal(dequantise_4bit(packed, scales), rounded)
        self.assertTrue(0.05 < np.abs(rounded - weights).max() < np.abs(weights).max() / 8 * 1.001)
        np.testing.assert_allclose(rounded_to_4_bits(torch.from_numpy(rounded)).numpy(), rounded, rtol=1e-3)

    def test_an_export_of_untouched_weights_has_the_shipped_graph_and_bytes(self):
        with tempfile.TemporaryDirectory() as folder:
            export(FeatureDraft(SHIPPED_DRAFT), SHIPPED_DRAFT, Path(folder) / "out")
            before, after = load_initialisers(SHIPPED_DRAFT), load_initialisers(Path(folder) / "out")
            self.assertEqual(before.keys(), after.keys())
            self.assertEqual([n for n in before if n.endswith(("_Q8", "_Q4")) and not np.array_equal(before[n], after[n])], [])


class Head(unittest.TestCase):
    def test_rows_that_stay_keep_their_weights_and_new_ones_follow_the_target_s_as_those_do(self):
        target_head = torch.randn(40, 4, generator=torch.Generator().manual_seed(0))
        known = torch.arange(2, 30)
        rows = target_head[known] * 0.5 + 3
        rows[3] += 0.01  # token 5 has a weight of its own
        draft = SimpleNamespace(draft_to_target=known, head=SimpleNamespace(data=rows, shape=rows.shape))
        tokens = np.array([1, 5, 7, 33])
        self.assertEqual(rechoose(draft, tokens, target_head), 2)
        self.assertEqual(draft.draft_to_target.tolist(), tokens.tolist())
        torch.testing.assert_close(draft.head.data[[1, 2]], rows[[3, 5]], rtol=0, atol=0)
        torch.testing.assert_close(draft.head.data[[0, 3]], target_head[[1, 33]] * 0.5 + 3, rtol=0, atol=0.02)

    def test_a_head_of_other_rows_and_bits_is_exported_with_a_graph_that_runs(self):
        draft = FeatureDraft(SHIPPED_DRAFT)
        kept = torch.arange(0, len(draft.head), 2)
        draft.draft_to_target = draft.draft_to_target[kept]
        torch.manual_seed(0)
        draft.head.data = draft.head.data[kept] + 0.02 * torch.randn(len(kept), draft.hidden_size)  # on no grid of few bits
        ids, hidden_states = [17, 18, 19], np.random.default_rng(0).normal(size=(3, draft.hidden_size)).astype(np.float32)
        with tempfile.TemporaryDirectory() as folder:
            logits = {}
            for draft.head_bits in (8, 4):
                out = Path(folder) / str(draft.head_bits)
                export(draft, SHIPPED_DRAFT, out)
                again = FeatureDraft(out)
                self.assertEqual((again.head_bits, len(again.head)), (draft.head_bits, len(kept)))
                torch.testing.assert_close(again.served_head(), draft.served_head(), rtol=0, atol=0.02)
                self.assertEqual(again.draft_to_target.tolist(), draft.draft_to_target.tolist())
                logits[draft.head_bits] = OnnxModel(out).run(ids, hidden_states)[0][-1]
            own = draft.head.data.numpy() @ OnnxModel(SHIPPED_DRAFT).run(ids, hidden_states)[1][-1]
            self.assertGreater(np.corrcoef(logits[8], own)[0, 1], 0.9995)
            correlation = np.corrcoef(logits[4], own)[0, 1]
            self.assertTrue(0.97 < correlation < 0.9995, f"four bits: {correlation}")


class Unrolling(unittest.TestCase):
    def test_the_training_steps_are_the_served_graph_s_steps(self):
        torch.manual_seed(0)
        draft, served = FeatureDraft(SHIPPED_DRAFT), OnnxModel(SHIPPED_DRAFT)
        ids, hidden_states = torch.randint(17, 9000, (1, 24)), torch.randn(1, 24, draft.hidden_size)
        base = 15
        with torch.no_grad():
            outputs = draft.unroll(ids, hidden_states, torch.tensor([[base, base]]), 3)
            mine = [draft.logits(output)[0, 0].numpy() for output in outputs]
        tokens = ids[0].tolist()
        logits, own = served.run(tokens[1 : base + 2], hidden_states[0, : base + 1].numpy())
        for step in range(3):
            if step > 0:
                logits, own = served.run([tokens[base + 1 + step]], own[-1:])
            correlation = np.corrcoef(mine[step], logits[-1])[0, 1]
            self.assertGreater(correlation, 0.995, f"step {step}")


class Loss(unittest.TestCase):
    def test_the_closed_gradients_are_those_of_autograd(self):
        torch.manual_seed(0)
        hidden = torch.randn(300, 64).bfloat16().float().requires_grad_()
        head = (torch.randn(512, 64) * 0.3).bfloat16().float().requires_grad_()
        rows = torch.stack([torch.randperm(512)[:24] for _ in range(300)])
        rows[torch.rand(rows.shape) < 0.1] = -1
        probs = torch.rand(300, 24).softmax(-1) * 0.9
        report = torch.zeros(3)
        loss = HeadLoss.apply(hidden, head, rows, probs, 2.0, report)
        loss.backward()
        mine = hidden.grad.clone(), head.grad.clone()
        hidden.grad = head.grad = None
        log_q = (hidden @ head.T).log_softmax(-1).gather(1, rows.clamp(min=0))
        p = probs * (rows >= 0)
        overlap = torch.minimum(p, log_q.exp()).sum(-1).mean()
        expected = -(p * log_q).sum(-1).mean() + 2.0 * (1 - overlap)
        expected.backward()
        self.assertAlmostEqual(loss.item(), expected.item(), delta=0.02)
        self.assertAlmostEqual(report[1].item(), overlap.item(), delta=0.005)
        for got, wanted in zip(mine, (hidden.grad, head.grad)):
            self.assertGreater(torch.cosine_similarity(got.flatten(), wanted.flatten(), 0).item(), 0.999)


class Texts(unittest.TestCase):
    def test_batches_hold_no_text_without_an_answer(self):
        """Rounds that were cut short have some; a batch of nothing else would have no loss."""
        roles = np.full((40, 16), FORCED, np.uint8)
        roles[::10, 8:] = ASSISTANT
        roles[1::10, -2:] = ASSISTANT  # too short for three guesses
        with (
            tempfile.TemporaryDirectory() as folder,
            mock.patch.object(texts, "DATA_DIR", Path(folder)),
            mock.patch.object(train, "CACHE_DIR", Path(folder)),
        ):
            for seed, spoken in ((1, roles), (2, np.full_like(roles, FORCED))):
                save_round(Round(seed, np.zeros((40, 16), np.uint16), spoken))
                TeacherRows.empty(40, 16, 4).save(Path(folder) / f"round-{seed}")
            corpus = train.Corpus(seed=0, tokens_per_batch=32, num_steps=3, max_rounds=10)
            batches = [corpus.next_batch() for _ in range(4)]
        self.assertEqual(corpus.epochs_begun, 2)  # four texts, two a batch
        self.assertTrue(all(batch.counts.any(1).all() for batch in batches))


class Replay(unittest.TestCase):
    class Parrot:
        """A draft that guesses from a fixed list, whatever it is given."""

        def __init__(self, guesses):
            self.guesses, self.length, self.calls = guesses, 0, []

        def run(self, token_ids, hidden_states):
            self.calls.append((list(token_ids), len(hidden_states)))
            self.length += len(token_ids)
            return np.eye(10)[[self.guesses.pop(0)]], np.zeros((len(token_ids), 4))

    def test_rounds_are_those_of_greedy_speculation(self):
        text = Answer([1, 2, 3], [4, 5, 6, 7, 8, 9], np.zeros((8, 4)))
        # tokens after the first: 5 6 7 | 8 9; the first round accepts 5 and misses 6, the second accepts 7 and 8
        draft = self.Parrot([5, 0, 7, 8, 9])
        result = replay(draft, np.arange(10), [text], 2, 6)
        self.assertEqual(draft.calls[0], ([2, 3, 4], 3))
        self.assertEqual(draft.calls[2], ([5, 6], 2))
        self.assertEqual(result.num_rounds, 2)
        self.assertEqual(result.acceptance_by_position, [1.0, 0.5])


class Chats(unittest.TestCase):
    """Encoded texts are three tokens each, 100 to 102, whatever they are; the target always says 50."""

    def chat(self, opened_share: float) -> Chat:
        with mock.patch.object(synthesise, "OPENED_SHARE", opened_share):
            return Chat(lambda text: [100, 101, 102], ["walrus"], random.Random(0))

    def test_an_ended_answer_is_followed_by_another_prompt(self):
        chat = self.chat(opened_share=0)
        self.assertEqual([chat.take(50)[1] for _ in range(4)], [FORCED] * 3 + [ASSISTANT])
        self.assertEqual(chat.take(END_OF_TURN), (END_OF_TURN, ASSISTANT))
        self.assertEqual(chat.take(50), (100, FORCED))

    def test_the_target_goes_on_with_an_opening_until_it_ends_the_prompt(self):
        chat = self.chat(opened_share=1)
        self.assertEqual([chat.take(50) for _ in range(5)], [(100, FORCED), (101, FORCED), (102, FORCED), (50, FORCED), (50, FORCED)])
        self.assertEqual(chat.temperature, PROMPT_TEMPERATURE)
        self.assertEqual(chat.take(END_OF_TURN), (100, FORCED))  # the end of the prompt as encoded
        self.assertIn(chat.temperature, TEMPERATURES)
        self.assertEqual([chat.take(50) for _ in range(3)], [(101, FORCED), (102, FORCED), (50, ASSISTANT)])

    def test_a_prompt_without_end_is_cut_off(self):
        chat = self.chat(opened_share=1)
        taken = [chat.take(50) for _ in range(3 + MAX_PROMPT_TOKENS + 4)]
        self.assertEqual(taken.count((50, FORCED)), MAX_PROMPT_TOKENS)
        self.assertEqual(taken[-4:], [(100, FORCED), (101, FORCED), (102, FORCED), (50, ASSISTANT)])


if __name__ == "__main__":
    unittest.main()
