/** The rounds of one answer: a column per pass of the target, counts by kind, and acceptance by position. */

const KINDS = ['accepted', 'forced', 'recovered', 'bonus', 'target', 'refused'];
const MAX_GAP_PX = 24;

export class RoundsView {
  #timeline = document.getElementById('timeline');
  #bars = document.getElementById('bars');
  #sections = [document.getElementById('rounds'), document.getElementById('acceptance')];
  #counts = {};
  #durationsMs = [];
  #lastMs = 0;

  begin() {
    this.#timeline.replaceChildren();
    this.#bars.replaceChildren();
    this.#counts = Object.fromEntries(KINDS.map((kind) => [kind, 0]));
    this.#durationsMs = [];
    this.#lastMs = performance.now();
    for (const section of this.#sections) section.hidden = true;
    this.#showCounts();
  }

  add(round) {
    const now = performance.now();
    const ms = now - this.#lastMs;
    this.#lastMs = now;
    this.#sections[0].hidden = false;
    const numRefused = round.num_draft_tokens - round.num_accepted_tokens;
    const kinds = [...round.provenance, ...Array(numRefused).fill('refused')];
    for (const kind of kinds) this.#counts[kind]++;

    const column = document.createElement('div');
    column.className = 'round';
    const numRounds = this.#timeline.childElementCount;
    column.title = numRounds === 0 ? `the prompt: ${ms.toFixed(0)} ms` : describe(numRounds, round, ms);
    column.append(...kinds.map(mark));
    if (numRounds > 0) column.style.marginLeft = `${this.#gapPx(ms)}px`;
    const atEnd = this.#timeline.scrollLeft + this.#timeline.clientWidth >= this.#timeline.scrollWidth - 8;
    this.#timeline.append(column);
    if (atEnd) this.#timeline.scrollLeft = this.#timeline.scrollWidth;
    this.#showCounts();
  }

  finish({ metrics }) {
    const speculation = metrics.speculative_decoding;
    this.#timeline.setAttribute(
      'aria-label',
      `${speculation.num_rounds} rounds after the prompt; ${speculation.num_accepted_tokens} of ` +
        `${speculation.num_draft_tokens} draft tokens kept, ${this.#counts.recovered} recovered and ` +
        `${this.#counts.bonus} bonus tokens.`,
    );
    const checked = speculation.num_draft_tokens_per_pos;
    this.#sections[1].hidden = checked.length === 0;
    this.#bars.replaceChildren(...checked.map((n, i) => bar(i, speculation.num_accepted_tokens_per_pos[i], n)));
  }

  /** The usual round has no gap; one that took twice as long has a visible one. */
  #gapPx(ms) {
    this.#durationsMs.push(ms);
    const usual = [...this.#durationsMs].sort((a, b) => a - b)[this.#durationsMs.length >> 1];
    return Math.round(Math.min(MAX_GAP_PX, Math.max(0, 6 * (ms / Math.max(usual, 1) - 1.5))));
  }

  #showCounts() {
    for (const kind of KINDS) {
      const count = this.#counts[kind];
      document.querySelector(`[data-count="${kind}"]`).textContent = count > 0 ? String(count) : '';
    }
  }
}

function mark(kind) {
  const element = document.createElement('i');
  element.className = `mark ${kind}`;
  return element;
}

function describe(index, round, ms) {
  const { num_draft_tokens: drafted, num_accepted_tokens: kept } = round;
  const what = drafted === 0 ? 'no draft' : `${kept} of ${drafted} kept`;
  return `round ${index}: ${what}, ${round.provenance.at(-1)}; ${ms.toFixed(0)} ms`;
}

function bar(index, kept, checked) {
  const row = document.createElement('tr');
  const position = document.createElement('th');
  position.scope = 'row';
  position.textContent = String(index + 1);
  const cell = document.createElement('td');
  const line = document.createElement('div');
  line.className = 'bar';
  const fill = document.createElement('i');
  const rate = checked > 0 ? kept / checked : 0;
  fill.style.width = `${70 * rate}%`;
  const figure = document.createElement('b');
  figure.textContent = `${Math.round(100 * rate)} %`;
  line.append(fill, figure);
  cell.append(line);
  const count = document.createElement('td');
  count.className = 'count';
  count.textContent = `${kept} of ${checked}`;
  row.append(position, cell, count);
  return row;
}
