/**
 * How often a draft guesses what its target says greedily, by position in the proposal: the share of guesses at
 * position i that are right among those whose earlier guesses were all right, at every place of a greedy text. This is
 * the acceptance that greedy speculation sees when it proposes at every place.
 */
import { argmax } from '../check/compare.ts';
import { type LmSession, pastFrom, toFloat32 } from '../check/lm-session.ts';

export interface Agreement {
  /** [numPositions] */
  readonly proposed: number[];
  readonly accepted: number[];
}

export function newAgreement(numPositions: number): Agreement {
  return { proposed: new Array(numPositions).fill(0), accepted: new Array(numPositions).fill(0) };
}

export function shares(agreement: Agreement): number[] {
  return agreement.proposed.map((proposed, i) => agreement.accepted[i]! / proposed);
}

export interface AgreementOptions {
  readonly draft: LmSession;
  /** Greedy continuation of the first numPromptTokens. */
  readonly tokenIds: Int32Array;
  readonly numPromptTokens: number;
  /** For a feature draft: the target's hidden states of the text, [tokenIds.length, width]. */
  readonly hiddenStates?: Float32Array;
  readonly keptTokenIds?: Int32Array;
}

/**
 * A feature draft's row j holds token x_{j+1} with feature f_j and guesses x_{j+2}; a classic draft's row j holds x_j
 * and guesses x_{j+1}. `lag` is that difference.
 */
export async function addAgreement(into: Agreement, options: AgreementOptions): Promise<void> {
  const { draft, tokenIds, hiddenStates, keptTokenIds } = options;
  const lag = hiddenStates ? 1 : 0;
  const width = hiddenStates ? hiddenStates.length / tokenIds.length : 0;
  const rows = tokenIds.subarray(lag);
  const committed = await draft.run({
    tokenIds: rows,
    past: draft.emptyPast(),
    numPastTokens: 0,
    ...(hiddenStates && { hiddenStates: hiddenStates.subarray(0, rows.length * width) }),
  });
  const past = pastFrom(committed); // the mask says how much of it counts
  const guessOf = (logits: Float32Array) => {
    const row = argmax(logits);
    return keptTokenIds ? keptTokenIds[row]! : row;
  };
  const headSize = committed.logits?.dims.at(-1) ?? 1;
  const allLogits = toFloat32(committed.logits);
  const allHidden = hiddenStates ? toFloat32(committed.hidden_states) : undefined;

  const firstRow = options.numPromptTokens - 1 - lag;
  for (let row = Math.max(firstRow, 0); row + lag + 1 < tokenIds.length; row++) {
    let guess = guessOf(allLogits.subarray(row * headSize, (row + 1) * headSize));
    let hidden: Float32Array | undefined = allHidden?.slice(row * width, (row + 1) * width);
    let ownPast = past;
    for (let position = 0; position < into.proposed.length; position++) {
      const truth = tokenIds[row + lag + 1 + position];
      if (truth === undefined) break;
      into.proposed[position]!++;
      if (guess !== truth) break;
      into.accepted[position]!++;
      if (position + 1 === into.proposed.length) break;
      const next = await draft.run({
        tokenIds: [guess],
        past: ownPast,
        numPastTokens: row + 1 + position,
        ...(hidden && { hiddenStates: hidden }),
      });
      guess = guessOf(toFloat32(next.logits));
      hidden = hidden && toFloat32(next.hidden_states);
      ownPast = pastFrom(next);
    }
  }
}
