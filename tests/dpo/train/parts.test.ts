import { flowSchedule, noiseSchedule, signalToNoise } from 'diffusion-dpo/diffusion';
import {
  bucketOf,
  crc32c,
  drawnTimesteps,
  emptyWindow,
  eventFileHead,
  type MetricsRow,
  scalarsRecord,
  summarize,
  timestepWeights,
  warningsOf,
  withBatch,
} from 'diffusion-dpo/dpo';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

describe('weights of time steps', () => {
  const schedule = noiseSchedule({ betaSchedule: 'squaredcos_cap_v2' });
  const { betas, alphasCumprod } = schedule;
  const at = (values: Float64Array, t: number): number => values[t] as number;

  test('are those of the equations', () => {
    const elbo = timestepWeights('elbo', schedule, 'epsilon');
    const score = timestepWeights('score-consistent', schedule, 'epsilon', { dataVariance: 0.25 });
    for (const t of [0, 10, 500, 999]) {
      const [beta, a2] = [at(betas, t), at(alphasCumprod, t)];
      expect(at(elbo, t) / ((1000 * beta) / (2 * (1 - beta) * (1 - a2)))).toBeCloseTo(1, 12);
      const v = a2 * 0.25 + 1 - a2;
      expect(at(score, t) / (v ** 2 / (0.5 * a2 * (1 - a2)))).toBeCloseTo(1, 12);
    }
    expect(new Set(timestepWeights('constant', schedule, 'v_prediction'))).toEqual(new Set([0.5]));
    const snr = signalToNoise(schedule);
    const minSnr = timestepWeights('min-snr', schedule, 'epsilon', { gamma: 5 });
    expect(at(minSnr, 0)).toBeCloseTo((0.5 * 5) / at(snr, 0), 12);
    expect(at(minSnr, 900)).toBe(0.5);
  });

  test('weigh the same difference alike, whatever the network predicts', () => {
    // For a difference δ of x_0 that of ε is −a/b·δ and that of v is −δ/b.
    for (const name of ['elbo', 'min-snr'] as const) {
      const [ofNoise, ofVelocity, ofSample] = (['epsilon', 'v_prediction', 'sample'] as const).map((prediction) =>
        timestepWeights(name, schedule, prediction),
      ) as [Float64Array, Float64Array, Float64Array];
      for (const t of [3, 400, 990]) {
        const a2 = at(alphasCumprod, t);
        expect((at(ofNoise, t) * a2) / (1 - a2) / at(ofSample, t)).toBeCloseTo(1, 9);
        expect(at(ofVelocity, t) / (1 - a2) / at(ofSample, t)).toBeCloseTo(1, 9);
      }
    }
  });

  test('of flows count the same difference as those of the noise, by the same signal-to-noise ratio', () => {
    // ε = x_t + (1 − σ)·v: a difference δ of v is one of (1 − σ)·δ of ε.
    const flow = flowSchedule({ numTrainTimesteps: 100 });
    for (const [name, options] of [
      ['elbo', {}],
      ['min-snr', {}],
      ['score-consistent', { dataVariance: 0.25 }],
    ] as const) {
      const [ofVelocity, ofSample] = [
        timestepWeights(name, flow, 'flow_prediction', options),
        timestepWeights(name, flow, 'sample', options),
      ];
      // x_0 = x_t − σ·v
      for (const t of [0, 50, 98, 99]) expect(at(ofVelocity, t)).toBeCloseTo(at(ofSample, t) * ((t + 1) / 100) ** 2, 9);
    }
    const score = timestepWeights('score-consistent', flow, 'flow_prediction', { dataVariance: 0.25 });
    const v = 0.25 * 0.25 + 0.25;
    expect(at(score, 49)).toBeCloseTo(v ** 2 / (2 * 0.25 * 0.25), 12);
  });

  test('have these values', () => {
    // SNR 9, and 1 half of the way of a flow.
    const one = noiseSchedule({ numTrainTimesteps: 1, trainedBetas: [0.1] });
    const flow = flowSchedule({ numTrainTimesteps: 100 });
    const minSnr = (prediction: 'epsilon' | 'v_prediction' | 'sample', gamma?: number) =>
      at(timestepWeights('min-snr', one, prediction, gamma === undefined ? {} : { gamma }), 0);
    expect(minSnr('epsilon', 4)).toBeCloseTo(2 / 9, 12);
    expect(minSnr('epsilon', 20)).toBeCloseTo(0.5, 12);
    expect(minSnr('v_prediction', 4)).toBeCloseTo(0.2, 12);
    expect(minSnr('v_prediction', 20)).toBeCloseTo(0.45, 12);
    expect(minSnr('sample', 4)).toBeCloseTo(2, 12);
    expect(minSnr('sample', 20)).toBeCloseTo(4.5, 12);
    expect(minSnr('epsilon')).toBeCloseTo(2.5 / 9, 12);
    expect(at(timestepWeights('min-snr', flow, 'flow_prediction', { gamma: 0.5 }), 49)).toBeCloseTo(0.0625, 12);
    expect(at(timestepWeights('min-snr', flow, 'flow_prediction'), 49)).toBeCloseTo(0.125, 12);
    // With ᾱ = a²/(a² + b²), which is 0.2601/0.5002 and then ½: a²·T·β/(2·α·(1 − ᾱ)).
    const before = 0.2601 / 0.5002;
    const alpha = 0.5 / before;
    const elbo = (0.25 * 100 * (1 - alpha)) / (2 * alpha * 0.5);
    expect(at(timestepWeights('elbo', flow, 'flow_prediction'), 49)).toBeCloseTo(elbo, 9);
    expect(() => timestepWeights('min-snr', one, 'epsilon', { gamma: 0 })).toThrow(/positive/);
  });

  test('are finite where nothing is left of the image, unless the network predicts the noise', () => {
    const bare = noiseSchedule({ rescaleBetasZeroSnr: true });
    for (const name of ['elbo', 'min-snr', 'score-consistent'] as const)
      for (const prediction of ['v_prediction', 'sample'] as const)
        expect(timestepWeights(name, bare, prediction, { dataVariance: 0.25 }).every(Number.isFinite)).toBe(true);
    expect(() => timestepWeights('elbo', bare, 'epsilon')).toThrow(
      'elbo has no finite weight at time step 999, where nothing is left of the image',
    );
  });

  test('that need the variance of the data say so', () => {
    expect(() => timestepWeights('score-consistent', schedule, 'epsilon')).toThrow(/need dataVariance/);
    expect(() => timestepWeights('score-consistent', schedule, 'epsilon', { dataVariance: 0 })).toThrow(/positive/);
  });
});

