/** The trio as processes on the tiny pair, able to chat. */
import { makeChatModel, startTrio, type Trio } from '@forerunner/testkit';

export interface TinyTrio extends Trio {
  readonly url: string;
}

export async function startTinyTrio(coordinatorEnv: Record<string, string> = {}): Promise<TinyTrio> {
  const model = makeChatModel();
  try {
    const trio = await startTrio({
      target: 'tiny',
      draft: 'tiny-draft',
      env: { LOG_LEVEL: 'warn' },
      coordinatorEnv: { MODEL_DIR: model.directory, ...coordinatorEnv },
    });
    return {
      ...trio,
      url: trio.coordinator.url,
      stop: async () => {
        await trio.stop();
        model.remove();
      },
    };
  } catch (error) {
    model.remove();
    throw error;
  }
}
