/**
 * A pool serves one model: with replicas of two, an answer would be of either. Decided by content: the model of most of
 * the replicas that answer, of as many the one that was served before. The others are refused in one sentence that names
 * both. Pure.
 */
import type { ModelCard } from '@forerunner/protocol';
import { nameOf } from '../fit.ts';

/** The card of the one model that a pool serves, or one sentence that says why there is none. */
export type ServedModel =
  | { readonly card: ModelCard }
  /** `isMisfit`: replicas answer, and none may serve. */
  | { readonly reason: string; readonly isMisfit: boolean };

export interface MemberCard {
  readonly name: string;
  /** What it showed of itself, or why it did not. */
  readonly card: ModelCard | Error;
}

export interface KeepRules {
  /** Why a model cannot serve here at all; null: it can. */
  readonly refuse: (card: ModelCard) => string | null;
  /** Digest of the model that was served until now; null: none was. */
  readonly servedDigest: string | null;
}

export interface Kept {
  readonly served: ServedModel;
  /** Why each replica is left out; null: it is not, or does not answer. */
  readonly refusals: readonly (string | null)[];
}

export function keepOneModel(role: string, members: readonly MemberCard[], { refuse, servedDigest }: KeepRules): Kept {
  const misfits = members.map(({ card }) => (card instanceof Error ? null : refuse(card)));
  const fitting = members.flatMap(({ name, card }, i) =>
    card instanceof Error || misfits[i] !== null ? [] : [{ name, card }],
  );
  if (fitting.length === 0) return { served: whyNone(members, misfits), refusals: misfits };
  const models = [...Map.groupBy(fitting, ({ card }) => card.model_digest).entries()]
    .map(([digest, replicas]) => ({ ...replicas[0]!, votes: replicas.length + (digest === servedDigest ? 0.5 : 0) }))
    .toSorted((a, b) => b.votes - a.votes);
  const [kept, next] = models;
  const isUndecided = next !== undefined && kept!.votes === next.votes;
  const differ = ({ name, card }: { name: string; card: ModelCard }) =>
    `${role} replicas serve different models: ${nameOf(kept!.card)} at ${kept!.name} and ${nameOf(card)} at ${name}`;
  const refusals = members.map(({ name, card }, i) => {
    if (card instanceof Error || misfits[i] !== null) return misfits[i]!;
    if (isUndecided) return differ(next);
    return card.model_digest === kept!.card.model_digest ? null : `${differ({ name, card })}, which is left out`;
  });
  return { served: isUndecided ? { reason: differ(next), isMisfit: true } : { card: kept!.card }, refusals };
}

function whyNone(members: readonly MemberCard[], misfits: readonly (string | null)[]): ServedModel {
  const misfit = misfits.find((reason) => reason !== null);
  if (misfit != null) return { reason: misfit, isMisfit: true };
  const silent = members.find(({ card }) => card instanceof Error);
  return { reason: silent ? (silent.card as Error).message : 'no replica is known', isMisfit: false };
}
