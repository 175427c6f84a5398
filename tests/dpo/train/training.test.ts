import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Device, openDevice, setDefaultDevice } from 'diffusion-dpo/tensor';
import { describe, expect, test } from 'vitest';
import { analyticRun, type Changes, imagePairs, initial } from './analyticRun.ts';
import { naiveRanking, naiveTraining } from './naiveTraining.ts';

const device = await openDevice('reference');
setDefaultDevice(device);

function expectClose(actual: readonly number[], expected: readonly number[], digits = 5): void {
  expect(actual.length).toBe(expected.length);
  actual.forEach((value, i) => {
    expect(value).toBeCloseTo(expected[i] as number, digits);
  });
}

/** Trains, and compares what is saved and what is written down with the equations. */
async function check(changes: Changes): Promise<void> {
  const { settings, result, saved } = await analyticRun(device, changes);
  const naive = await naiveTraining(settings, imagePairs());
  expectClose(saved, naive.average ?? naive.params);
  expectClose(
    result.rows.map(({ loss }) => loss),
    naive.losses,
  );
  expectClose(
    result.rows.map(({ gradientNorm }) => gradientNorm as number),
    naive.norms,
    4,
  );
  expectClose(
    result.rows.map(({ learningRate }) => learningRate),
    naive.rates,
    9,
  );
}

describe('training agrees with the equations in plain numbers', () => {
  test.each<Changes>([
    {},
    { seed: 5 },
    { beta: 20 },
    { steps: 5, batchSize: 1 },
    { batchSize: 3, accumulation: 2 },
    { accumulation: 3, batchSize: 1, optimiser: 'sgd', maxGradientNorm: null },
    { optimiser: 'sgd', maxGradientNorm: null },
    { optimiser: 'sgd', maxGradientNorm: 0.01 },
    { optimiser: 'sgd', maxGradientNorm: 1, learningRate: 0.5 },
    { optimiser: 'sgd', weightDecay: 0.5 },
    { optimiser: 'adamw', weightDecay: 0.5 },
    { optimiser: 'adamw', weightDecay: 0 },
    { optimiser: 'lion', weightDecay: 0.5 },
    { optimiser: 'adafactor', weightDecay: 0.5 },
    { emaDecay: 0.9 },
    { emaDecay: 0.2 },
    { emaDecay: 0 },
    { steps: 5, warmupSteps: 3 },
    { steps: 5, warmupSteps: 2, learningRateSchedule: 'linear' },
    { steps: 5, learningRateSchedule: 'cosine' },
    { steps: 5, warmupSteps: 1, learningRateSchedule: 'cosine_with_restarts' },
    { steps: 5, warmupSteps: 1, learningRateSchedule: 'polynomial' },
    { steps: 5, warmupSteps: 3, learningRateSchedule: 'constant' },
    { timestepWeight: 'elbo' },
    { timestepWeight: 'min-snr' },
    { timestepWeight: 'min-snr', snrGamma: 0.7 },
    { timestepWeight: 'score-consistent', dataVariance: 0.2 },
    { timestepWeight: 'score-consistent' },
    { timesteps: 'turbo' },
    { timesteps: 'refiner' },
    { timestepRange: [17, 19] },
    { crop: 'random' },
    { crop: 'random', timeIds: 'true' },
    { crop: 'random', flip: true, independentTransforms: true, timeIds: 'true', steps: 4 },
    { flip: true },
    { captionDropout: 0.5 },
    { objective: 'sft' },
    { objective: 'dpo+sft', sftWeight: 0.3 },
    { objective: 'cdpo', labelSmoothing: 0.3 },
    { objective: 'robust', flipRate: 0.3 },
    { objective: 'ipo', ipoTau: 2 },
    { objective: 'hinge' },
    { reference: 'precomputed' },
  ])('%o', check);
});

