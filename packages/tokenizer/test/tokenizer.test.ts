import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { fingerprintOf } from '../src/fingerprint.ts';
import { ChatTemplateError, Tokenizer, tokenizerFingerprint } from '../src/index.ts';

const modelDir = (name: string) => fileURLToPath(new URL(`../../../models/${name}`, import.meta.url));
const smol = Tokenizer.load(modelDir('smollm2-135m-instruct-int8'));

describe('the tokenizer', () => {
  it.each(['The sky is blue.', '  two  spaces\n\tand a tab', 'naïve café 東京 👩‍👩‍👧 ok', 'x = 12345;'])(
    'gives back %j',
    (text) => {
      expect(smol.decode(smol.encode(text))).toBe(text);
    },
  );

  it('writes a chat as the model was taught, up to where its answer begins', () => {
    const ids = smol.encodeChat({ turns: [{ role: 'user', content: 'Hi' }] });
    const by_hand = smol.encode(
      '<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n' +
        '<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n',
      { parseSpecial: true },
    );
    expect([...ids]).toEqual([...by_hand]);
    expect(ids[0]).toBe(1);
  });

  it('says so when a model has no chat template', () => {
    const tiny = Tokenizer.load(modelDir('tiny-target'));
    expect(() => tiny.encodeChat({ turns: [{ role: 'user', content: 'Hi' }] })).toThrow(ChatTemplateError);
  });
});

describe('a chat template', () => {
  const HI = { turns: [{ role: 'user', content: 'Hi' }] };
  const root = mkdtempSync(join(tmpdir(), 'forerunner-templates-'));
  afterAll(() => rmSync(root, { recursive: true }));
  /** The tiny model's tokenizer with these files, and with this in tokenizer_config.json. */
  const withTemplate = (files: Record<string, string>, chat_template?: unknown) => {
    const dir = mkdtempSync(join(root, 'model-'));
    const source = modelDir('tiny-target');
    copyFileSync(join(source, 'tokenizer.json'), join(dir, 'tokenizer.json'));
    const config = JSON.parse(readFileSync(join(source, 'tokenizer_config.json'), 'utf8')) as object;
    writeFileSync(join(dir, 'tokenizer_config.json'), JSON.stringify({ ...config, chat_template }));
    for (const [name, text] of Object.entries(files)) writeFileSync(join(dir, name), text);
    return Tokenizer.load(dir);
  };
  const named = [
    { name: 'tool_use', template: 'TOOLS {{ tools[0] }}: {{ messages[0].content }}' },
    { name: 'default', template: 'CHAT {{ messages[0].content }}' },
  ];

  it('may be one of several by name: the default one, and another one for tools', () => {
    const tokenizer = withTemplate({}, named);
    expect(tokenizer.decode(tokenizer.encodeChat(HI))).toBe('CHAT Hi');
    expect(tokenizer.decode(tokenizer.encodeChat({ ...HI, variables: { tools: ['t'] } }))).toBe('TOOLS t: Hi');
    expect(tokenizer.chatTemplateSource).toBe(named[0]!.template);
  });

  it.each([
    ['chat_template.jinja before all others', { 'chat_template.jinja': 'J', 'chat_template.json': '{}' }, 'C', 'J'],
    ['chat_template.json', { 'chat_template.json': '{"chat_template": "S"}' }, undefined, 'S'],
    ['the only one that has a name', {}, [{ name: 'rag', template: 'R' }], 'R'],
  ])('may be %s', (_, files, inConfig, text) => {
    const tokenizer = withTemplate(files as Record<string, string>, inConfig);
    expect(tokenizer.decode(tokenizer.encodeChat(HI))).toBe(text);
  });

  it('is none where the list has none', () => {
    expect(withTemplate({}, []).hasChatTemplate).toBe(false);
  });
});

describe('incremental decoding', () => {
  it('adds up to the whole text and releases whole characters only', () => {
    const text = 'Emoji 👩‍👩‍👧, kanji 東京都, and naïve — done. 🚀';
    const decoder = smol.incrementalDecoder();
    const pieces = [...smol.encode(text)].map((id) => decoder.push(id));
    expect(pieces.join('') + decoder.flush()).toBe(text);
    expect(decoder.text).toBe(text);
    for (const piece of pieces) expect(piece).not.toContain('\uFFFD');
    expect(pieces.filter((piece) => piece === '').length).toBeGreaterThan(0); // some token ended inside a character
  });

  it('releases a character that never becomes whole at the end', () => {
    const [first] = smol.encode('👩');
    const decoder = smol.incrementalDecoder();
    expect(decoder.push(first!)).toBe('');
    expect(decoder.flush()).toBe('\uFFFD');
  });

  it('does not wait for ever for bytes that are no character', () => {
    const [first] = smol.encode('👩');
    const decoder = smol.incrementalDecoder();
    const released = [1, 2, 3, 4, 5].map(() => decoder.push(first!)).join('');
    expect(released.length).toBeGreaterThan(0);
  });
});

describe('the fingerprint', () => {
  const json = () => JSON.parse(readFileSync(`${modelDir('tiny-target')}/tokenizer.json`, 'utf8'));

  it('is equal for two models with one tokenizer and differs between vocabularies', () => {
    expect(tokenizerFingerprint(modelDir('tiny-target'))).toBe(tokenizerFingerprint(modelDir('tiny-draft')));
    expect(tokenizerFingerprint(modelDir('tiny-target'))).not.toBe(
      tokenizerFingerprint(modelDir('smollm2-135m-instruct-int8')),
    );
  });

  it('does not depend on formatting, key order, or how merges are written', () => {
    const original = json();
    const rewritten = Object.fromEntries(Object.entries(json()).reverse());
    rewritten.model = {
      ...original.model,
      merges: original.model.merges.map((merge: string | string[]) =>
        Array.isArray(merge) ? merge.join(' ') : merge.split(' '),
      ),
    };
    expect(fingerprintOf(rewritten)).toBe(fingerprintOf(original));
  });

  it('sees two tokens that changed places, though the width is the same', () => {
    const changed = json();
    const [a, b] = Object.keys(changed.model.vocab).slice(100, 102) as [string, string];
    [changed.model.vocab[a], changed.model.vocab[b]] = [changed.model.vocab[b], changed.model.vocab[a]];
    expect(fingerprintOf(changed)).not.toBe(fingerprintOf(json()));
  });
});

describe('the bytes of a token', () => {
  it("join to the text's UTF-8, though a token may hold part of a character only", () => {
    const text = 'naïve 東京 👩‍👩‍👧 \n\tok';
    const ids = [...smol.encodeFragment(text)];
    const bytes = Buffer.concat(ids.map((id) => smol.tokenBytes(id)));
    expect(bytes.toString('utf8')).toBe(text);
    expect(ids.some((id) => smol.tokenText(id).includes('\uFFFD'))).toBe(true);
  });

  it('of a special token are its name', () => {
    expect(Buffer.from(smol.tokenBytes(2)).toString()).toBe('<|im_end|>');
  });
});
