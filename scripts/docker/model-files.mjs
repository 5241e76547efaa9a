// The part of models/ that an image holds: the one model that the catalogue
// lists under a MODEL_SIZE, the catalogue, and the models' licence and notes.
//
//   node scripts/docker/model-files.mjs <models> <MODEL_SIZE> <to>
import { cpSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const [models, size, to] = process.argv.slice(2);
const { models: entries } = JSON.parse(readFileSync(join(models, 'catalogue.json'), 'utf8'));
const dir = entries[size]?.dir;
if (!dir) {
  console.error(`MODEL_SIZE=${size} is not in models/catalogue.json, which has ${Object.keys(entries).join(', ')}`);
  process.exit(1);
}

for (const name of [dir, 'catalogue.json', 'LICENSE-Apache-2.0.txt', 'MODELS.md']) {
  cpSync(join(models, name), join(to, name), { recursive: true });
}
