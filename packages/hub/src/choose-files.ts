/** Which files of a repository make a model: safetensors with what belongs to them, or one GGUF file. */
import { HubError } from './errors.ts';
import type { HubFile, HubRepository } from './repository.ts';

const COMPANIONS =
  /^(config|generation_config|tokenizer|tokenizer_config|special_tokens_map|added_tokens)\.json$|^chat_template\.(jinja|json)$|^(LICENSE|NOTICE|USE_POLICY)[^/]*$/i;

/**
 * `wanted`: a GGUF file's name or a part of it, such as Q4_K_M; without one, safetensors.
 * Errors: HubError nothing_to_fetch, naming what there is.
 */
export function chooseFiles({ id, files }: HubRepository, wanted: string | undefined): HubFile[] {
  const ggufs = files.filter(({ name }) => /\.gguf$/i.test(name));
  if (wanted !== undefined) {
    const fits = ggufs.filter(({ name }) => name.toLowerCase().includes(wanted.toLowerCase()));
    const [only] = fits.filter(({ name }) => name === wanted).concat(fits.length === 1 ? fits : []);
    if (only) return [only];
    throw nothing(`${fits.length} GGUF files of ${id} are called like "${wanted}"`, ggufs);
  }
  const index = files.find(({ name }) => name === 'model.safetensors.index.json');
  const weights = files.filter(({ name }) => (index ? /^model-.*\.safetensors$/ : /^model\.safetensors$/).test(name));
  if (weights.length > 0) {
    return [...files.filter(({ name }) => COMPANIONS.test(name)), ...(index ? [index] : []), ...weights];
  }
  if (ggufs.length === 1) return ggufs;
  if (ggufs.length > 1) throw nothing(`${id} has several GGUF files, name one (${id}:PART_OF_ITS_NAME)`, ggufs);
  throw new HubError('nothing_to_fetch', `${id} has neither model.safetensors nor a GGUF file`);
}

function nothing(message: string, ggufs: readonly HubFile[]): HubError {
  const there = ggufs.map(({ name }) => name).join(', ') || 'there are none';
  return new HubError('nothing_to_fetch', `${message}: ${there}`);
}
