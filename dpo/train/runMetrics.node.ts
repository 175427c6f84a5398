import type { Device } from '../../tensor/index.ts';
import type { TrainSettings } from '../config/trainKeys.ts';
import { emptyWindow, type MetricsRow, type MetricsWindow, type PairRow, summarize, withBatch } from './metrics.ts';
import { openRunLog } from './run/runFolder.node.ts';
import { warningsOf } from './warnings.ts';

export interface RunMetricsOptions {
  readonly settings: TrainSettings;
  readonly device: Device;
  /** How many time steps the noise schedule has. */
  readonly timesteps: number;
  /** The step that the run resumes after. */
  readonly from: number;
  /** The sums since the last row, from the training checkpoint. */
  readonly window: MetricsWindow | undefined;
  readonly learningRate: (step: number) => number;
  readonly onRow: ((row: MetricsRow) => void) | undefined;
  readonly warn: (name: string, message: string) => void;
}

/**
 * Collects the numbers of a run's micro-batches, and appends rows to its log, with the warnings that they give reason
 * for.
 */
export async function openRunMetrics(options: RunMetricsOptions) {
  const { settings, device, timesteps, from, learningRate, onRow, warn } = options;
  let window = options.window ?? emptyWindow(settings.buckets);
  const log = await openRunLog(settings.output, from, settings);
  let windowBegan = performance.now();
  device.resetPeak();

  return {
    rows: log.rows,
    /** The sums since the last row. */
    window: (): MetricsWindow => window,
    add(batch: {
      readonly loss: number;
      readonly gradientNorm: number | undefined;
      readonly pairs: readonly PairRow[];
    }) {
      window = withBatch(window, batch, timesteps);
    },
    /** Appends a row where one is due: every `logEvery` steps, at the end, and wherever held-out pairs are ranked. */
    async log(step: number, rank: (() => Promise<MetricsRow['validation']>) | undefined): Promise<void> {
      const isEnd = step === settings.steps;
      const validate = isEnd || step % settings.validateEvery === 0 ? rank : undefined;
      if (!isEnd && validate === undefined && step % settings.logEvery !== 0) return;
      const row = summarize(window, timesteps, {
        step,
        learningRate: learningRate(step - 1),
        stepsPerSecond: (1000 * window.steps) / (performance.now() - windowBegan),
        peakBytes: device.memory().peakBytes,
        validation: await validate?.(),
      });
      await log.append(row);
      onRow?.(row);
      for (const { name, message } of warningsOf(log.rows, settings)) warn(name, message);
      window = emptyWindow(settings.buckets);
      device.resetPeak();
      windowBegan = performance.now();
    },
  };
}
