/** The models of this machine. */
import { isModel, listModels } from '@forerunner/service-kit/model-names';
import type { Command, Output } from '../command.ts';
import { listKnownModels } from '../known-models.ts';
import { sizeOf } from '../model-size.ts';
import { bytesText } from '../progress.ts';

export const listCommand: Command = {
  usage: '[--hub]',
  summary: 'the models of this machine: imported ones, then those of the catalogue',
  help: `  Imported models lie in FORERUNNER_MODELS, by default ~/.forerunner/models.
  --hub                  well-known models that can be pulled: parameters, weights, licence, drafts`,
  examples: ['forerunner list', 'forerunner list --hub --json'],
  options: { hub: { type: 'boolean', default: false } },
  run({ values, output }) {
    if (values.hub === true) return listHub(output);
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

function listHub(output: Output): void {
  const models = listKnownModels();
  const heading = ['name', 'parameters', 'int4', 'int8', 'float16', 'licence', 'drafts'];
  const rows = models.map(({ name, parameters, weightBytes: { int4, int8, float16 }, licence, drafts }) => [
    name,
    `${(parameters / 1e9).toFixed(2)} billion`,
    ...[int4, int8, float16].map(bytesText),
    licence,
    drafts.join(', '),
  ]);
  const widths = heading.map((_, i) => Math.max(...[heading, ...rows].map((row) => row[i]!.length)));
  const lines = [heading, ...rows].map((row) =>
    row
      .map((cell, i) => cell.padEnd(widths[i]!))
      .join('  ')
      .trimEnd(),
  );
  output.result(models, lines);
}
