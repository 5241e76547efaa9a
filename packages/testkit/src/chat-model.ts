/** The tiny pair has no chat template of its own; this gives its tokenizer one, so that chats can be tested on it. */
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TINY_TARGET_DIR } from './tiny-pair.ts';

/** ChatML, which the tokenizer has the tokens for. */
const TEMPLATE =
  "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{% endfor %}" +
  "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

export interface ChatModel {
  /** For the coordinator's MODEL_DIR: tokenizer files only. */
  readonly directory: string;
  remove(): void;
}

export function makeChatModel(): ChatModel {
  const directory = mkdtempSync(join(tmpdir(), 'forerunner-test-'));
  cpSync(TINY_TARGET_DIR, directory, { recursive: true, filter: (path) => !path.includes('.onnx') });
  writeFileSync(join(directory, 'chat_template.jinja'), TEMPLATE);
  return { directory, remove: () => rmSync(directory, { recursive: true, force: true }) };
}
