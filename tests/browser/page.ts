/** Runs in a browser: computes on every device that is there and sends what came out to the server. */
import { type Device, matmul, openDevice, read, realize, softmax, tensor } from 'diffusion-dpo/tensor';

export interface Outcome {
  readonly isolated: boolean;
  readonly devices: readonly { readonly description: string; readonly values: readonly number[] }[];
  /** What `auto` opened. */
  readonly chosen: string;
  readonly hasWebGpu: boolean;
}

/** A product large enough to be divided among threads, and its softmax. */
async function compute(device: Device): Promise<Outcome['devices'][number]> {
  const size = 96;
  const numbers = Float32Array.from({ length: size * size }, (_, i) => Math.sin(i));
  const x = tensor(numbers, { shape: [size, size], device });
  const y = await realize(softmax(matmul(x, x)));
  return { description: device.description, values: Array.from(await read(y)) };
}

async function outcome(): Promise<Outcome> {
  const hasWebGpu = Boolean(await navigator.gpu?.requestAdapter());
  const devices = [await openDevice('wasm', { threads: 2 }), ...(hasWebGpu ? [await openDevice('webgpu')] : [])];
  const computed: Outcome['devices'][number][] = [];
  for (const device of devices) computed.push(await compute(device));
  return {
    isolated: crossOriginIsolated,
    devices: computed,
    chosen: (await openDevice('auto')).description,
    hasWebGpu,
  };
}

const send = (result: object): Promise<Response> => fetch('result', { method: 'POST', body: JSON.stringify(result) });

outcome().then(send, (error: unknown) => send({ error: error instanceof Error ? error.stack : String(error) }));
