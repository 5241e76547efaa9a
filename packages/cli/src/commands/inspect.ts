/** What a model is and what its graph can do. */
import { describeModelFolder } from '@forerunner/model-tools';
import { findModel } from '@forerunner/service-kit/model-names';
import { type Command, UsageError } from '../command.ts';

export const inspectCommand: Command = {
  usage: 'NAME|FOLDER',
  summary: 'what the graph of a model can do, and what could be added',
  help: '  Reads the graph only; runs nothing.',
  examples: ['forerunner inspect 135m', 'forerunner inspect ./models/my-model'],
  options: {},
  run({ positionals, output }) {
    const [name, ...rest] = positionals;
    if (!name || rest.length > 0) throw new UsageError('inspect wants one NAME or FOLDER');
    const model = findModel(name);
    const lines = describeModelFolder(model.dir);
    output.result({ name, dir: model.dir, lines }, [`folder       ${model.dir}`, ...lines]);
  },
};
