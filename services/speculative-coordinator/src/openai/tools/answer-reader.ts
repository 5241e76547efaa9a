/**
 * Reads an answer as it comes, in pieces of any size: what the model thought (<think>), what it says, and which tools it
 * calls. What the pieces told adds up to the whole, however the text was cut. Text that may be the beginning of a mark is
 * held back; what looks like a call and is none, or names no tool, is text.
 */
import { randomUUID } from 'node:crypto';
import { CallScanner } from './call-scanner.ts';

export interface ToolCallDelta {
  readonly index: number;
  /** With the name, once: the call begins. */
  readonly id?: string;
  readonly type?: 'function';
  readonly function: { readonly name?: string; readonly arguments: string };
}

/** What one piece added. */
export interface MessageDelta {
  readonly content?: string;
  readonly reasoning_content?: string;
  readonly tool_calls?: readonly ToolCallDelta[];
}

export interface ReaderOptions {
  /** Names of the tools that may be called; none: whatever the answer says is text. */
  readonly toolNames: readonly string[];
  /** The prompt ended within a section of thoughts. */
  readonly isThinking: boolean;
}

const THINK = '<think>';
const END_OF_THOUGHT = '</think>';
const CALL = '<tool_call>';
const END_OF_CALL = '</tool_call>';

type State = 'begin' | 'thinking' | 'text' | 'tagged call' | 'bare call' | 'end of tag' | 'after tag' | 'after bare';

export class AnswerReader {
  readonly #toolNames: readonly string[];
  #state: State;
  /** Read, and not told yet. */
  #waiting = '';
  /** What stood before the call that is being read: it is text again if that is none. */
  #before = '';
  #call = new CallScanner();
  /** Characters of its arguments that were told; null: nothing of it was. */
  #numTold: number | null = null;
  #numCalls = 0;
  #hasThought: boolean;
  /** The thought has begun with a word. */
  #isReasoning = false;
  #content = '';
  #reasoning = '';
  #deltas: ToolCallDelta[] = [];

  constructor({ toolNames, isThinking }: ReaderOptions) {
    this.#toolNames = toolNames;
    this.#hasThought = isThinking;
    this.#state = isThinking ? 'thinking' : 'begin';
  }

  get hasToolCalls(): boolean {
    return this.#numCalls > 0;
  }

