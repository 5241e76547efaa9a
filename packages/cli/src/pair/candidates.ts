/** Which models may draft for a target, by what their folders say; nothing is run. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isModel, listModels, type NamedModel } from '@forerunner/service-kit/model-names';
import { tokenizerDifferences, tokenizerFingerprint } from '@forerunner/tokenizer';
import { sizeOf } from '../model-size.ts';

/** null, or why the two cannot be a pair, with what their tokenizers differ in. Padded vocabularies fit. */
export function whyNoPair(target: NamedModel, draft: NamedModel): string | null {
  if (tokenizerFingerprint(draft.dir) === tokenizerFingerprint(target.dir)) return null;
  const differences = tokenizerDifferences(tokenizerOf(draft), tokenizerOf(target));
  return `${draft.name} and ${target.name} do not fit, their tokenizers differ: ${differences.join('; ')}`;
}

/** Models of this machine with the target's tokenizer that are not larger than it. */
export function possibleDrafts(target: NamedModel): NamedModel[] {
  const bytes = sizeOf(target.dir);
  return listModels().filter(
    (model) =>
      isModel(model.dir) && model.dir !== target.dir && sizeOf(model.dir) <= bytes && whyNoPair(target, model) === null,
  );
}

const tokenizerOf = ({ dir }: NamedModel): Record<string, unknown> =>
  JSON.parse(readFileSync(join(dir, 'tokenizer.json'), 'utf8'));
