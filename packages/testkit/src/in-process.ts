/** A model service within the test's own process, on a real model; and requests about a text. */
import { type ModelService, type ModelServiceDefinition, openModelService } from '@forerunner/model-service';
import { TokenPrefix } from '@forerunner/protocol';

/** Methods of a service's worker. */
type MethodsOf<Definition> = Definition extends ModelServiceDefinition<infer M> ? M : never;

export interface InProcessService<Definition> extends ModelService<MethodsOf<Definition>> {
  close(): Promise<void>;
}

// biome-ignore lint/suspicious/noExplicitAny: any service
export async function openInProcess<Definition extends ModelServiceDefinition<any>>(
  definition: Definition,
  env: NodeJS.ProcessEnv,
): Promise<InProcessService<Definition>> {
  const service = await openModelService<MethodsOf<Definition>>(
    definition,
    { NUM_THREADS: '1', LOG_LEVEL: 'silent', ...env },
    {
      readiness: () => ({ ready: true }),
      onDeath: (reason) => {
        throw reason;
      },
    },
  );
  return {
    ...service,
    close: async () => {
      await service.app.close();
      await service.model.close();
    },
  };
}

/** Ids of a text that repeats only after a while. */
export function someIds(count: number, offset = 0): Int32Array {
  return Int32Array.from({ length: count }, (_, i) => 3 + (((i + offset) * 37) % 997));
}

/** What a request says of `text[position..]`. */
export function aboutText(sequenceId: string, text: Int32Array, position: number) {
  const prefix = new TokenPrefix();
  prefix.append(text.subarray(0, position));
  return {
    sequence_id: sequenceId,
    position,
    prefix_digest: prefix.digestAt(position),
    token_ids: text.slice(position),
  };
}
