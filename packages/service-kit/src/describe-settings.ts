/** What a settings schema says of each setting, as data: the configuration reference is made of it. */
import { z } from 'zod';

export interface SettingDescription {
  readonly name: string;
  readonly reason: string;
  readonly unit?: string;
  readonly default?: unknown;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly choices?: readonly unknown[];
}

/** In the order of the schema. */
export function describeSettings(schema: z.ZodObject): SettingDescription[] {
  return Object.entries(schema.shape).map(([name, field]) => {
    const setting = field as z.ZodType;
    const described: { [key: string]: unknown } = z.toJSONSchema(setting, { io: 'input', unrepresentable: 'any' });
    const { description, unit, minimum, maximum, enum: choices } = described;
    const reason = description ?? '';
    const fallback = setting.safeParse(undefined).data; // what an absent variable means
    return { name, reason, unit, minimum, maximum, choices, default: fallback } as SettingDescription;
  });
}
