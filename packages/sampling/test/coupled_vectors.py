"""Writes coupled-vectors.json: test vectors of docs/coupled-sampling.md, made from that page alone and from Python's own
float64 and integers, so that they test the specification and not the implementation.

    python3 packages/sampling/test/coupled_vectors.py > packages/sampling/test/coupled-vectors.json
"""

import json
import math
import struct

MASK = 0xFFFFFFFF


def philox(counter, key):
    c, k = list(counter), list(key)
    for _ in range(10):
        a, b = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(b >> 32) ^ c[1] ^ k[0], b & MASK, (a >> 32) ^ c[3] ^ k[1], a & MASK]
        k = [(k[0] + 0x9E3779B9) & MASK, (k[1] + 0xBB67AE85) & MASK]
    return c


def uniform(seed, stream, position, index):
    words = philox([position, index >> 1, stream, 0], [seed & MASK, seed >> 32])
    high, low = words[2 * (index & 1)], words[2 * (index & 1) + 1]
    return ((high >> 5) * 2**26 + (low >> 6) + 1) * 2.0**-53


def negative_log(u):
    m, k = u, 0
    while m < 0.7071067811865476:
        m, k = m * 2, k + 1
    s = (m - 1) / (m + 1)
    s2, series = s * s, 0.0
    for i in range(10, -1, -1):
        series = (series + 1 / (2 * i + 3)) * s2
    return k * 0.6931471805599453 - 2 * (s + s * series)


def roots():
    values = [0.5]
    while len(values) < 6:
        values.append(math.sqrt(values[-1]))
    return values


ROOTS = roots()


def power(i):
    value = 1.0
    for _ in range(i // 32):
        value /= 2
    for bit in range(5):
        if i >> bit & 1:
            value *= ROOTS[5 - bit]
    return value


def exp_negative(x):
    if not x > -104:
        return 0.0
    step = 0.6931471805599453 / 32
    i = int(0.5 - x / step)
    r = x + i * step
    return power(i) * (1 + r * (1 + r * (1 / 2 + r * (1 / 6 + r * (1 / 24 + r * (1 / 120))))))


def exponential(seed, position, token_id):
    block = token_id >> 8
    minimum = negative_log(uniform(seed, 3, position, 2 * block)) / 256
    if token_id == 256 * block + math.ceil(uniform(seed, 3, position, 2 * block + 1) * 256) - 1:
        return minimum
    return minimum + negative_log(uniform(seed, 4, position, token_id))


def float32(x):
    return struct.unpack("<f", struct.pack("<f", x))[0]


def draw(seed, position, logits, temperature, top_k, top_p, min_p):
    highest, scale = max(logits), 1 / temperature
    ids = sorted(range(len(logits)), key=lambda v: (-logits[v], v))
    weight = {v: exp_negative((logits[v] - highest) * scale) for v in ids}
    if top_k > 0:
        ids = ids[:top_k]
    if top_p < 1:
        needed, reached, kept = top_p * sum(weight[v] for v in ids), 0.0, []
        for v in ids:
            if reached >= needed:
                break
            kept.append(v)
            reached += weight[v]
        ids = kept
    best, least = -1, math.inf
    for v in sorted(ids):
        if weight[v] == 0 or weight[v] < min_p:
            continue
        time = exponential(seed, position, v) / weight[v]
        if time < least:
            best, least = v, time
    return best


def logits_of(case, size):
    """Some logits that any language can make: (case · 7919 + v · 104729 mod 65521) / 4096 - 12, every 97th 6 more."""
    return [float32((case * 7919 + v * 104729) % 65521 / 4096 - 12 + (6 if v % 97 == case % 97 else 0)) for v in range(size)]


SEEDS = [0, 1, 42, 2**32 + 5, 2**53 - 1]
SETTINGS = [(1, 0, 1, 0), (0.7, 0, 1, 0), (1.5, 0, 1, 0), (0.8, 40, 1, 0), (1, 0, 0.9, 0), (1, 0, 1, 0.05), (0.6, 50, 0.95, 0.1)]
VALUES = [1.0, 1 - 2.0**-53, 0.75, 0.7071067811865476, 0.7071067811865475, 0.5, 0.1, 2.0**-20, 2.0**-53]

vectors = {
    "uniforms": [
        {"seed": s, "stream": st, "position": p, "index": i, "value": uniform(s, st, p, i)}
        for s in SEEDS
        for st, p, i in [(3, 0, 0), (3, 17, 385), (4, 4095, 49151)]
    ],
    "negative_logs": [{"u": u, "value": negative_log(u)} for u in VALUES],
    "exps": [{"x": x, "value": exp_negative(x)} for x in [0, -1e-3, -0.5, -1, -10.25, -103.9, -104]],
    "exponentials": [
        {"seed": s, "position": p, "token_id": v, "value": exponential(s, p, v)}
        for s in SEEDS
        for p, v in [(0, 0), (5, 255), (5, 256), (4095, 49151)]
    ],
    "draws": [
        {
            "seed": seed,
            "position": position,
            "case": case,
            "vocab_size": size,
            "temperature": t,
            "top_k": k,
            "top_p": p,
            "min_p": m,
            "token_id": draw(seed, position, logits_of(case, size), t, k, p, m),
        }
        for case, (seed, position, size) in enumerate([(0, 1, 1000), (42, 300, 3000), (2**53 - 1, 8191, 700)])
        for t, k, p, m in SETTINGS
    ],
}
print(json.dumps(vectors, indent=1))