describe('time steps that are drawn', () => {
  test('are those of a map within a range, for any schedule', () => {
    expect(drawnTimesteps('all', 4)).toEqual([0, 1, 2, 3]);
    expect(drawnTimesteps('all', 1000, [998, 999])).toEqual([998, 999]);
    const kinds = (drawn: readonly number[]) => [...new Set(drawn)].toSorted((a, b) => a - b);
    expect(kinds(drawnTimesteps('turbo', 1000))).toEqual([249, 499, 749, 999]);
    expect(kinds(drawnTimesteps('turbo', 1000, [300, 800]))).toEqual([499, 749]);
    expect(kinds(drawnTimesteps('turbo', 50))).toEqual([11, 23, 35, 47]);
    expect(kinds(drawnTimesteps('refiner', 50))).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(drawnTimesteps('refiner', 1000)).toHaveLength(1000);
  });

  test('must be some', () => {
    expect(() => drawnTimesteps('all', 50, [10, 50])).toThrow(
      'timestepRange is [10, 50], but the schedule has the time steps 0 to 49',
    );
    expect(() => drawnTimesteps('refiner', 1000, [500, 600])).toThrow(
      'timesteps refiner are 0 to 199 where the schedule has the time steps 0 to 999; none of them lies in timestepRange [500, 600]',
    );
    expect(() => drawnTimesteps('turbo', 1000, [300, 310])).toThrow('timesteps turbo are 249, 499, 749, 999 where');
  });
});

