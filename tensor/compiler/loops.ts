import type { LoopKernel, Scalar, Stage } from './kernel.ts';
import {
  add,
  at,
  findCut,
  keyOf,
  type Position,
  scale,
  substitute,
  type Variable,
  variable,
  variablesOf,
} from './position.ts';
import { allParts, atPositions, positionsOf, rewriteScalar } from './scalars.ts';

/** Every position in a kernel. */
function positionsIn(kernel: LoopKernel): Position[] {
  const scalars = new Set(kernel.stages.flatMap(({ scalar }) => [...allParts(scalar)]));
  const stores = kernel.stages.flatMap(({ store }) => (store === undefined ? [] : [store]));
  return [...stores, ...[...scalars].flatMap(positionsOf)];
}

/** Replaces loop variables everywhere. */
function replaceVariables(
  kernel: LoopKernel,
  loops: (list: readonly Variable[]) => readonly Variable[],
  replace: (loop: Variable) => Position,
): LoopKernel {
  const known = new Map<Scalar, Scalar>();
  const rewrite = (position: Position): Position => substitute(position, replace);
  const stages = kernel.stages.map(
    (stage): Stage => ({
      ...stage,
      scalar: rewriteScalar(stage.scalar, (scalar) => atPositions(scalar, rewrite), known),
      store: stage.store === undefined ? undefined : rewrite(stage.store),
    }),
  );
  return { ...kernel, outer: loops(kernel.outer), inner: loops(kernel.inner), stages };
}

/** Splits loops in two where that turns the quotients and remainders of reshapes into plain strides. */
export function cutLoops(kernel: LoopKernel): LoopKernel {
  let current = kernel;
  // Every cut divides a loop, so there are few. The bound guards against a position that a cut does not simplify.
  for (let round = 0; round < 24; round++) {
    const cut = positionsIn(current)
      .map(findCut)
      .find((found) => found !== undefined);
    if (cut === undefined) return current;
    const { loop, by } = cut;
    const [high, low] = [variable(loop.size / by), variable(by)];
    current = replaceVariables(
      current,
      (list) => list.flatMap((other) => (other === loop ? [high, low] : [other])),
      (other) => (other === loop ? add(scale(at(high), by), at(low)) : at(other)),
    );
  }
  return current;
}

const factorOf = (position: Position, loop: Variable): number =>
  position.terms.find(({ atom }) => atom === loop)?.factor ?? 0;

const isInsideAtom = (position: Position, loop: Variable): boolean =>
  position.terms.some(({ atom }) => atom.kind !== 'variable' && variablesOf(atom.of).has(loop));

/** Loop counters have 32 bits. */
const mostIterations = 2 ** 31 - 1;

/** Merges adjacent loops that every position treats as one, and drops loops of size 1. */
export function mergeLoops(kernel: LoopKernel): LoopKernel {
  let current: LoopKernel = {
    ...kernel,
    outer: kernel.outer.filter(({ size }) => size !== 1),
    inner: kernel.inner.filter(({ size }) => size !== 1),
  };
  const merge = (list: readonly Variable[], index: number): boolean => {
    const [high, low] = [list[index], list[index + 1]];
    if (high === undefined || low === undefined || high.size * low.size > mostIterations) return false;
    const fits = positionsIn(current).every(
      (position) =>
        factorOf(position, high) === factorOf(position, low) * low.size &&
        !isInsideAtom(position, high) &&
        !isInsideAtom(position, low),
    );
    if (!fits) return false;
    const both = variable(high.size * low.size);
    current = replaceVariables(
      current,
      (loops) => loops.flatMap((other) => (other === high ? [] : [other === low ? both : other])),
      (other) => (other === high ? { constant: 0, terms: [] } : at(other === low ? both : other)),
    );
    return true;
  };
  for (const side of ['outer', 'inner'] as const) {
    for (let index = current[side].length - 2; index >= 0; index--) merge(current[side], index);
  }
  return current;
}

/** The number of a kernel's distinct loads with stride 1 along a loop; −1 without a loop. */
export function contiguousAlong(kernel: LoopKernel, loop: Variable | undefined): number {
  if (loop === undefined) return -1;
  const scalars = new Set(kernel.stages.flatMap(({ scalar }) => [...allParts(scalar)]));
  const loads = [...scalars].flatMap((part) => (part.kind === 'load' ? [part.position] : []));
  return new Map(
    loads.filter((position) => factorOf(position, loop) === 1).map((position) => [keyOf(position), position]),
  ).size;
}

/** Cuts and merges a kernel's loops: few loops, along which memory is accessed with constant strides. */
export const shapeLoops = (kernel: LoopKernel): LoopKernel => mergeLoops(cutLoops(kernel));
