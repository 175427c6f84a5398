import { fileURLToPath } from 'node:url';
import { build, type Rolldown } from 'vite';
import { beforeAll, describe, expect, test } from 'vitest';
import { type Chromium, findChromium } from './chromium.ts';
import type { Outcome } from './page.ts';
import { visit } from './visit.ts';

const at = (path: string) => fileURLToPath(new URL(path, import.meta.url));

const chromium = findChromium();
if (typeof chromium === 'string') console.warn(`The library was NOT tested in a browser: Chromium: ${chromium}`);

/** The page, and its programs by name. */
const files = new Map([['', '<!doctype html><script type="module" src="page.js"></script>']]);

/** The softmax of a product of sines by itself, in double precision. */
function expectedValues(): number[] {
  const size = 96;
  const x = Float32Array.from({ length: size * size }, (_, i) => Math.sin(i));
  return Array.from({ length: size }, (_, row) => {
    const products = Array.from({ length: size }, (_, column) => {
      let sum = 0;
      for (let k = 0; k < size; k++) sum += (x[row * size + k] as number) * (x[k * size + column] as number);
      return sum;
    });
    const exponentials = products.map(Math.exp);
    const total = exponentials.reduce((a, b) => a + b, 0);
    return exponentials.map((value) => value / total);
  }).flat();
}

describe.skipIf(typeof chromium === 'string')('in a browser', () => {
  beforeAll(async () => {
    const result = await build({
      configFile: false,
      logLevel: 'silent',
      resolve: { alias: { 'diffusion-dpo/tensor': at('../../tensor/index.ts') } },
      build: {
        write: false,
        target: 'es2022',
        lib: { entry: at('page.ts'), formats: ['es'], fileName: () => 'page.js' },
      },
    });
    for (const { output } of (Array.isArray(result) ? result : [result]) as Rolldown.RolldownOutput[])
      for (const part of output) if (part.type === 'chunk') files.set(part.fileName, part.code);
  });

  // A logit is a sum of 96 products of at most 1, with as many roundings of at most 96 / 2^24. The exponentials make that
  // a relative error, in the numerator and in the sum.
  const bound = 2 * 96 * 96 * 2 ** -24;

  const check = ({ devices, hasWebGpu }: Outcome, wasm: RegExp): void => {
    if (!hasWebGpu) console.warn('WebGPU was NOT tested in a browser: Chromium has no adapter');
    expect(devices[0]?.description).toMatch(wasm);
    expect(devices.length).toBe(hasWebGpu ? 2 : 1);
    const expected = expectedValues();
    for (const { values } of devices) {
      expect(values.length).toBe(expected.length);
      values.forEach((value, i) => {
        const right = expected[i] as number;
        expect(Math.abs(value - right)).toBeLessThanOrEqual(bound * right);
      });
    }
  };

  test('cross-origin isolation gives WebAssembly threads; both executors compute what they should', async () => {
    const outcome = await visit<Outcome>(chromium as Chromium, files, {
      'cross-origin-opener-policy': 'same-origin',
      'cross-origin-embedder-policy': 'require-corp',
    });
    expect(outcome.isolated).toBe(true);
    check(outcome, /^wasm: .*, 2 threads$/);
    expect(outcome.chosen).toMatch(/^wasm: /);
  });

  test('without isolation there is one thread, with the same results', async () => {
    const outcome = await visit<Outcome>(chromium as Chromium, files);
    expect(outcome.isolated).toBe(false);
    check(outcome, /^wasm: .*, 1 thread$/);
  });
});
