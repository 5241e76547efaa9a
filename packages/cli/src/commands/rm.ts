/** Deletes an imported model. */
import { rmSync } from 'node:fs';
import { findModel } from '@forerunner/service-kit/model-names';
import { type Command, UsageError } from '../command.ts';

export const rmCommand: Command = {
  usage: 'NAME',
  summary: 'deletes an imported model',
  help: '  Only what was imported is deleted: no folder elsewhere, nothing of the catalogue.',
  examples: ['forerunner rm qwen2.5-0.5b-instruct-int8'],
  options: {},
  run({ positionals, output }) {
    const [name, ...rest] = positionals;
    if (!name || rest.length > 0) throw new UsageError('rm wants one NAME');
    const model = findModel(name);
    if (model.source !== 'imported')
      throw new UsageError(`${name} was not imported: it stays where it is, in ${model.dir}`);
    rmSync(model.dir, { recursive: true });
    output.result({ name, dir: model.dir }, [`${name}: deleted`]);
  },
};
