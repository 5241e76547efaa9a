"""Turns some well-formed bodies into acceptable ones, so that a run is not only about refusals, and answers stay short."""

import schemathesis

MOST_TOKENS = 8
VOCABULARY = 1024  # of the tiny pair


@schemathesis.hook
def map_body(context, body):
    if not isinstance(body, dict) or not ({"messages", "prompt", "input"} & body.keys()):
        return body
    path = context.operation.path if context.operation else ""
    limits = {
        "/generate": ["max_new_tokens"],
        "/v1/responses": ["max_output_tokens"],
        "/tokenize": [],
    }.get(path, ["max_tokens", "max_completion_tokens"])
    for field in limits:
        if isinstance(body.get(field), int) and body[field] > MOST_TOKENS:
            body[field] = MOST_TOKENS
    if limits and ("messages" in body or "input" in body) and all(body.get(field) is None for field in limits):
        body[limits[0]] = MOST_TOKENS
    if isinstance(body.get("stop_token_ids"), list):
        body["stop_token_ids"] = [id % VOCABULARY if isinstance(id, int) else id for id in body["stop_token_ids"]]
    if isinstance(body.get("min_tokens"), int) and body["min_tokens"] > 1:
        body["min_tokens"] = 1
    if isinstance(body.get("logit_bias"), dict):
        body["logit_bias"] = {
            (str(int(key) % VOCABULARY) if key.isascii() and key.isdigit() else key): bias
            for key, bias in body["logit_bias"].items()
        }
    if isinstance(body.get("model"), str):
        body["model"] = "tiny-target"
    if isinstance(body.get("max_tokens"), int) and isinstance(body.get("max_completion_tokens"), int):
        del body["max_tokens"]
    if isinstance(body.get("stream_options"), dict) and body.get("stream") is not True:
        body["stream_options"] = None
    if body.get("top_logprobs") is not None and body.get("logprobs") is False:
        body["logprobs"] = True
    return body
