"""Lets the target answer prompts, and keeps what it wrote: the training text.

A prompt is an instance of a template, or a few words that the target itself has completed.

One round is one batch of chats, written to data/ as token ids and roles. The hidden states and the
likeliest next tokens fall out of the same passes, so they go to the cache folder beside (features.py
computes them again from the ids where the cache is gone).
"""

import argparse
import random
import time

import numpy as np
import torch
from tokenizers import Tokenizer

from background import become_idle, parse_deadline, wait_while_paused
from features import CACHE_DIR, NUM_TEACHER_TOKENS, TARGET_DIR, TeacherRows
from openings import random_opening, words_of
from prompts import random_prompt
from target import Target
from texts import ASSISTANT, FORCED, Round, round_names, save_round

DEFAULT_SYSTEM = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"
OTHER_SYSTEMS = [
    "You are a helpful assistant.",
    "You are an expert programmer. The user asks for code and explanations of code.",
    "You write stories, emails and essays for the user.",
    "You answer questions about history, science and everyday life. Be brief.",
    None,
]
TEMPERATURES = [0, 0, 0, 0.7, 1.0]  # one is drawn for every answer
OPENED_SHARE = 0.75  # of the prompts are completed by the target, the others are templates
PROMPT_TEMPERATURE = 1.0
MAX_PROMPT_TOKENS = 40  # that the target adds; a prompt is cut off there
END_OF_TURN = 2
END_OF_PROMPT = "<|im_end|>\n<|im_start|>assistant\n"


class Chat:
    """One row of the batch: what it must say next, and how its text is sampled."""

    def __init__(self, encode, words: list[str], rng: random.Random) -> None:
        self.encode, self.words, self.rng, self.forced = encode, words, rng, []
        self.next_turn("")

    def next_turn(self, before: str) -> None:
        self.num_prompt_tokens = 0  # that the target wrote
        self.writes_prompt = self.rng.random() < OPENED_SHARE
        if self.writes_prompt:
            self.forced += self.encode(before + random_opening(self.rng, self.words))
            self.temperature = PROMPT_TEMPERATURE
        else:
            self.forced += self.encode(f"{before}{random_prompt(self.rng)}{END_OF_PROMPT}")
            self.temperature = self.rng.choice(TEMPERATURES)

    def take(self, sampled_token: int) -> tuple[int, int]:
        """The token that follows and its role."""
        if self.forced:
            return self.forced.pop(0), FORCED
        ended = sampled_token in (0, END_OF_TURN)
        if self.writes_prompt:
            self.num_prompt_tokens += 1
            if not ended and self.num_prompt_tokens <= MAX_PROMPT_TOKENS:
                return sampled_token, FORCED
            self.writes_prompt = False
            self.temperature = self.rng.choice(TEMPERATURES)
            self.forced += self.encode(END_OF_PROMPT)
            return self.forced.pop(0), FORCED
        if ended:
            self.next_turn("\n<|im_start|>user\n")
            return END_OF_TURN, ASSISTANT
        return sampled_token, ASSISTANT


def sample(top: torch.return_types.topk, temperatures: torch.Tensor) -> list[int]:
    """One token per row among the likeliest: argmax at temperature 0, otherwise nucleus 0.97."""
    probs = (top.values / temperatures.clamp(min=0.01)[:, None]).softmax(-1)
    probs[probs.cumsum(-1) - probs > 0.97] = 0
    return top.indices.gather(1, torch.multinomial(probs, 1))[:, 0].tolist()


def synthesise_round(target: Target, tokenizer: Tokenizer, seed: int, batch: int, length: int, cache: torch.Tensor, deadline: float):
    """Ids uint16 [batch, length], roles uint8 [batch, length] and TeacherRows of one batch of chats."""

    def encode(text: str) -> list[int]:
        return tokenizer.encode(text, add_special_tokens=False).ids

    rng = random.Random(seed)
    torch.manual_seed(seed)
    system = DEFAULT_SYSTEM if rng.random() < 0.65 else rng.choice(OTHER_SYSTEMS)
    prefix = encode((f"<|im_start|>system\n{system}<|im_end|>\n" if system else "") + "<|im_start|>user\n")
    words = words_of(tokenizer.get_vocab())
    chats = [Chat(encode, words, rng) for _ in range(batch)]
    ids = np.zeros((batch, length), np.uint16)
    roles = np.full((batch, length), FORCED, np.uint8)
    rows = TeacherRows.empty(batch, length, target.hidden_size)
    ids[:, : len(prefix)] = prefix
    one = cache[:, :, :1]
    hidden = target.forward(torch.tensor([prefix]), 0, one).expand(batch, -1, -1)
    cache[:, :, 1:, :, : len(prefix)] = one[..., : len(prefix), :]
    rows.hidden_states[:, : len(prefix)] = hidden.half().numpy()
    for position in range(len(prefix), length):
        wait_while_paused()
        if time.time() > deadline:
            break
        logits = target.logits(hidden[:, -1])
        top = logits.topk(NUM_TEACHER_TOKENS)
        rows.set_teacher(position, top, logits)
        sampled = sample(top, torch.tensor([float(chat.temperature) for chat in chats]))
        taken = [chat.take(token) for chat, token in zip(chats, sampled)]
        ids[:, position] = [token for token, _ in taken]
        roles[:, position] = [role for _, role in taken]
        hidden = target.forward(torch.from_numpy(ids[:, position : position + 1].astype(np.int64)), position, cache)
        rows.hidden_states[:, position] = hidden[:, 0].half().numpy()
    return ids, roles, rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first-seed", type=int, required=True, help="seed of the first round; rounds that exist are skipped")
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--batch", type=int, default=192)
    parser.add_argument("--length", type=int, default=144, help="tokens per chat")
    parser.add_argument("--until", help="HH:MM in UTC: a round that is under way then is cut short and kept")
    args = parser.parse_args()
    become_idle()
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    deadline = parse_deadline(args.until)
    tokenizer = Tokenizer.from_file(str(TARGET_DIR / "tokenizer.json"))
    target = Target(TARGET_DIR, args.length)
    cache = target.new_cache(args.batch, args.length)
    already = set(round_names())
    for seed in range(args.first_seed, args.first_seed + args.rounds):
        if f"round-{seed}" in already:
            continue
        if time.time() > deadline:
            break
        start = time.time()
        ids, roles, rows = synthesise_round(target, tokenizer, seed, args.batch, args.length, cache, deadline)
        answered = int((roles == ASSISTANT).sum())
        if answered == 0:
            break  # cut short before anybody had answered
        kept = Round(seed, ids, roles)
        rows.save(CACHE_DIR / kept.name)
        save_round(kept)
        print(f"{kept.name}: {answered} of {ids.size} tokens are answers, {ids.size / (time.time() - start):.0f} tokens/s", flush=True)


if __name__ == "__main__":
    main()
