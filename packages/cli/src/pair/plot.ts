/** Speed-up by number of guesses, as bars: in a terminal, and as SVG. */
import type { PredictedLength } from './predict.ts';

const COLUMNS = 40;

/** Lines of text; the best one is marked. */
export function plotText(lengths: readonly PredictedLength[], bestK: number): string[] {
  const widest = Math.max(...lengths.map(({ speedup }) => speedup));
  return [
    '   K  speed-up  tokens a round',
    ...lengths.map(({ draftK, speedup, tokensPerRound }) => {
      const bar = '█'.repeat(Math.max(1, Math.round((COLUMNS * speedup) / widest)));
      const mark = draftK === bestK ? ' ← best' : '';
      return `${String(draftK).padStart(4)}  ${speedup.toFixed(2).padStart(8)}  ${tokensPerRound.toFixed(2).padStart(14)}  ${bar}${mark}`;
    }),
  ];
}

const BAR_WIDTH = 36;
const STEP = 52;
const HEIGHT = 180;
const TOP = 40;
const LEFT = 40;
const STYLE = `<style>
  text { font: 12px ui-sans-serif, system-ui, "Segoe UI", Arial, sans-serif; fill: #5c574e }
  .bar { fill: #b9d8c9 } .best { fill: #1d6f53 } .rule { stroke: #9a948a; stroke-dasharray: 3 3 }
  @media (prefers-color-scheme: dark) { text { fill: #b8b2a7 } .bar { fill: #2c4a3e } .best { fill: #6cc3a0 } }
</style>`;

/** A picture of its own, light and dark; the dotted line is the target alone. */
export function plotSvg(title: string, lengths: readonly PredictedLength[], bestK: number): string {
  const tallest = Math.max(1, ...lengths.map(({ speedup }) => speedup));
  const heightOf = (speedup: number) => (HEIGHT * speedup) / tallest;
  const base = TOP + HEIGHT;
  const width = 2 * LEFT + STEP * lengths.length;
  const bars = lengths.map(({ draftK, speedup }, i) => {
    const x = LEFT + STEP * i;
    const middle = x + BAR_WIDTH / 2;
    const y = base - heightOf(speedup);
    const name = draftK === bestK ? 'best' : 'bar';
    return (
      `<rect class="${name}" x="${x}" y="${y.toFixed(1)}" width="${BAR_WIDTH}" height="${heightOf(speedup).toFixed(1)}"/>` +
      `<text x="${middle}" y="${(y - 5).toFixed(1)}" text-anchor="middle">${speedup.toFixed(2)}</text>` +
      `<text x="${middle}" y="${base + 16}" text-anchor="middle">${draftK}</text>`
    );
  });
  const alone = (base - heightOf(1)).toFixed(1);
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${base + 44}" width="${width}" height="${base + 44}" role="img">
<title>${escaped(title)}</title>
${STYLE}
<text x="${LEFT}" y="18">${escaped(title)}</text>
${bars.join('\n')}
<line class="rule" x1="${LEFT - 12}" x2="${width - LEFT}" y1="${alone}" y2="${alone}"/>
<text x="${LEFT}" y="${base + 36}">guesses a round (K); predicted tokens per second, the target alone being 1</text>
</svg>
`;
}

const escaped = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
