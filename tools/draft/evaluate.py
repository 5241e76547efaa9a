"""Greedy speculation of feature drafts on prompts that no template knows, without the services.

The target writes its greedy answer to every prompt once (two rows a pass, as it is served) and its
hidden states are kept. A draft is then replayed over these texts: in greedy speculation the output is
always the target's own text, so the rounds, and with them acceptance, are those of the real thing, and
only the draft has to run.
"""

import argparse
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
import numpy as np
import onnxruntime
from tokenizers import Tokenizer

from background import become_idle, wait_while_paused
from features import CACHE_DIR, HERE, TARGET_DIR
from synthesise import DEFAULT_SYSTEM, END_OF_TURN

PROMPTS_FILE = HERE / "eval-prompts.json"
CAPACITY = 512


class OnnxModel:
    """A causal-LM folder on one CPU thread, batch 1, with the cache in place."""

    def __init__(self, folder: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"])
        config = json.loads((folder / "config.json").read_text())
        shape = (1, config["num_key_value_heads"], CAPACITY, config["head_dim"])
        self.binding = self.session.io_binding()
        self.cache = {}
        for value in self.session.get_inputs():
            if value.name.startswith("past_key_values"):
                buffer = onnxruntime.OrtValue.ortvalue_from_numpy(np.zeros(shape, np.float32))
                self.cache[value.name] = buffer
                self.binding.bind_ortvalue_input(value.name, buffer)
                self.binding.bind_ortvalue_output(value.name.replace("past_key_values", "present"), buffer)
        self.length = 0

    def run(self, token_ids: list[int], hidden_states: np.ndarray | None = None, rows: int = 1) -> tuple[np.ndarray, np.ndarray]:
        """Logits of the last `rows` rows and hidden states of all; the cache grows by len(token_ids)."""
        binding = self.binding
        binding.bind_cpu_input("input_ids", np.array([token_ids], np.int64))
        binding.bind_cpu_input("attention_mask", np.ones((1, self.length + len(token_ids)), np.int64))
        binding.bind_cpu_input("num_logits_to_keep", np.array(rows, np.int64))
        if hidden_states is not None:
            binding.bind_cpu_input("features", np.ascontiguousarray(hidden_states[None], np.float32))
        binding.bind_output("logits")
        binding.bind_output("hidden_states")
        self.session.run_with_iobinding(binding)
        named = dict(zip((o.name for o in self.session.get_outputs()), self._outputs()))
        self.length += len(token_ids)
        return named["logits"].numpy()[0], named["hidden_states"].numpy()[0]

    def _outputs(self):
        # bound outputs come back in the order of binding: the caches first, then what run() bound
        values = self.binding.get_outputs()
        order = [name.replace("past_key_values", "present") for name in self.cache] + ["logits", "hidden_states"]
        by_name = dict(zip(order, values))
        return [by_name[o.name] for o in self.session.get_outputs()]


@dataclass
class Answer:
    """What the target wrote: prompt ids, output ids (some more than are counted), hidden states of all but the last."""

    prompt: list[int]
    output: list[int]
    hidden_states: np.ndarray  # float32 [prompt + output - 1, hidden]


def greedy_answer(target: OnnxModel, prompt: list[int], num_tokens: int) -> Answer:
    target.length = 0
    logits, hidden = target.run(prompt)
    output, states = [int(logits[-1].argmax())], [hidden]
    while len(output) < num_tokens and output[-1] != END_OF_TURN:
        logits, hidden = target.run([output[-1]] * 2, rows=2)
        target.length -= 1
        output.append(int(logits[0].argmax()))
        states.append(hidden[:1])
    return Answer(prompt, output, np.concatenate(states))


def answers(num_tokens: int) -> list[Answer]:
    """The target's answers to eval-prompts.json; computed once, then read from the cache folder."""
    text = PROMPTS_FILE.read_text()
    graph = (TARGET_DIR / "model.onnx").read_bytes()
    path = CACHE_DIR / f"answers-{hashlib.sha256(text.encode() + graph).hexdigest()[:12]}-{num_tokens}.npy"
    if not path.exists():
        tokenizer = Tokenizer.from_file(str(TARGET_DIR / "tokenizer.json"))
        target = OnnxModel(TARGET_DIR)
        found = []
        for prompt in json.loads(text):
            wait_while_paused()
            chat = f"<|im_start|>system\n{DEFAULT_SYSTEM}<|im_end|>\n<|im_start|>user\n{prompt}<|im_end|>\n<|im_start|>assistant\n"
            found.append(greedy_answer(target, tokenizer.encode(chat, add_special_tokens=False).ids, num_tokens))
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, np.array([vars(answer) for answer in found], dtype=object), allow_pickle=True)
    return [Answer(**fields) for fields in np.load(path, allow_pickle=True)]


@dataclass
class Acceptance:
    acceptance_by_position: list[float]  # of the proposals tested at position k, how many the target wrote too
    mean_acceptance_length: float
    num_rounds: int


def replay(draft: OnnxModel, draft_to_target: np.ndarray, texts: list[Answer], k: int, num_tokens: int) -> Acceptance:
    """Rounds of k guesses over the first num_tokens tokens of every answer; guesses past its end don't count."""
    accepted, tested = np.zeros(k), np.zeros(k)
    lengths = []
    for text in texts:
        wait_while_paused()
        draft.length = 0
        committed = 1
        pending, hidden_states = text.prompt[1:] + text.output[:1], text.hidden_states[: len(text.prompt)]
        while committed < min(num_tokens, len(text.output)):
            truth = text.output[committed : committed + k]
            logits, own = draft.run(pending, hidden_states)
            kept_length = draft.length
            num_accepted = 0
            for position, token in enumerate(truth):
                guess = int(draft_to_target[logits[-1].argmax()])
                tested[position] += 1
                if guess != token:
                    break
                accepted[position] += 1
                num_accepted += 1
                if position + 1 < len(truth):
                    logits, own = draft.run([guess], own[-1:])
            draft.length = kept_length
            lengths.append(num_accepted + 1)
            start = len(text.prompt) + committed - 1
            pending = text.output[committed : committed + num_accepted + 1]
            hidden_states = text.hidden_states[start : start + len(pending)]
            committed += num_accepted + 1
    return Acceptance((accepted / np.maximum(tested, 1)).round(3).tolist(), round(float(np.mean(lengths)), 3), len(lengths))


def evaluate(folder: Path, k: int, num_tokens: int) -> Acceptance:
    draft_to_target = np.fromfile(folder / "d2t.i32", "<i4")
    return replay(OnnxModel(folder), draft_to_target, answers(num_tokens + 8), k, num_tokens)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("drafts", nargs="+", type=Path, help="folders of feature drafts")
    parser.add_argument("--k", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=64, help="counted per prompt")
    args = parser.parse_args()
    become_idle()
    for folder in args.drafts:
        print(folder.name, json.dumps(vars(evaluate(folder, args.k, args.tokens))), flush=True)


if __name__ == "__main__":
    main()
