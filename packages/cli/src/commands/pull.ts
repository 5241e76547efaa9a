/** Fetches a repository of a Hugging Face hub and imports it. */
import { join } from 'node:path';
import { chooseFiles, hubSettings, pullFiles, readRepository } from '@forerunner/hub';
import { type Command, textOf, UsageError } from '../command.ts';
import { findKnownModel } from '../known-models.ts';
import { Progress } from '../progress.ts';
import { defaultName, importCommand } from './import.ts';

export const pullCommand: Command = {
  usage: 'NAME|ORG/NAME[:GGUF] [options]',
  summary: 'fetches a repository of the Hugging Face hub, and imports it',
  help: `  NAME is one of \`forerunner list --hub\`. GGUF is a part of the name of one of the repository's GGUF files.
  --revision REVISION    a branch, a tag or a commit (main)
${importCommand.help}

  HF_TOKEN, HF_ENDPOINT, HF_HOME and HF_HUB_CACHE are those of huggingface_hub, whose cache is used: what was fetched
  by another tool is not fetched again. What was cut off goes on where it ended.`,
  examples: [
    'forerunner pull qwen2.5-0.5b',
    'forerunner pull Qwen/Qwen2.5-0.5B-Instruct',
    'forerunner pull bartowski/Llama-3.2-1B-Instruct-GGUF:Q8_0 --name llama-1b',
  ],
  options: { ...importCommand.options, revision: { type: 'string', default: 'main' } },
  async run({ positionals, values, output }) {
    const [wanted, ...rest] = positionals;
    const known = wanted === undefined ? undefined : findKnownModel(wanted);
    const [, id, gguf] = /^([\w.-]+\/[\w.-]+)(?::(.+))?$/.exec(known?.repository ?? wanted ?? '') ?? [];
    if (!id || rest.length > 0) throw new UsageError('pull wants one NAME of list --hub, ORG/NAME, or ORG/NAME:GGUF');
    if (known) output.note(`${known.name} is ${known.repository}, licence ${known.licence}`);
    const settings = hubSettings();
    const repository = await readRepository(id, textOf(values, 'revision') ?? 'main', settings);
    const files = chooseFiles(repository, gguf);
    const progress = new Progress(`fetching ${id}`);
    const onProgress = (done: number, total: number) => output.json || progress.update(done, total);
    const snapshot = await pullFiles(repository, files, { settings, onProgress }).finally(() => progress.end());
    const [only] = files;
    const isGguf = only !== undefined && files.length === 1;
    const source = isGguf ? join(snapshot, only.name) : snapshot;
    const name = textOf(values, 'name') ?? defaultName(isGguf ? only.name : id, textOf(values, 'precision') ?? 'int8');
    await importCommand.run({ positionals: [source], values: { ...values, name }, output });
  },
};
