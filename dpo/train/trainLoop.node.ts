import { join } from 'node:path';
import { removeUnfinishedSaves } from '../../diffusion/index.node.ts';
import { attempt, makeFolder, removeLeftovers } from '../../tensor/index.node.ts';
import { dispose, prepare, realize, type TensorError } from '../../tensor/index.ts';
import { keyVersion } from '../keys.ts';
import { type Checkpoint, latestCheckpoint, removeUnfinishedCheckpoints, saveCheckpoint } from './checkpoint.node.ts';
import { notFinite, notFiniteError } from './notFinite.ts';
import { lockRun } from './run/lockRun.node.ts';

/** Callbacks that watch a run, and the signal that stops it. */
export interface RunHooks {
  /** Called once before the first step, with a description of the run, line by line. */
  readonly onStart?: (lines: readonly string[], progress: { readonly from: number; readonly steps: number }) => void;
  readonly onStep?: (progress: { readonly step: number; readonly loss: number }) => void;
  /** Called with rows that are skipped and with metrics that look wrong. */
  readonly onWarning?: (message: string) => void;
  /** Ends the run after the current step, with a training checkpoint; before the first step, at once. */
  readonly signal?: AbortSignal;
}

/** How a run ended. */
export interface RunOutcome {
  /** Steps made since the beginning, those of earlier calls included. */
  readonly steps: number;
  /** True where the signal stopped the run before its last step; the same call resumes it. */
  readonly stopped: boolean;
  /** Path of the model that was written; undefined where the run was stopped. */
  readonly model: string | undefined;
}

/** The state of every training: what a training checkpoint holds. */
interface TrainState {
  readonly optimiser: { readonly params: unknown };
}

/** One computation: a micro-batch; the last one of a step makes the step too. */
export interface Job<State> {
  /** The tensors to compute. */
  readonly results: unknown;
  /** Inputs that nothing needs afterwards: `realize` may reuse their buffers. */
  readonly donate: unknown;
  /** Results that only the host reads; they are freed after that. */
  readonly watched: unknown;
  /** The state after the job. A job that completes no step leaves it as it was. */
  readonly state: State;
  readonly completesStep: boolean;
}

/** The numbers of a computed job that must be finite. */
export interface Observed {
  readonly loss: number;
  readonly gradientNorm?: number | undefined;
  /** Gradients, or their norms: an error names the first ones that are not finite. */
  readonly gradients?: unknown;
}

/** The parts in which tuning and pretraining differ. */
export interface Training<State extends TrainState, J extends Job<State>> {
  /** The state before the first step, or that of the training checkpoint. */
  readonly state: State;
  /** Describes the run, line by line. */
  readonly lines: readonly string[];
  /** What may help where numbers are not finite. */
  readonly advice: string;
  /** Builds the graph of the next job, lazily. `unfinished` is the previous job, where that completed no step. */
  build(step: number, state: State, unfinished: J | undefined): Promise<J>;
  /** Reads the numbers of a computed job, and collects them for the log. */
  observe(job: J): Promise<Observed>;
  /** Appends a row to the log where one is due after this step. */
  log(step: number, state: State): Promise<void>;
  /** What resuming needs besides the state, the settings and the version of the keys. */
  record(): Readonly<Record<string, unknown>>;
  /** The tensors that must be finite in a training checkpoint, by the word for them in an error. */
  checked(state: State): Readonly<Record<string, unknown>>;
  /** Draws samples; called after training checkpoints that are due, not after that of a stopped run. */
  drawSamples?(step: number, state: State): Promise<void>;
  /** Writes the trained model and returns its path. */
  writeModel(state: State): Promise<string>;
  /** Releases what `build` reads from. */
  close?(): Promise<void>;
}

export interface LoopSettings {
  /** The folder of the run. */
  readonly output: string;
  readonly steps: number;
  readonly checkpointEvery: number;
  readonly keepCheckpoints: number;
}

/**
 * The whole life of a run: resumes the latest training checkpoint of its folder, if there is one, makes its steps, logs them,
 * saves training checkpoints, and writes the model. The graph of each job is built while the job before it is computed.
 * @param begin makes the run ready for its next step; returns undefined where the signal stopped it meanwhile
 * @throws TensorError where numbers are not finite; the last good training checkpoint stays
 */
