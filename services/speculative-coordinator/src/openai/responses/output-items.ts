/**
 * The output of a response as it grows: thoughts, messages and calls, of which the last one is open, and the events that
 * tell of them, in OpenAI's order. Items are numbered as they begin.
 */
import type { Piece } from './pieces.ts';

export interface ResponseEvent {
  readonly type: string;
  readonly [field: string]: unknown;
}

export type ItemStatus = 'completed' | 'incomplete';

interface OpenItem {
  readonly kind: Piece['kind'];
  begin(): ResponseEvent[];
  add(text: string, logprobs: readonly object[]): ResponseEvent[];
  /** The item as it stands. */
  whole(status: ItemStatus | 'in_progress'): object;
  end(item: object): ResponseEvent[];
}

export class OutputItems {
  readonly #requestId: string;
  readonly #ended: object[] = [];
  #open: OpenItem | null = null;

  constructor(requestId: string) {
    this.#requestId = requestId;
  }

  /** Items that have ended. */
  get items(): readonly object[] {
    return this.#ended;
  }

  /** Nothing was said yet. */
  get isEmpty(): boolean {
    return this.#open === null && this.#ended.length === 0;
  }

  get isInMessage(): boolean {
    return this.#open?.kind === 'message';
  }

  /** `logprobs`: of the tokens of a message's text, as far as they are known. */
  add(piece: Piece, logprobs: readonly object[] = []): ResponseEvent[] {
    const goesOn = this.#open?.kind === piece.kind && !(piece.kind === 'call' && piece.opens);
    const events = goesOn ? [] : [...this.#close('completed'), ...this.#begin(piece)];
    return piece.text === '' && logprobs.length === 0 ? events : [...events, ...this.#open!.add(piece.text, logprobs)];
  }

  /** Ends the last item. An answer that said nothing is a message without text. */
  end(status: ItemStatus): ResponseEvent[] {
    const empty = this.#open === null ? this.#begin({ kind: 'message', text: '', at: 0 }) : [];
    return [...empty, ...this.#close(status)];
  }

  #begin(piece: Piece): ResponseEvent[] {
    const index = this.#ended.length;
    const name = index === 0 ? this.#requestId : `${this.#requestId}_${index}`;
    this.#open =
      piece.kind === 'call' ? new CallItem(`fc_${name}`, index, piece.opens!) : new TextItem(piece.kind, name, index);
    return this.#open.begin();
  }

  #close(status: ItemStatus): ResponseEvent[] {
    if (this.#open === null) return [];
    const item = this.#open.whole(status);
    const events = this.#open.end(item);
    this.#ended.push(item);
    this.#open = null;
    return events;
  }
}

/** A message, or thoughts. */
class TextItem implements OpenItem {
  readonly kind: 'reasoning' | 'message';
  readonly #place: { readonly item_id: string; readonly output_index: number; readonly content_index: number };
  readonly #logprobs: object[] = [];
  #text = '';

  constructor(kind: 'reasoning' | 'message', name: string, index: number) {
    this.kind = kind;
    this.#place = { item_id: `${kind === 'message' ? 'msg' : 'rs'}_${name}`, output_index: index, content_index: 0 };
  }

  get #partType(): string {
    return this.kind === 'message' ? 'output_text' : 'reasoning_text';
  }

  #part(): object {
    const rest = this.kind === 'message' ? { annotations: [], logprobs: [...this.#logprobs] } : {};
    return { type: this.#partType, text: this.#text, ...rest };
  }

  begin(): ResponseEvent[] {
    const { output_index } = this.#place;
    return [
      { type: 'response.output_item.added', output_index, item: this.#item('in_progress', []) },
      { type: 'response.content_part.added', ...this.#place, part: this.#part() },
    ];
  }

  add(text: string, logprobs: readonly object[]): ResponseEvent[] {
    this.#text += text;
    this.#logprobs.push(...logprobs);
    const told = this.kind === 'message' ? { logprobs } : {};
    return [{ type: `response.${this.#partType}.delta`, ...this.#place, delta: text, ...told }];
  }

  whole(status: ItemStatus | 'in_progress'): object {
    return this.#item(status, [this.#part()]);
  }

  end(item: object): ResponseEvent[] {
    const told = this.kind === 'message' ? { logprobs: [...this.#logprobs] } : {};
    return [
      { type: `response.${this.#partType}.done`, ...this.#place, text: this.#text, ...told },
      { type: 'response.content_part.done', ...this.#place, part: this.#part() },
      { type: 'response.output_item.done', output_index: this.#place.output_index, item },
    ];
  }

  #item(status: string, content: readonly object[]): object {
    const { item_id: id } = this.#place;
    return this.kind === 'message'
      ? { id, type: 'message', role: 'assistant', status, content }
      : { id, type: 'reasoning', status, summary: [], content };
  }
}

class CallItem implements OpenItem {
  readonly kind = 'call';
  readonly #place: { readonly item_id: string; readonly output_index: number };
  readonly #call: { readonly callId: string; readonly name: string };
  #arguments = '';

  constructor(id: string, index: number, call: { readonly callId: string; readonly name: string }) {
    this.#place = { item_id: id, output_index: index };
    this.#call = call;
  }

  begin(): ResponseEvent[] {
    const { output_index } = this.#place;
    return [{ type: 'response.output_item.added', output_index, item: this.whole('in_progress') }];
  }

  add(text: string): ResponseEvent[] {
    this.#arguments += text;
    return [{ type: 'response.function_call_arguments.delta', ...this.#place, delta: text }];
  }

  whole(status: ItemStatus | 'in_progress'): object {
    const { callId: call_id, name } = this.#call;
    return { id: this.#place.item_id, type: 'function_call', status, call_id, name, arguments: this.#arguments };
  }

  end(item: object): ResponseEvent[] {
    const { output_index } = this.#place;
    return [
      {
        type: 'response.function_call_arguments.done',
        ...this.#place,
        name: this.#call.name,
        arguments: this.#arguments,
      },
      { type: 'response.output_item.done', output_index, item },
    ];
  }
}