  /** What this piece adds; null: nothing that can be told yet. */
  push(text: string): MessageDelta | null {
    this.#waiting += text;
    while (this.#advance());
    return this.#take();
  }

  /** The answer has ended: what was held back is told. */
  end(): MessageDelta | null {
    if (this.#isInCall) this.#giveUpCall('');
    if (this.#state === 'thinking') this.#reasoning += this.#waiting;
    else if (this.#state === 'text' || (this.#state === 'begin' && !this.#hasThought)) this.#content += this.#waiting;
    this.#waiting = '';
    return this.#take();
  }

  get #isInCall(): boolean {
    return this.#state === 'tagged call' || this.#state === 'bare call';
  }

  /** Goes on by one step; false: more text is needed first. */
  #advance(): boolean {
    switch (this.#state) {
      case 'begin':
        return this.#begin(this.#waiting.trimStart());
      case 'thinking':
        return this.#think();
      case 'text':
        return this.#read();
      case 'tagged call':
      case 'bare call':
        return this.#readCall();
      case 'end of tag':
        return this.#endTag(this.#waiting.trimStart());
      case 'after tag':
        return this.#goTo('text', this.#waiting.trimStart());
      case 'after bare':
        return this.#afterBare(this.#waiting.replace(/^[\s,;\]]+/, ''));
    }
  }

  /** False where there is nothing to go on with. */
  #goTo(state: State, rest: string): boolean {
    if (rest === '') return false;
    this.#state = state;
    this.#waiting = rest;
    return true;
  }

  #begin(start: string): boolean {
    if (!this.#hasThought && start.startsWith(THINK)) {
      this.#hasThought = true;
      this.#waiting = start.slice(THINK.length);
      this.#state = 'thinking';
      return true;
    }
    if (!this.#hasThought && THINK.startsWith(start)) return false; // no text at all, too
    if (this.#toolNames.length > 0) {
      if (/^\[\s*$/.test(start)) return false;
      const [list = ''] = /^\[?\s*(?=\{)/.exec(start) ?? [];
      if (start.startsWith('{', list.length)) return this.#beginCall('bare call', list, start.slice(list.length));
    }
    return this.#goTo('text', this.#hasThought ? start : this.#waiting);
  }

  #think(): boolean {
    if (!this.#isReasoning) this.#waiting = this.#waiting.trimStart();
    if (this.#waiting !== '') this.#isReasoning = true;
    const at = this.#waiting.indexOf(END_OF_THOUGHT);
    const end = at < 0 ? this.#waiting.length - numHeldBack(this.#waiting, END_OF_THOUGHT) : at;
    const thought = this.#waiting.slice(0, end);
    this.#reasoning += at < 0 ? thought : thought.trimEnd();
    this.#waiting = this.#waiting.slice(at < 0 ? end : at + END_OF_THOUGHT.length);
    if (at >= 0) this.#state = 'begin';
    return at >= 0;
  }

  #read(): boolean {
    const hasTools = this.#toolNames.length > 0;
    const at = hasTools ? this.#waiting.indexOf(CALL) : -1;
    if (at >= 0) {
      this.#content += this.#waiting.slice(0, at).trimEnd();
      return this.#beginCall('tagged call', CALL, this.#waiting.slice(at + CALL.length));
    }
    const end = this.#waiting.length - (hasTools ? numHeldBack(this.#waiting, CALL) : 0);
    this.#content += this.#waiting.slice(0, end);
    this.#waiting = this.#waiting.slice(end);
    return false;
  }

  #beginCall(state: 'tagged call' | 'bare call', before: string, rest: string): boolean {
    this.#state = state;
    this.#before = before;
    this.#call = new CallScanner();
    this.#numTold = null;
    this.#waiting = rest;
    return true;
  }

  #readCall(): boolean {
    const call = this.#call;
    for (let i = 0; i < this.#waiting.length; i++) {
      call.push(this.#waiting[i]!);
      const rest = this.#waiting.slice(i + 1);
      if (call.isBroken || (call.name !== null && !this.#toolNames.includes(call.name))) return this.#giveUpCall(rest);
      if (!call.isDone) continue;
      this.#tellCall();
      if (call.argumentsText === '') this.#deltas.push({ index: this.#numCalls - 1, function: { arguments: '{}' } });
      this.#state = this.#state === 'tagged call' ? 'end of tag' : 'after bare';
      this.#waiting = rest;
      return true;
    }
    this.#tellCall();
    this.#waiting = '';
    return false;
  }

  #tellCall(): void {
    const { name, argumentsText } = this.#call;
    if (name === null) return;
    if (this.#numTold === null) {
      const id = `call_${randomUUID().replaceAll('-', '').slice(0, 24)}`;
      this.#deltas.push({ index: this.#numCalls++, id, type: 'function', function: { name, arguments: '' } });
    }
    const told = argumentsText.slice(this.#numTold ?? 0);
    if (told !== '') this.#deltas.push({ index: this.#numCalls - 1, function: { arguments: told } });
    this.#numTold = argumentsText.length;
  }

  /** What was read as a call is text, unless it was told as one already. */
  #giveUpCall(rest: string): boolean {
    if (this.#numTold === null) this.#content += this.#before + this.#call.text;
    this.#state = 'text';
    this.#waiting = rest;
    return rest !== '';
  }

  #endTag(start: string): boolean {
    if (start.startsWith(END_OF_CALL)) {
      this.#state = 'after tag';
      this.#waiting = start.slice(END_OF_CALL.length);
      return true;
    }
    return END_OF_CALL.startsWith(start) ? false : this.#goTo('text', start);
  }

  /** Calls may follow each other, in a list or not. */
  #afterBare(rest: string): boolean {
    return rest.startsWith('{') ? this.#beginCall('bare call', '', rest) : this.#goTo('text', rest);
  }

  #take(): MessageDelta | null {
    const [content, reasoning, deltas] = [this.#content, this.#reasoning, this.#deltas];
    this.#content = '';
    this.#reasoning = '';
    this.#deltas = [];
    if (content === '' && reasoning === '' && deltas.length === 0) return null;
    return {
      ...(content !== '' && { content }),
      ...(reasoning !== '' && { reasoning_content: reasoning }),
      ...(deltas.length > 0 && { tool_calls: deltas }),
    };
  }
}

/** Characters at the end of a text that may belong to a mark: the white space before it, and its beginning. */
function numHeldBack(text: string, mark: string): number {
  for (let length = Math.min(mark.length - 1, text.length); length > 0; length--) {
    if (mark.startsWith(text.slice(-length))) return text.length - text.slice(0, -length).trimEnd().length;
  }
  return text.length - text.trimEnd().length;
}

/** The whole message that its deltas add up to. */
export interface ReadMessage {
  readonly content: string | null;
  readonly reasoning_content?: string;
  readonly tool_calls?: readonly {
    readonly id: string;
    readonly type: 'function';
    readonly function: { readonly name: string; readonly arguments: string };
  }[];
}

export function addedUp(deltas: readonly (MessageDelta | null)[]): ReadMessage {
  const all = deltas.filter((delta) => delta !== null);
  const textOf = (field: 'content' | 'reasoning_content') => all.map((delta) => delta[field] ?? '').join('');
  const calls: { id: string; type: 'function'; function: { name: string; arguments: string } }[] = [];
  for (const { index, id, function: part } of all.flatMap((delta) => delta.tool_calls ?? [])) {
    calls[index] ??= { id: id!, type: 'function', function: { name: part.name!, arguments: '' } };
    calls[index].function.arguments += part.arguments;
  }
  const [content, reasoning] = [textOf('content'), textOf('reasoning_content')];
  return {
    content: content === '' && calls.length > 0 ? null : content,
    ...(reasoning !== '' && { reasoning_content: reasoning }),
    ...(calls.length > 0 && { tool_calls: calls }),
  };
}
