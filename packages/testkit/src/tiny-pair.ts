/** The tiny test pair in models/: what tests need to know of it. */
import { join } from 'node:path';

export const TINY_TARGET_DIR = join(import.meta.dirname, '..', '..', '..', 'models', 'tiny-target');
export const TINY_VOCAB_SIZE = 1024;
export const TINY_EOS_TOKEN_ID = 2;
