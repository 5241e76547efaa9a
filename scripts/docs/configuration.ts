/** The reference of settings, from the schemas that the services read them with. */
import { describeSettings, type SettingDescription } from '../../packages/service-kit/src/describe-settings.ts';
import { draftSettings } from '../../services/draft-service/src/config.ts';
import { embeddedDraftSettings } from '../../services/draft-service/src/embedded-settings.ts';
import { coordinatorSettings } from '../../services/speculative-coordinator/src/config.ts';
import { targetSettings } from '../../services/target-service/src/config.ts';

const SERVICES = [
  ['speculative-coordinator', coordinatorSettings],
  ['speculative-coordinator with DRAFT_ENDPOINT=embedded', embeddedDraftSettings],
  ['draft-service', draftSettings],
  ['target-service', targetSettings],
] as const;

export function configurationPage(): string {
  return `# Configuration

<!-- Written by scripts/generate-docs.ts from the settings' schemas. Change those. -->

Every setting is an environment variable. A wrong value stops the start with one message that names all that is wrong;
an empty value counts as absent, but for \`DRAFT_ENDPOINT\`, where it means that there is none. \`npm start\` passes its own environment on to all three services.

${SERVICES.map(([name, schema]) => section(name, schema)).join('\n\n')}
`;
}

type Schema = (typeof SERVICES)[number][1];

function section(service: string, schema: Schema): string {
  const rows = describeSettings(schema).map(
    (setting) => `| \`${setting.name}\` | ${defaultOf(setting)} | ${rangeOf(setting)} | ${cell(setting.reason)} |`,
  );
  return [`## ${service}`, '', '| setting | default | allowed | what it is for |', '|---|---|---|---|', ...rows].join(
    '\n',
  );
}

function defaultOf({ default: value }: SettingDescription): string {
  const written = asWritten(value);
  return written === '' ? '–' : `\`${written}\``;
}

/** As one would set it: lists and name=value pairs are separated by commas. */
function asWritten(value: unknown): string {
  if (value === undefined) return '';
  if (Array.isArray(value)) return value.join(',');
  if (typeof value === 'object' && value !== null)
    return Object.entries(value)
      .map(([name, item]) => `${name}=${item}`)
      .join(',');
  return String(value);
}

function rangeOf({ minimum, maximum, choices, unit }: SettingDescription): string {
  if (choices) return choices.map((choice) => `\`${choice}\``).join(' ');
  const bounds = minimum !== undefined && maximum !== undefined ? `${count(minimum)} … ${count(maximum)}` : '';
  return [bounds, unit ?? ''].filter(Boolean).join(' ');
}

const count = (value: number): string => value.toLocaleString('en');
const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ');
