/** What an answer must match, as vLLM names it (`structured_outputs`). */
import { z } from 'zod';

const MAX_CHOICES = 1024;

export const structuredOutputsFields = {
  json: z
    .union([z.record(z.string(), z.unknown()), z.string()], { error: 'must be a JSON schema, or the text of one' })
    .optional()
    .describe('A JSON schema: the answer is a value of it.'),
  regex: z.string().min(1).max(65_536).optional().describe('A regular expression that the whole answer matches.'),
  choice: z.array(z.string().min(1)).min(1).max(MAX_CHOICES).optional().describe('The answer is one of these.'),
  grammar: z.string().min(1).optional().describe('A grammar in EBNF (XGrammar, GBNF), whose first rule is "root".'),
};

export const structuredOutputsSchema = z
  .strictObject({
    ...structuredOutputsFields,
    json_object: z.literal(true).optional().describe('The answer is a JSON object.'),
  })
  .refine((given) => Object.values(given).filter((value) => value !== undefined).length === 1, {
    error: 'must have exactly one of json, regex, choice, grammar and json_object',
  });
export type StructuredOutputs = z.output<typeof structuredOutputsSchema>;
