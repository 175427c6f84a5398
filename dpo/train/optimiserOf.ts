import { adafactor, adamW, lion, type Optimiser, type OptimiserState, sgd, withMasterWeights } from '../../nn/index.ts';

export type OptimiserName = 'adamw' | 'adafactor' | 'lion' | 'sgd';

/** An optimiser by its name. With `hasHalves`, for parameters in f16 or bf16, it updates copies of them in f32. */
export function optimiserOf<T>(
  name: OptimiserName,
  { weightDecay, hasHalves }: { readonly weightDecay: number; readonly hasHalves: boolean },
): Optimiser<T, OptimiserState<T>> {
  // Training only passes the state from step to step, so it may forget each optimiser's own type of state.
  const plain = {
    adamw: () => adamW<T>({ weightDecay }) as unknown as Optimiser<T, OptimiserState<T>>,
    adafactor: () => adafactor<T>({ weightDecay }) as unknown as Optimiser<T, OptimiserState<T>>,
    lion: () => lion<T>({ weightDecay }) as unknown as Optimiser<T, OptimiserState<T>>,
    sgd: () => sgd<T>({ weightDecay }) as unknown as Optimiser<T, OptimiserState<T>>,
  }[name]();
  return hasHalves ? (withMasterWeights(plain) as unknown as Optimiser<T, OptimiserState<T>>) : plain;
}
