/** Wires the page: reads the form, runs the answers one after the other, keeps the conversation. */
import { AnswerView } from './answer-view.js';
import { fetchPair, generate } from './api.js';
import { RoundsView } from './rounds-view.js';
import { installTheme } from './theme.js';
import { callTools } from './tool-calls.js';

const $ = (id) => document.getElementById(id);
const speculative = new AnswerView($('speculative'));
const alone = new AnswerView($('alone'));
const rounds = new RoundsView();
const turns = [];
let running = null;

installTheme($('theme'));
$('key').value = sessionStorage.getItem('forerunner-key') ?? '';
$('key').addEventListener('change', () => {
  sessionStorage.setItem('forerunner-key', $('key').value);
  void showPair();
});
for (const radio of document.querySelectorAll('[name=mode]')) radio.addEventListener('change', showMode);
$('composer').addEventListener('submit', (event) => {
  event.preventDefault();
  if (!running) void run();
});
$('stop').addEventListener('click', () => running?.abort());
$('again').addEventListener('click', () => {
  $('prompt').value = turns.at(-2).content;
  turns.splice(-2);
  $('composer').requestSubmit();
});
$('clear').addEventListener('click', () => {
  turns.length = 0;
  showTranscript();
  $('prompt').focus();
});
document.addEventListener('keydown', (event) => {
  if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) $('composer').requestSubmit();
  if (event.key === 'Escape') running?.abort();
});
showMode();
void showPair();

/** With the draft first, then (where asked) the target alone on the same input: never both at once. */
async function run() {
  running = new AbortController();
  showRunning(true);
  $('problem').hidden = true;
  $('verdict').hidden = true;
  alone.hide();
  try {
    const input = readInput();
    const first = await answer(speculative, input, 'With the draft…', rounds);
    // The same seed on both sides, so that a repetition of either is one.
    const second = $('compare').checked
      ? await answer(
          alone,
          { ...input, seed: first.seed, speculative: false, draft_k: undefined },
          'Target alone…',
          null,
        )
      : null;
    $('status').textContent = `Done: ${first.usage.completion_tokens} tokens.`;
    if (second) showVerdict(first, second, input.temperature === 0);
    if (input.messages) remember(input.messages.at(-1).content, speculative.text);
  } catch (error) {
    $('status').textContent = running.signal.aborted ? 'Stopped.' : '';
    if (!running.signal.aborted) showProblem(error);
  } finally {
    speculative.end();
    alone.end();
    running = null;
    showRunning(false);
  }
}

async function answer(view, input, status, roundsView) {
  $('status').textContent = status;
  view.begin();
  roundsView?.begin();
  const ask = input.tools ? callTools : generate;
  for await (const event of ask(input, { key: $('key').value, signal: running.signal })) {
    if (event.usage) {
      view.finish(event);
      roundsView?.finish(event);
      return event;
    }
    view.add(event);
    roundsView?.add(event);
  }
}

function readInput() {
  const numberOf = (id) => ($(id).value === '' ? undefined : Number($(id).value));
  const text = $('prompt').value;
  const system = $('system').value.trim();
  const fields = ['max_new_tokens', 'draft_k', 'temperature', 'seed', 'top_p', 'top_k', 'min_p', 'min_confidence'];
  return {
    ...(isChat()
      ? {
          messages: [
            ...(system ? [{ role: 'system', content: system }] : []),
            ...turns,
            { role: 'user', content: text },
          ],
        }
      : { prompt: text }),
    ...Object.fromEntries(fields.map((field) => [field, numberOf(field)])),
    ...(isChat() && $('tools').value.trim() && { tools: readTools(), tool_choice: $('tool_choice').value }),
    ...($('schema').value.trim() && { structured_outputs: { json: $('schema').value } }),
  };
}

function readTools() {
  try {
    return JSON.parse($('tools').value);
  } catch (error) {
    throw new Error(`the tools are no JSON (${error.message})`);
  }
}

function isChat() {
  return document.querySelector('[name=mode]:checked').value === 'chat';
}

function remember(question, reply) {
  turns.push({ role: 'user', content: question }, { role: 'assistant', content: reply });
  $('prompt').value = '';
  $('prompt').placeholder = 'Go on…';
  showTranscript();
}

function showMode() {
  $('prompt-label').textContent = isChat() ? 'Message' : 'Text to continue';
  for (const id of ['tools', 'tool_choice']) $(id).disabled = !isChat();
  showTranscript();
}

function showTranscript() {
  const shown = isChat() && turns.length > 0;
  $('transcript').hidden = !shown;
  $('clear').hidden = !shown;
  $('again').hidden = !shown;
  const lines = turns.map(({ role, content }) => {
    const line = document.createElement('p');
    line.className = role;
    line.textContent = content;
    return line;
  });
  $('transcript').replaceChildren(...lines);
  $('transcript').scrollTop = $('transcript').scrollHeight;
}

function showRunning(isRunning) {
  $('run').disabled = isRunning;
  $('stop').hidden = !isRunning;
  if (isRunning) for (const id of ['again', 'clear']) $(id).hidden = true;
  else showTranscript();
}

function showVerdict(first, second, isGreedy) {
  const ratio = second.metrics.total_ms / first.metrics.total_ms;
  const isSame = speculative.tokenIds.join() === alone.tokenIds.join();
  const speed = document.createElement('b');
  speed.textContent = `${ratio.toFixed(2)}×`;
  const same = isSame
    ? 'The two texts are the same, token for token.'
    : isGreedy
      ? 'The two texts differ: somewhere two tokens were within rounding of each other.'
      : 'Sampled texts differ from draw to draw; their distribution is the same.';
  $('verdict').replaceChildren('With the draft ', speed, ` the speed of the target alone. ${same}`);
  $('verdict').hidden = false;
}

function showProblem(error) {
  const hint =
    error.code === 'unauthorized'
      ? ' Give your key under “More settings”.'
      : /chat template/.test(error.message)
        ? ' Choose “Prompt” above.'
        : '';
  if (error.code === 'unauthorized') document.querySelector('.more').open = true;
  $('problem').textContent = `${error.message[0].toUpperCase()}${error.message.slice(1)}.${hint}`;
  $('problem').hidden = false;
}

/** How many replicas serve, where there are several, or where the only one does not. */
function serving(replicas) {
  const numServing = replicas.filter(({ state }) => state === 'serving').length;
  if (replicas.length === 1 && numServing === 1) return '';
  return ` (${numServing} of ${replicas.length} ${replicas.length === 1 ? 'replica' : 'replicas'} serving)`;
}

async function showPair() {
  try {
    const { target, draft, replicas } = await fetchPair($('key').value);
    const kind = draft?.hidden_states_wanted ? 'feature draft' : 'draft';
    $('pair').textContent =
      `Target ${target.model_id}${serving(replicas.target)}, ` +
      `${draft ? `${kind} ${draft.model_id}${serving(replicas.draft)}` : 'no draft: answers come from the target alone'}. ` +
      `On ${target.execution_provider}, ${target.num_threads} ${target.num_threads === 1 ? 'thread' : 'threads'}.`;
    $('max_new_tokens').max = String(target.context_length);
  } catch (error) {
    $('pair').textContent = error.code === 'unauthorized' ? 'This server asks for an API key.' : String(error.message);
  }
}
