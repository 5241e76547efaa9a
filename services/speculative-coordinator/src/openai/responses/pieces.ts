/** What an answer adds, in its order: a piece is of one thought, one message or one call. */
import type { AnswerReader, MessageDelta } from '../tools/answer-reader.ts';

export type Piece =
  | { readonly kind: 'reasoning' | 'message'; readonly text: string /** Characters before it. */; readonly at: number }
  | {
      readonly kind: 'call';
      readonly text: string;
      readonly opens?: { readonly callId: string; readonly name: string };
    };

/** Pieces of an answer, whatever it is cut into; pieces that go on with each other are one. */
export class PieceReader {
  readonly #reader: AnswerReader;
  #numChars = 0;

  constructor(reader: AnswerReader) {
    this.#reader = reader;
  }

  /** Character by character: a delta for more than one would not tell what came first. */
  push(text: string): Piece[] {
    const pieces = Array.from(text, (character) => {
      const at = this.#numChars;
      this.#numChars += character.length;
      return piecesOf(this.#reader.push(character), at);
    });
    return joined(pieces.flat());
  }

  end(): Piece[] {
    return joined(piecesOf(this.#reader.end(), this.#numChars));
  }
}

function piecesOf(delta: MessageDelta | null, at: number): Piece[] {
  if (delta === null) return [];
  const { reasoning_content: reasoning, content, tool_calls: calls } = delta;
  return [
    ...(reasoning === undefined ? [] : [{ kind: 'reasoning' as const, text: reasoning, at }]),
    ...(content === undefined ? [] : [{ kind: 'message' as const, text: content, at }]),
    ...(calls ?? []).map(({ id, function: { name, arguments: text } }) => ({
      kind: 'call' as const,
      text,
      ...(id !== undefined && { opens: { callId: id, name: name! } }),
    })),
  ];
}

function joined(pieces: readonly Piece[]): Piece[] {
  const result: Piece[] = [];
  for (const piece of pieces) {
    const last = result.at(-1);
    const goesOn = last?.kind === piece.kind && !('opens' in piece);
    if (goesOn) result[result.length - 1] = { ...last, text: last.text + piece.text };
    else result.push(piece);
  }
  return result;
}