describe('weights in halves', () => {
  /** Rounds to as many binary digits after the first, ties to even. */
  const roundedTo =
    (digits: number) =>
    (value: number): number => {
      if (value === 0) return 0;
      const unit = 2 ** (Math.floor(Math.log2(Math.abs(value))) - digits);
      const [whole, rest] = [Math.floor(value / unit), value / unit - Math.floor(value / unit)];
      return unit * (rest > 0.5 || (rest === 0.5 && whole % 2 !== 0) ? whole + 1 : whole);
    };

  test.each<Changes>([
    { storage: 'bf16' },
    { storage: 'f16' },
    { storage: 'bf16', accumulation: 2, batchSize: 1 },
    { storage: 'bf16', emaDecay: 0.9 },
    { storage: 'f16', emaDecay: 0.9, reference: 'precomputed' },
    { storage: 'bf16', optimiser: 'adafactor', weightDecay: 0.5, emaDecay: 0.5 },
    // Gradients below the least f16.
    { storage: 'f16', beta: 1e-7, optimiser: 'sgd', learningRate: 2e6, weightDecay: 0, maxGradientNorm: null },
    {
      storage: 'f16',
      beta: 1e-7,
      optimiser: 'sgd',
      learningRate: 2e6,
      weightDecay: 0,
      maxGradientNorm: null,
      accumulation: 2,
    },
  ])('are trained, averaged and saved as precise ones, with roundings in the model: %o', async (changes) => {
    const { settings, saved, dtype } = await analyticRun(device, changes);
    const naive = await naiveTraining(settings, imagePairs(), roundedTo(changes.storage === 'bf16' ? 7 : 10));
    expect(dtype).toBe('f32');
    expectClose(saved, naive.average ?? naive.params);
  });
});

describe('held-out pairs', () => {
  const heldOut = imagePairs(3, 50);

  test.each<Changes>([
    {},
    { validationDraws: 5, seed: 3 },
    { timestepWeight: 'elbo', timestepRange: [10, 19], crop: 'random', flip: true, captionDropout: 1, seed: 1 },
    { reference: 'precomputed' },
    // What is judged is what would be saved.
    { emaDecay: 0.9 },
    { emaDecay: 0.9, storage: 'bf16' },
  ])('are ranked by what would be saved, with draws of their own: %o', async (changes) => {
    const { settings, result, saved } = await analyticRun(
      device,
      { steps: 4, validateEvery: 2, learningRate: 0.2, validationDraws: 3, ...changes },
      { validation: heldOut },
    );
    expect(result.rows.map(({ validation }) => validation !== undefined)).toEqual([false, true, false, true]);
    const start = changes.storage === 'bf16' ? [0.5, -0.30078125, 0.2001953125, 0.10009765625] : initial;
    const wanted = await naiveRanking(settings, heldOut, saved, start);
    const { margin, accuracy, pairs } = result.rows[3]?.validation ?? { margin: 0, accuracy: 0, pairs: 0 };
    expect(margin).toBeCloseTo(wanted.margin, 4);
    expect(Math.abs(wanted.margin)).toBeGreaterThan(0.01);
    expect(accuracy).toBeCloseTo(wanted.accuracy, 9);
    expect(pairs).toBe(3);
  });
});

describe('errors of the reference that were computed before', () => {
  test('are computed anew, which is said, where the device or the settings are others', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'errors-'));
    try {
      const changes = { reference: 'precomputed', steps: 2 } as const;
      /** Runs from the beginning; gives the reference batches that were computed, what was said, and the first margin. */
      async function again(on: Device, more: Changes = {}) {
        await rm(join(folder, 'checkpoints'), { recursive: true, force: true });
        let batches = 0;
        const onReference = () => void batches++;
        const said: string[] = [];
        const hooks = { onReference, onWarning: (message: string) => said.push(message) };
        const { result } = await analyticRun(on, { ...changes, ...more }, { output: folder, hooks });
        return { batches, said, margin: result.rows[0]?.margin };
      }
      const wasm = (description: string): Device =>
        new Proxy(device, {
          get: (target, name) => {
            if (name === 'description') return description;
            const value = Reflect.get(target, name, target);
            return typeof value === 'function' ? value.bind(target) : value;
          },
        });
      expect(await again(device)).toEqual({ batches: 2, said: [], margin: 0 });
      expect(await again(device)).toEqual({ batches: 0, said: [], margin: 0 });
      const moved = await again(wasm('wasm: WebAssembly SIMD, 2 threads'));
      expect(moved).toMatchObject({ batches: 2, margin: 0 });
      expect(moved.said.join()).toMatch(
        /reference_errors\.safetensors: the reference's errors there were computed on another device \(reference: .*; now wasm: WebAssembly SIMD\); they are computed anew/,
      );
      // The bits do not depend on the number of threads, but on the instructions.
      expect(await again(wasm('wasm: WebAssembly SIMD, 1 thread'))).toMatchObject({ batches: 0, said: [] });
      expect(await again(wasm('wasm: WebAssembly relaxed SIMD, 1 thread'))).toMatchObject({ batches: 2 });
      const other = await again(wasm('wasm: WebAssembly relaxed SIMD, 1 thread'), { seed: 1 });
      expect(other).toMatchObject({ batches: 2, margin: 0 });
      expect(other.said.join()).toMatch(/are of other settings, pairs or weights; they are computed anew/);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
