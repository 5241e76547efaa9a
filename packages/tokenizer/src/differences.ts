/** What two tokenizers differ in, for people: the parts that the fingerprint is made of, and tokens by name. */
import { canonical, RELEVANT } from './fingerprint.ts';

type Json = Readonly<Record<string, unknown>>;

/** One phrase for each part that differs; none: they are the same tokenizer. `left` and `right`: tokenizer.json's content. */
export function tokenizerDifferences(left: Json, right: Json): string[] {
  return RELEVANT.flatMap((part) => {
    if (canonical(left[part] ?? null) === canonical(right[part] ?? null)) return [];
    return part === 'model' ? modelDifferences(left, right) : [`${part} differ${part.endsWith('s') ? '' : 's'}`];
  });
}

function modelDifferences(left: Json, right: Json): string[] {
  const [a, b] = [modelOf(left), modelOf(right)];
  const vocabulary = vocabularyDifference(vocabularyOf(a), vocabularyOf(b));
  const others = [...new Set([...Object.keys(a), ...Object.keys(b)])].filter(
    (field) =>
      field !== 'vocab' && canonical({ [field]: a[field] ?? null }) !== canonical({ [field]: b[field] ?? null }),
  );
  return [...(vocabulary === null ? [] : [vocabulary]), ...others.sort().map((field) => `model.${field} differs`)];
}

const modelOf = (tokenizer: Json): Json => (tokenizer.model ?? {}) as Json;

/** Token → id; unigram models list [token, score]. */
function vocabularyOf({ vocab }: Json): Map<string, number> {
  if (!Array.isArray(vocab)) return new Map(Object.entries((vocab ?? {}) as Record<string, number>));
  return new Map(vocab.map((entry, id) => [String(Array.isArray(entry) ? entry[0] : entry), id] as const));
}

function vocabularyDifference(left: ReadonlyMap<string, number>, right: ReadonlyMap<string, number>): string | null {
  const differing = [...left].filter(([token, id]) => right.get(token) !== id);
  const onlyRight = [...right.keys()].filter((token) => !left.has(token));
  const [example] = differing;
  if (differing.length + onlyRight.length === 0) return null;
  const sizes = `${left.size} and ${right.size} tokens`;
  const shown = example
    ? `; ${JSON.stringify(example[0])} is ${example[1]} and ${right.get(example[0]) ?? 'none'}`
    : '';
  return `the vocabularies (${sizes}) give ${differing.length + onlyRight.length} tokens other ids${shown}`;
}
