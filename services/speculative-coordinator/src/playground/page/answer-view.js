/** One answer on the page: its tokens, each marked with where it came from, its speed, its figures. */

const number = (value, digits = 0) =>
  value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits });
const percent = (value) => (value === null ? '–' : `${number(100 * value)} %`);

/** How many guesses of each source were kept; nothing where the draft alone guessed. */
function sourcesOf(bySource) {
  const guessed = Object.entries(bySource).filter(([, counts]) => counts.num_draft_tokens > 0);
  if (guessed.length === 1 && guessed[0][0] === 'draft') return [];
  return guessed.map(([source, counts]) => [
    `kept of ${source}`,
    `${number(counts.num_accepted_tokens)} of ${number(counts.num_draft_tokens)}`,
  ]);
}

export class AnswerView {
  #article;
  #text;
  #startMs = 0;
  #numTokens = 0;
  #firstTokenMs = null;

  constructor(article) {
    this.#article = article;
    this.#text = article.querySelector('.text');
  }

  /** All tokens so far, for comparing two answers. */
  tokenIds = [];

  get text() {
    return this.#text.textContent;
  }

  begin() {
    this.#article.hidden = false;
    this.#article.classList.add('running');
    this.#text.replaceChildren();
    this.#article.querySelector('.figures').replaceChildren();
    this.#speed(null);
    this.tokenIds = [];
    this.#numTokens = 0;
    this.#firstTokenMs = null;
    this.#startMs = performance.now();
  }

  add(round) {
    const atEnd = this.#text.scrollTop + this.#text.clientHeight >= this.#text.scrollHeight - 8;
    const spans = round.token_ids.map((_, i) => {
      const span = document.createElement('span');
      span.className = `token ${round.provenance[i]}`;
      span.title = round.provenance[i];
      span.textContent = round.token_texts[i];
      return span;
    });
    this.#text.append(...spans);
    if (atEnd) this.#text.scrollTop = this.#text.scrollHeight;
    this.tokenIds.push(...round.token_ids);
    this.#numTokens += round.token_ids.length;
    const now = performance.now();
    this.#firstTokenMs ??= now;
    const seconds = (now - this.#startMs) / 1000;
    if (seconds > 0.3) this.#speed(this.#numTokens / seconds);
  }

  finish(summary) {
    this.end();
    const { metrics, usage } = summary;
    const speculation = metrics.speculative_decoding;
    this.#speed(metrics.tokens_per_second);
    this.#figures([
      ...(summary.calls ?? []).map(({ name, arguments: given }) => ['calls', `${name}(${given})`]),
      ['tokens', number(usage.completion_tokens)],
      ['first token', `${number(metrics.time_to_first_token_ms)} ms`],
      ['total', `${number(metrics.total_ms / 1000, 2)} s`],
      ['passes of the target', number(speculation.num_rounds + 1)],
      ...(speculation.num_drafts > 0
        ? [
            ['accepted', percent(speculation.draft_acceptance_rate)],
            ['tokens per round', number(speculation.mean_acceptance_length, 2)],
            ...sourcesOf(speculation.by_source),
          ]
        : []),
      ['seed', String(summary.seed)],
    ]);
  }

  /** No more comes, whether it is whole or not. */
  end() {
    this.#article.classList.remove('running');
  }

  hide() {
    this.#article.hidden = true;
  }

  #speed(tokensPerSecond) {
    const speed = this.#article.querySelector('.speed');
    speed.replaceChildren();
    if (tokensPerSecond === null) return;
    const figure = document.createElement('b');
    figure.textContent = number(tokensPerSecond, tokensPerSecond < 100 ? 1 : 0);
    speed.append(figure, ' tokens/s');
  }

  #figures(pairs) {
    const rows = pairs.map(([name, value]) => {
      const row = document.createElement('div');
      const term = document.createElement('dt');
      const detail = document.createElement('dd');
      term.textContent = name;
      detail.textContent = value;
      row.append(term, detail);
      return row;
    });
    this.#article.querySelector('.figures').replaceChildren(...rows);
  }
}