describe('metrics', () => {
  const row = (timestep: number, margin: number) => ({
    ...{ timestep, margin, winnerError: 1, loserError: 2, winnerChange: 0.1, loserChange: 0.2 },
    correct: margin > 0 ? 1 : 0,
  });
  const rest = { step: 2, learningRate: 1, stepsPerSecond: 1, peakBytes: 1 };

  test('are means over all pairs, and over those of each part of the time steps', () => {
    let window = emptyWindow(2);
    window = withBatch(window, { loss: 1, gradientNorm: undefined, pairs: [row(0, 1), row(24, 3)] }, 50);
    window = withBatch(window, { loss: 2, gradientNorm: 4, pairs: [row(25, -1)] }, 50);
    const summary = summarize(window, 50, rest);
    expect(summary).toMatchObject({ loss: 1.5, gradientNorm: 4, pairs: 3, margin: 1, winnerError: 1, loserError: 2 });
    expect(summary.accuracy).toBeCloseTo(2 / 3, 12);
    expect(summary.marginDeviation).toBeCloseTo(Math.sqrt(8 / 3), 12);
    expect(summary.buckets.map(({ from, to, pairs, margin }) => [from, to, pairs, margin])).toEqual([
      [0, 24, 2, 2],
      [25, 49, 1, -1],
    ]);
  });

  test('buckets cover all time steps of any schedule, in order', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 3000 }), fc.integer({ min: 1, max: 20 }), (timesteps, buckets) => {
        const places = Array.from({ length: timesteps }, (_, t) => bucketOf(t, timesteps, buckets));
        expect(places).toEqual([...places].sort((a, b) => a - b));
        expect(places[0]).toBe(0);
        expect(Math.max(...places)).toBeLessThan(buckets);
        if (timesteps >= buckets) expect(new Set(places).size).toBe(buckets);
      }),
    );
  });

  const rowOf = (step: number, changes: Partial<MetricsRow>): MetricsRow => ({
    ...{ step, loss: 0.69, pairs: 100, winnerError: 0.5, loserError: 0.5, winnerChange: 0, loserChange: 0 },
    ...{ margin: 1, marginDeviation: 1, accuracy: 0.5, gradientNorm: 1, learningRate: 1, stepsPerSecond: 1 },
    ...{ peakBytes: 1, buckets: [] },
    ...changes,
  });
  const names = (rows: readonly MetricsRow[]) => warningsOf(rows).map(({ name }) => name);

  test('warn of a margin within noise, and of displaced likelihood, and of nothing else', () => {
    const rows = (changes: Partial<MetricsRow>) => [1, 2, 3].map((step) => rowOf(step, changes));
    expect(names(rows({}))).toEqual([]);
    expect(names(rows({ margin: 0.05, marginDeviation: 1 }))).toEqual(['flat margin']);
    expect(names(rows({ winnerChange: 0.1, loserChange: 0.3 }))).toEqual(['displaced likelihood']);
    expect(names(rows({ winnerChange: -0.1, loserChange: 0.3 }))).toEqual([]);
    expect(names([rowOf(1, { margin: 0 })])).toEqual([]);
  });

  test('of displaced likelihood say what may help, and not what is done already', () => {
    const rows = [1, 2].map((step) => rowOf(step, { winnerChange: 0.1, loserChange: 0.3 }));
    expect(warningsOf(rows, { objective: 'dpo' })[0]?.message).toMatch(
      /fewer steps, objective dpo\+sft or safeguard helps$/,
    );
    expect(warningsOf(rows, { objective: 'dpo+sft', safeguard: 0.9 })[0]?.message).toMatch(
      /A larger beta, a lower learning rate, fewer steps or a larger sftWeight helps$/i,
    );
  });
});

describe('event files', () => {
  test('have the checksum of the standard', () => {
    // The check value of CRC-32C.
    expect(crc32c(new TextEncoder().encode('123456789'))).toBe(0xe3069283);
    // RFC 3720, B.4: 32 bytes of zeros, and of ones.
    expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa);
    expect(crc32c(new Uint8Array(32).fill(255))).toBe(0x62a8ab43);
  });

  test('are records of length, checksum, data, checksum', () => {
    const bytes = scalarsRecord(1, 300, { 'train/loss': 0.5 });
    const view = new DataView(bytes.buffer);
    const length = Number(view.getBigUint64(0, true));
    expect(bytes.length).toBe(length + 16);
    const unmask = (masked: number): number => {
      const rotated = (masked - 0xa282ead8) >>> 0;
      return ((rotated >>> 17) | (rotated << 15)) >>> 0;
    };
    expect(unmask(view.getUint32(8, true))).toBe(crc32c(bytes.subarray(0, 8)));
    expect(unmask(view.getUint32(12 + length, true))).toBe(crc32c(bytes.subarray(12, 12 + length)));
    // wall_time = 1, step = 300, summary { value { tag, simple_value = 0.5 } }, in the wire format.
    const expected = [0x09, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f, 0x10, 0xac, 0x02, 0x2a, 19, 0x0a, 17, 0x0a, 10];
    expect([...bytes.subarray(12, 12 + expected.length)]).toEqual(expected);
    expect(new TextDecoder().decode(bytes.subarray(12 + expected.length, 22 + expected.length))).toBe('train/loss');
    expect([...bytes.subarray(22 + expected.length, 12 + length)]).toEqual([0x15, 0, 0, 0, 0x3f]);
    expect(new TextDecoder().decode(eventFileHead(0))).toContain('brain.Event:2');
  });
});
