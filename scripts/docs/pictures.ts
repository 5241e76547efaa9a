/** Draws a recorded run: the first rounds as they went, and the whole answer as columns. Plain SVG, light and dark. */

export interface RecordedRound {
  readonly texts: readonly string[];
  readonly provenance: readonly ('accepted' | 'recovered' | 'bonus' | 'target')[];
  readonly numDraftTokens: number;
  readonly numAcceptedTokens: number;
}

export interface RecordedRun {
  readonly prompt: string;
  readonly target: string;
  readonly draft: string;
  readonly draftK: number;
  readonly rounds: readonly RecordedRound[];
  readonly metrics: {
    readonly speculative_decoding: {
      readonly num_rounds: number;
      readonly num_draft_tokens: number;
      readonly num_accepted_tokens: number;
      readonly num_draft_tokens_per_pos: readonly number[];
      readonly num_accepted_tokens_per_pos: readonly number[];
    };
  };
}

const STYLE = `<style>
  text { font: 14px "Iowan Old Style", Palatino, "URW Palladio L", P052, Georgia, serif; fill: #1e1c19 }
  .small { font: 12px ui-sans-serif, system-ui, "Segoe UI", Arial, sans-serif; fill: #5c574e }
  .accepted { fill: #e0efe7; stroke: #1d6f53 } .recovered { fill: #f9e6d3; stroke: #9a4a0c; stroke-dasharray: 3 2 }
  .bonus { fill: #e9e3f7; stroke: #5a42a0; stroke-width: 2 } .target { fill: none; stroke: #6b665c }
  .refused { fill: none; stroke: #8a8375; stroke-dasharray: 1 3 }
  .rule { stroke: #dfdacf } .bar { fill: #1d6f53 }
  @media (prefers-color-scheme: dark) {
    text { fill: #ece8df } .small { fill: #aaa396 }
    .accepted { fill: #1d3a2f; stroke: #7fcfae } .recovered { fill: #43290f; stroke: #f0ad74 }
    .bonus { fill: #2e2650; stroke: #b9a5f0 } .target { stroke: #a19a8d } .refused { stroke: #7d766a }
    .rule { stroke: #35322c } .bar { fill: #7fcfae }
  }
</style>`;

/** Name → SVG. */
export function pictures(run: RecordedRun): Record<string, string> {
  return {
    'algorithm-rounds': roundsPicture(run),
    'algorithm-answer': answerPicture(run),
    'algorithm-acceptance': acceptancePicture(run),
  };
}

/** The first rounds, one a line: what was kept, what followed, and how many guesses were thrown away. */
function roundsPicture({ rounds, draftK }: RecordedRun): string {
  const shown = rounds.slice(0, 9);
  const lines = shown.map((round, i) => {
    let x = 96;
    const y = 18 + 38 * i;
    const boxes = round.texts.map((text, j) => {
      const width = Math.max(22, 8 * [...text].length + 14);
      const box = tokenBox(x, y, width, text, round.provenance[j]!);
      x += width + 6;
      return box;
    });
    const numRefused = round.numDraftTokens - round.numAcceptedTokens;
    for (let j = 0; j < numRefused; j++, x += 26)
      boxes.push(`<rect class="refused" x="${x}" y="${y}" width="20" height="26" rx="3"/>`);
    const label = i === 0 ? 'prompt' : `round ${i}`;
    const note = i === 0 ? '' : `${round.numAcceptedTokens} of ${round.numDraftTokens} kept`;
    return `<text class="small" x="12" y="${y + 18}">${label}</text>${boxes.join('')}<text class="small" x="628" y="${y + 18}" text-anchor="end">${note}</text>`;
  });
  const height = 24 + 38 * shown.length;
  return svg(
    640,
    height,
    `The first ${shown.length - 1} rounds of an answer with up to ${draftK} draft tokens each`,
    lines.join('\n'),
  );
}

function tokenBox(x: number, y: number, width: number, text: string, kind: string): string {
  const shown = text.replace(/^ /, '·').replaceAll('\n', '↵');
  return (
    `<rect class="${kind}" x="${x}" y="${y}" width="${width}" height="26" rx="3"><title>${kind}</title></rect>` +
    `<text x="${x + width / 2}" y="${y + 18}" text-anchor="middle">${escaped(shown)}</text>`
  );
}

/** The whole answer: a column per pass of the target, as tall as the tokens that it yielded. */
function answerPicture({ rounds, metrics }: RecordedRun): string {
  const step = 12;
  const numTokens = rounds.reduce((total, round) => total + round.texts.length, 0);
  const tallest = Math.max(...rounds.map((round) => round.texts.length));
  const base = 24 + 14 * tallest;
  const columns = rounds.flatMap((round, i) =>
    round.provenance.map(
      (kind, j) =>
        `<rect class="${kind}" x="${12 + step * i}" y="${base - 14 * (j + 1)}" width="9" height="11" rx="1.5"/>`,
    ),
  );
  const caption = `${numTokens} tokens in ${metrics.speculative_decoding.num_rounds + 1} passes of the target`;
  const width = Math.max(360, 24 + step * rounds.length);
  return svg(
    width,
    base + 30,
    caption,
    `${columns.join('')}<line class="rule" x1="12" x2="${width - 12}" y1="${base + 2}" y2="${base + 2}"/><text class="small" x="12" y="${base + 20}">${caption}</text>`,
  );
}

function acceptancePicture({ metrics }: RecordedRun): string {
  const { num_draft_tokens_per_pos: drafted, num_accepted_tokens_per_pos: kept } = metrics.speculative_decoding;
  const rows = drafted.map((n, i) => {
    const rate = n > 0 ? kept[i]! / n : 0;
    const y = 12 + 28 * i;
    return (
      `<text class="small" x="12" y="${y + 13}">guess ${i + 1}</text>` +
      `<rect class="bar" x="76" y="${y + 2}" width="${(300 * rate).toFixed(1)}" height="14" rx="1.5"/>` +
      `<text class="small" x="${(84 + 300 * rate).toFixed(1)}" y="${y + 13}">${Math.round(100 * rate)} % (${kept[i]} of ${n})</text>`
    );
  });
  return svg(
    480,
    20 + 28 * drafted.length,
    'Share of guesses that were kept, by position in the round',
    rows.join('\n'),
  );
}

const svg = (width: number, height: number, title: string, content: string): string =>
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">\n<title>${escaped(title)}</title>\n${STYLE}\n${content}\n</svg>\n`;

const escaped = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
