/** The models of this machine. */
import { isModel, listModels } from '@forerunner/service-kit/model-names';
import type { Command } from '../command.ts';
import { sizeOf } from '../model-size.ts';
import { bytesText } from '../progress.ts';

export const listCommand: Command = {
  usage: '',
  summary: 'the models of this machine: imported ones, then those of the catalogue',
  help: '  Imported models lie in FORERUNNER_MODELS, by default ~/.forerunner/models.',
  examples: ['forerunner list', 'forerunner list --json'],
  options: {},
  run({ output }) {
    const models = listModels().flatMap((model) =>
      isModel(model.dir) ? [{ ...model, bytes: sizeOf(model.dir) }] : [],
    );
    const width = Math.max(...models.map(({ name }) => name.length));
    output.result(
      models,
      models.map(({ name, source, bytes, description }) =>
        `${name.padEnd(width)}  ${bytesText(bytes).padStart(9)}  ${description || source}`.trimEnd(),
      ),
    );
  },
};
