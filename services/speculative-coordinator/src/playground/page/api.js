/** The service as this page sees it: the pair's cards, and a stream of what POST /generate does. */

export class ApiError extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

const authorization = (key) => (key ? { authorization: `Bearer ${key}` } : {});

/** The model cards of target and draft. */
export async function fetchPair(key) {
  const reply = await fetch('/v1/model', { headers: authorization(key) });
  if (!reply.ok) throw await errorOf(reply);
  return reply.json();
}

/** Events of one answer: one per round, then the summary (the one with `usage`). Throws ApiError. */
export const generate = (body, options) =>
  stream('/generate', { ...body, stream: true, return_token_ids: true }, options);

/** What a route streams, parsed. Throws ApiError. */
export async function* stream(path, body, { key, signal }) {
  const reply = await fetch(path, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...authorization(key) },
    body: JSON.stringify(body),
    signal,
  });
  if (!reply.ok) throw await errorOf(reply);
  for await (const { event, data } of eventsOf(reply.body)) {
    if (data === '[DONE]') return;
    const parsed = JSON.parse(data);
    if (event === 'error') throw new ApiError(200, parsed.error.code, parsed.error.message);
    yield parsed;
  }
  throw new ApiError(200, 'interrupted', 'the connection ended before the answer did');
}

async function errorOf(reply) {
  const { error } = await reply.json().catch(() => ({}));
  const code = reply.status === 401 ? 'unauthorized' : (error?.code ?? 'unknown'); // OpenAI's routes name it otherwise
  return new ApiError(reply.status, code, error?.message ?? `the server answered ${reply.status}`);
}

/** Server-sent events, one at a time; comments are passed over. */
async function* eventsOf(stream) {
  let rest = '';
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    rest += value;
    const blocks = rest.split('\n\n');
    rest = blocks.pop();
    for (const block of blocks) {
      const fields = block.split('\n').filter((line) => !line.startsWith(':'));
      const field = (name) => fields.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
      const data = field('data');
      if (data !== undefined) yield { event: field('event'), data };
    }
  }
}
