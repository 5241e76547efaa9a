/** Streams and their text, as scenarios use them. */
import { type Answer, streamEvents } from '@forerunner/testkit';

export interface StreamedAnswer {
  readonly text: string;
  readonly tokenIds: number[];
  /** Draft tokens that the target checked, round by round. */
  readonly numDraftTokens: number[];
  readonly summary: Answer | undefined;
  /** The error event's body, if the stream ended with one. */
  readonly error: { code: string; message: string; request_id: string } | undefined;
  readonly isDone: boolean;
}

/** Reads a stream to its end. `onTokens` is told after each event how many tokens have come. */
export async function readStream(
  url: string,
  body: object,
  onTokens: (numTokens: number) => void = () => {},
): Promise<StreamedAnswer> {
  let text = '';
  const tokenIds: number[] = [];
  const numDraftTokens: number[] = [];
  let summary: Answer | undefined;
  let error: StreamedAnswer['error'];
  let isDone = false;
  for await (const { event, data } of streamEvents(url, body)) {
    if (event === 'error') error = (data as { error: NonNullable<typeof error> }).error;
    else if (data === '[DONE]') isDone = true;
    else if ((data as Answer).finish_reason !== undefined) summary = data as Answer;
    else {
      text += (data as Answer).text;
      tokenIds.push(...(data as Answer).token_ids);
      numDraftTokens.push((data as { num_draft_tokens: number }).num_draft_tokens);
      onTokens(tokenIds.length);
    }
  }
  return { text, tokenIds, numDraftTokens, summary, error, isDone };
}

/** A promise for the moment when a stream has brought `numTokens`, and the callback that the stream reports to. */
export function afterTokens(numTokens: number): { reached: Promise<void>; onTokens: (count: number) => void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  return {
    reached: promise,
    onTokens: (count) => {
      if (count >= numTokens) resolve();
    },
  };
}
