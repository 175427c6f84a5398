/**
 * The memory of the device and of the process during a long training, which must stay flat after warm-up.
 *
 *   npx tsx bench/memory.ts                                1,000 Adam steps of an MLP with WebAssembly
 *   npx tsx bench/memory.ts --devices wasm1 --steps 5000
 *   npx tsx bench/memory.ts --json                         JSON instead of a table
 */
import { parseArgs } from 'node:util';
import { setDefaultDevice } from 'diffusion-dpo/tensor';
import { openNamed } from './devices.ts';
import { mlpTraining } from './training.ts';

const { values: options } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    devices: { type: 'string', default: 'wasm2' },
    steps: { type: 'string', default: '1000' },
  },
});

interface Point {
  readonly step: number;
  /** In bytes, as all others. */
  readonly device: number;
  readonly devicePeak: number;
  readonly process: number;
}

const steps = Number(options.steps);
const results: { readonly device: string; readonly curve: readonly Point[] }[] = [];
for (const name of options.devices.split(',')) {
  const device = await openNamed(name);
  setDefaultDevice(device);
  const run = await mlpTraining([256, 784, 512, 10], 'adam');
  const curve: Point[] = [];
  if (!options.json) console.log(`\n${device.description}\n    step   on the device       its peak    the process`);
  for (let step = 1; step <= steps; step++) {
    await run();
    if (step !== 10 && step % Math.ceil(steps / 10) !== 0) continue;
    const { bytes, peakBytes } = device.memory();
    const point = { step, device: bytes, devicePeak: peakBytes, process: process.memoryUsage().rss };
    curve.push(point);
    const columns = [point.device, point.devicePeak, point.process].map((size) =>
      `${(size / 2 ** 20).toFixed(2)} MiB`.padStart(15),
    );
    if (!options.json) console.log(`${String(step).padStart(8)} ${columns.join('')}`);
  }
  results.push({ device: name, curve });
}
if (options.json) console.log(JSON.stringify(results, null, 2));
