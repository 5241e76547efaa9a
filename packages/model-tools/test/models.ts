import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** Shipped folders that the tests read; nothing is ever written there. */
export function modelFolder(name: string): string {
  return fileURLToPath(new URL(`../../../models/${name}`, import.meta.url));
}

export function graphBytes(name: string): Uint8Array {
  return readFileSync(`${modelFolder(name)}/model.onnx`);
}

export const TINY_HEAD_DIM = 16;
