import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { adapter } from './tensor/webgpu/adapters.ts';

const root = fileURLToPath(new URL('..', import.meta.url));

test('the benchmark measures an item on each device and writes JSON', async () => {
  if (adapter === null) console.warn('The benchmark was NOT run on WebGPU: neither a GPU nor SwiftShader was found');
  const devices = ['wasm2', 'reference', ...(adapter === null ? [] : ['webgpu'])];
  const words = ['--json', '--time', '5', '--items', '^matmul 64×|^one addition', '--devices', devices.join()];
  const { stdout } = await promisify(execFile)(process.execPath, ['--import', 'tsx', 'bench/index.ts', ...words], {
    cwd: root,
  });
  const { results } = JSON.parse(stdout) as { results: Record<string, unknown>[] };
  const names = ['one addition of 4 elements', 'matmul 64×64×64'];
  expect(results.map(({ device, item }) => [device, item])).toEqual(
    devices.flatMap((device) => names.map((name) => [device, name])),
  );
  for (const result of results) {
    expect(result.rate).toBeGreaterThan(0);
    expect(result.median).toBeGreaterThanOrEqual(result.best as number);
    if (result.unit === 'GFLOP/s') expect(result.share).toBeGreaterThan(0);
  }
});
