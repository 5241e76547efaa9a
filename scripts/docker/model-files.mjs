// The part of models/ that an image holds: the one model that the catalogue
// lists under a MODEL_SIZE, the catalogue, and the models' licence and notes.
//
//   node scripts/docker/model-files.mjs <models> <MODEL_SIZE> <to> [--tokenizer]
//
// --tokenizer: of the model only what turns text into token ids and back.
import { cpSync, existsSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';

const [models, size, to, option] = process.argv.slice(2);
const { models: entries } = JSON.parse(readFileSync(join(models, 'catalogue.json'), 'utf8'));
const dir = entries[size]?.dir;
if (!dir) {
  console.error(`MODEL_SIZE=${size} is not in models/catalogue.json, which has ${Object.keys(entries).join(', ')}`);
  process.exit(1);
}

if (!existsSync(join(models, dir))) {
  console.error(
    `MODEL_SIZE=${size} is not among the embedded models: there is no models/${dir}; mount it, MODEL_DIR names it`,
  );
  process.exit(1);
}

const isWeights = (file) => basename(file).includes('.onnx');
for (const name of [dir, 'catalogue.json', 'LICENSE-Apache-2.0.txt', 'MODELS.md']) {
  const filter = (file) => option !== '--tokenizer' || !isWeights(file);
  cpSync(join(models, name), join(to, name), { recursive: true, filter });
}