export async function trainLoop<State extends TrainState, J extends Job<State>>(
  settings: LoopSettings,
  hooks: RunHooks,
  begin: (found: Checkpoint | undefined) => Promise<Training<State, J> | undefined>,
): Promise<RunOutcome> {
  const { output, steps, checkpointEvery, keepCheckpoints } = settings;
  const checkpoints = join(output, 'checkpoints');
  await attempt('write', output, makeFolder(output));
  await using _lock = await lockRun(output);
  await removeUnfinished(output, checkpoints);

  const found = await latestCheckpoint(checkpoints, (message) => hooks.onWarning?.(message));
  const from = found?.step ?? 0;
  const training = await begin(found);
  if (training === undefined) return { steps: from, stopped: true, model: undefined };
  const { advice, lines } = training;
  hooks.onStart?.(lines, { from, steps });

  let { state } = training;
  let step = from;
  let saved = from;

  /** An error that names the first gradients that are not finite, or else the first parameters. */
  const failure = async (at: number, what: string, observed?: Observed): Promise<TensorError> => {
    const gradients = await notFinite(observed?.gradients);
    const parameters = gradients.length > 0 ? [] : await notFinite(state.optimiser.params);
    return notFiniteError({ step: at, what, found: { gradients, parameters }, saved, checkpoints, advice });
  };

  const save = async (): Promise<void> => {
    // The loss was that of the parameters before the step, so it says nothing about those after it.
    for (const [kind, tensors] of Object.entries(training.checked(state)))
      if ((await notFinite(tensors)).length > 0) throw await failure(step, `it left ${kind} that are not finite`);
    const record = { settings, keys: keyVersion, ...training.record() };
    await saveCheckpoint(checkpoints, step, state, record, keepCheckpoints);
    saved = step;
  };

  try {
    let next = step < steps ? await training.build(step, state, undefined) : undefined;
    while (next !== undefined) {
      const job: J = next;
      if (job.completesStep) step++;
      next = await realizeWhileBuilding(job, async () =>
        step < steps ? training.build(step, job.state, job.completesStep ? undefined : job) : undefined,
      );
      state = job.state;
      const observed = await training.observe(job);
      const { loss, gradientNorm = 0 } = observed;
      if (!Number.isFinite(loss) || !Number.isFinite(gradientNorm)) {
        const what = Number.isFinite(loss) ? `the norm of the gradient is ${gradientNorm}` : `the loss is ${loss}`;
        throw await failure(job.completesStep ? step : step + 1, what, observed);
      }
      dispose(job.watched);
      if (!job.completesStep) continue;

      hooks.onStep?.({ step, loss });
      await training.log(step, state).catch(async (error: unknown) => {
        // The state is sound, so the steps are kept.
        await save().catch(() => undefined);
        throw error;
      });
      const isStopped = hooks.signal?.aborted === true && step < steps;
      const isDue = step === steps || step % checkpointEvery === 0;
      if (isStopped || isDue) await save();
      // Whoever stops a run does not wait for images.
      if (isDue) await training.drawSamples?.(step, state);
      if (isStopped) return { steps: step, stopped: true, model: undefined };
    }
  } finally {
    await training.close?.();
  }
  return { steps: step, stopped: false, model: await training.writeModel(state) };
}

/** Removes what earlier runs left half written when they were killed; the caller holds the lock. */
async function removeUnfinished(output: string, checkpoints: string): Promise<void> {
  await removeLeftovers(output, 'model');
  await removeUnfinishedSaves(join(output, 'model'));
  await removeUnfinishedCheckpoints(checkpoints);
}

/** Computes a job, and meanwhile builds and reads the graph of the next one, which may refer to this job's results. */
async function realizeWhileBuilding<J extends Pick<Job<unknown>, 'results' | 'donate'>>(
  { results, donate }: J,
  build: () => Promise<J | undefined>,
): Promise<J | undefined> {
  const running = realize(results, { donate });
  // Where both fail, the error of `build` is thrown, and this one must not count as unhandled.
  running.catch(() => undefined);
  // Lets the computation begin.
  await new Promise((resolve) => setTimeout(resolve, 0));
  const next = await build();
  prepare(next?.results);
  await running;
  return next;
}
