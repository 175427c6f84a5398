import type { Program } from '../compiler/program.ts';
import { PlanCache } from '../executor/planCache.ts';
import { type Draft, draftPlan, type Taken } from './plan.ts';
import { usage } from './runtime/gpu.ts';
import { Pipelines } from './runtime/pipelines.ts';
import type { ReadyPlan } from './runtime/run.ts';
import type { TaskOptions } from './tasks.ts';

/** A compiled program, with its kernels for each choice of leaves that they overwrite. */
export interface Compiled {
  readonly draft: Draft;
  readonly plans: Map<string, ReadyPlan>;
}

export interface PlansOptions extends TaskOptions {
  /** Capacity of the plan cache, in programs. */
  readonly capacity: number;
}

/** Compiles programs and caches their plans. */
export class Plans {
  readonly #device: GPUDevice;
  readonly #options: PlansOptions;
  readonly #pipelines: Pipelines;
  readonly #programs: PlanCache<Compiled>;
  #compiled = 0;

  constructor(device: GPUDevice, options: PlansOptions) {
    this.#device = device;
    this.#options = options;
    this.#pipelines = new Pipelines(device);
    this.#programs = new PlanCache(options.capacity, ({ plans }) => {
      for (const { numbers } of plans.values()) numbers?.destroy();
    });
  }

  /** The number of programs that have been compiled so far. */
  get compiled(): number {
    return this.#compiled;
  }

  compiledFor(program: Program): Compiled {
    const known = this.#programs.get(program.key);
    if (known !== undefined) return known;
    const compiled = { draft: draftPlan(program, this.#options), plans: new Map<string, ReadyPlan>() };
    this.#compiled++;
    this.#programs.set(program.key, compiled);
    return compiled;
  }

  /** The kernels of a program for a choice of leaves that its outputs overwrite. Compiles all shaders at once. */
  async planFor({ draft, plans }: Compiled, overwrites: Taken): Promise<ReadyPlan> {
    const key = draft.inPlace(overwrites);
    const known = plans.get(key);
    if (known !== undefined) return known;
    const plan = draft.plan(overwrites);
    const pipelines = await Promise.all(plan.kernels.map(({ kernel }) => this.#pipelines.get(kernel)));
    const numbers =
      plan.numberBytes === 0
        ? undefined
        : this.#device.createBuffer({
            size: plan.numberBytes,
            usage: usage.uniform | usage.copyTarget,
            label: 'numbers',
          });
    const mostWorkgroups = this.#device.limits.maxComputeWorkgroupsPerDimension;
    const ready: ReadyPlan = { plan, pipelines, numbers, mostWorkgroups, groups: [], slots: [], results: [] };
    plans.set(key, ready);
    return ready;
  }
}
