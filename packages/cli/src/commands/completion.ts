/** Completion for shells, written from the table of commands: commands, options, and names of models. */
import { type Command, UsageError } from '../command.ts';

/** Command → its options, with their dashes. */
type Words = Readonly<Record<string, readonly string[]>>;

const SHELLS = { bash: bashScript, zsh: zshScript, fish: fishScript } as const;

/** Commands that take names of models. */
const TAKE_MODELS = ['inspect', 'pair', 'rm', 'serve'];

/** `words` is asked when the command runs: the table has this command in it. */
export function completionCommand(words: () => Words): Command {
  return {
    usage: Object.keys(SHELLS).join('|'),
    summary: 'a script that completes commands, options and names of models in a shell',
    help: '  Writes to standard output.',
    examples: [
      'forerunner completion bash > ~/.local/share/bash-completion/completions/forerunner',
      'forerunner completion fish > ~/.config/fish/completions/forerunner.fish',
    ],
    options: {},
    run({ positionals, output }) {
      const [shell, ...rest] = positionals;
      const script = shell !== undefined && Object.hasOwn(SHELLS, shell) ? SHELLS[shell as keyof typeof SHELLS] : null;
      if (!script || rest.length > 0) throw new UsageError(`completion wants one of ${Object.keys(SHELLS).join(', ')}`);
      const text = script(words());
      output.result({ shell, script: text }, text.trimEnd().split('\n'));
    },
  };
}

/** First column of `forerunner list`. */
const LIST_MODELS = `forerunner list 2>/dev/null | cut -d' ' -f1`;

function bashScript(words: Words): string {
  return `# forerunner completion bash
_forerunner() {
  local current=\${COMP_WORDS[COMP_CWORD]} words=
  if [ "$COMP_CWORD" -eq 1 ]; then
    words="${Object.keys(words).join(' ')}"
  else
    case \${COMP_WORDS[1]} in
${cases(words, 'words')}
    esac
    case \${COMP_WORDS[1]} in
      ${TAKE_MODELS.join('|')}) words="$words $(${LIST_MODELS})" ;;
    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  [ "\${#COMPREPLY[@]}" -gt 0 ] || COMPREPLY=($(compgen -f -- "$current"))
}
complete -F _forerunner forerunner
`;
}

function zshScript(words: Words): string {
  return `#compdef forerunner
# forerunner completion zsh
_forerunner() {
  local words_here=
  if (( CURRENT == 2 )); then
    words_here="${Object.keys(words).join(' ')}"
  else
    case \${words[2]} in
${cases(words, 'words_here')}
    esac
    case \${words[2]} in
      ${TAKE_MODELS.join('|')}) words_here="$words_here $(${LIST_MODELS})" ;;
    esac
  fi
  compadd -- \${=words_here} || _files
}
compdef _forerunner forerunner
`;
}

/** Branches by command that put its options into a variable. */
const cases = (words: Words, variable: string): string =>
  Object.entries(words)
    .map(([name, options]) => `      ${name}) ${variable}="${options.join(' ')}" ;;`)
    .join('\n');

function fishScript(words: Words): string {
  const lines = Object.entries(words).flatMap(([name, options]) => [
    `complete -c forerunner -n __fish_use_subcommand -f -a ${name}`,
    ...options.map((option) => `complete -c forerunner -n '__fish_seen_subcommand_from ${name}' -l ${option.slice(2)}`),
  ]);
  const models = `complete -c forerunner -n '__fish_seen_subcommand_from ${TAKE_MODELS.join(' ')}' -a "(${LIST_MODELS})"`;
  return `# forerunner completion fish\n${lines.join('\n')}\n${models}\n`;
}
