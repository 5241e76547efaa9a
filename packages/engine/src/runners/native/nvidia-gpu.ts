/**
 * The NVIDIA GPU as its driver describes it: asked of nvidia-smi, which comes with the driver, before a model is loaded.
 * Knows what CUDA 13 demands of a GPU; knows no models and no memory plan.
 */
import { spawnSync } from 'node:child_process';

export interface NvidiaGpu {
  readonly deviceId: number;
  readonly name: string;
  /** Such as 9.0. */
  readonly computeCapability: string;
  /** Such as 580.159.03. */
  readonly driverVersion: string;
  readonly totalMiB: number;
  /** What nobody uses now. */
  readonly freeMiB: number;
}

/** What the images' CUDA 13 runs on (docs/decisions/0041-cuda-13-from-wheels.md). */
const MIN_COMPUTE_CAPABILITY = 7.5;
const MIN_DRIVER = 580;

const FIELDS = ['name', 'compute_cap', 'driver_version', 'memory.total', 'memory.free'];
const TIMEOUT_MS = 20_000;

/** `whyNot`: nvidia-smi is not there, or does not tell. `deviceId` counts within CUDA_VISIBLE_DEVICES, where that is set. */
export function readNvidiaGpu(
  deviceId: number,
  env: NodeJS.ProcessEnv = process.env,
): NvidiaGpu | { readonly whyNot: string } {
  const visible = env.CUDA_VISIBLE_DEVICES?.split(',')[deviceId]?.trim();
  const args = [`--id=${visible || deviceId}`, `--query-gpu=${FIELDS.join(',')}`, '--format=csv,noheader,nounits'];
  const { error, status, stdout, stderr } = spawnSync('nvidia-smi', args, {
    env,
    encoding: 'utf8',
    timeout: TIMEOUT_MS,
  });
  if (error) return { whyNot: `nvidia-smi cannot be run: ${error.message}` };
  const said = `${stdout}${stderr}`.trim().split('\n')[0] ?? '';
  if (status !== 0) return { whyNot: `nvidia-smi ended with ${status}: ${said}` };
  const [name, computeCapability, driverVersion, total, free, ...more] = said.split(',').map((value) => value.trim());
  const [totalMiB, freeMiB] = [Number(total), Number(free)];
  const isRead = name && computeCapability && driverVersion && totalMiB > 0 && freeMiB >= 0 && more.length === 0;
  if (!isRead) return { whyNot: `nvidia-smi answered ${JSON.stringify(said)}, not ${FIELDS.join(', ')}` };
  return { deviceId, name, computeCapability, driverVersion, totalMiB, freeMiB };
}

/** One line for the log. */
export function describeGpu({
  deviceId,
  name,
  computeCapability,
  driverVersion,
  totalMiB,
  freeMiB,
}: NvidiaGpu): string {
  return `GPU ${deviceId}: ${name}, compute capability ${computeCapability}, driver ${driverVersion}, ${freeMiB} of ${totalMiB} MiB free`;
}

/** What CUDA 13 lacks on this GPU; undefined: nothing that is known. */
export function whyUnfit({ deviceId, name, computeCapability, driverVersion }: NvidiaGpu): string | undefined {
  if (Number.parseFloat(computeCapability) < MIN_COMPUTE_CAPABILITY) {
    return `GPU ${deviceId} (${name}) has compute capability ${computeCapability}, CUDA 13 needs ${MIN_COMPUTE_CAPABILITY} or more`;
  }
  if (Number.parseInt(driverVersion, 10) < MIN_DRIVER) {
    return `the driver of GPU ${deviceId} (${name}) is ${driverVersion}, CUDA 13 needs the ${MIN_DRIVER} series or newer`;
  }
  return undefined;
}
