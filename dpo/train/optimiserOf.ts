import { adafactor, adamW, lion, type Optimiser, type OptimiserState, sgd, withMasterWeights } from '../../nn/index.ts';

export type OptimiserName = 'adamw' | 'adafactor' | 'lion' | 'sgd';

/** An optimiser by its name; with `hasHalves`, on copies of the parameters in f32. */
export function optimiserOf<T>(
  name: OptimiserName,
  { weightDecay, hasHalves }: { readonly weightDecay: number; readonly hasHalves: boolean },
): Optimiser<T, OptimiserState<T>> {
  // The states of optimisers differ, and training passes them on unseen.
  const plain = {
    adamw: () => adamW<T>({ weightDecay }) as unknown as Optimiser<T, OptimiserState<T>>,
    adafactor: () => adafactor<T>({ weightDecay }) as unknown as Optimiser<T, OptimiserState<T>>,
    lion: () => lion<T>({ weightDecay }) as unknown as Optimiser<T, OptimiserState<T>>,
    sgd: () => sgd<T>({ weightDecay }) as unknown as Optimiser<T, OptimiserState<T>>,
  }[name]();
  return hasHalves ? (withMasterWeights(plain) as unknown as Optimiser<T, OptimiserState<T>>) : plain;
}
