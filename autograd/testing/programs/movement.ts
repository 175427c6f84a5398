import type { Tensor } from '../../../tensor/index.ts';
import { anything, filled, number, one, type ProgramOperator, ranked, type Supply, two } from './operator.ts';
import { call, type Term, tamed } from './terms.ts';

const moved = (make: (x: Term, supply: Supply) => Term, accept: (x: Tensor) => boolean = ranked(anything)) =>
  one(true, accept, make);

const replaced = (shape: readonly number[], axis: number, size: number): readonly number[] =>
  shape.map((old, i) => (i === axis ? size : old));

/** Indices from 0 to size − 1 that vary along an axis: `(step·i + start) mod size`. */
function indices(shape: readonly number[], axis: number, size: number, { pick }: Supply): Term {
  const [step, start] = [pick(size) + 1, pick(size)];
  return call('remainder', call('add', call('mul', call('iota', shape, axis, 'i32'), step), start), size);
}

export const movementOperators = {
  reshape: moved((x, { pick }) => {
    const { shape } = x.tensor;
    const axis = pick(shape.length);
    const size = shape[axis] as number;
    const factor = [2, 3, 5, 1].find((n) => size % n === 0) as number;
    const merged = [...shape.slice(0, axis), size * (shape[axis + 1] ?? 1), ...shape.slice(axis + 2)];
    const cut = [...shape.slice(0, axis), factor, size / factor, ...shape.slice(axis + 1)];
    return call('reshape', x, pick(2) === 0 ? merged : cut);
  }),
  permute: moved((x, { pick }) => {
    const left = x.tensor.shape.map((_, axis) => axis);
    return call(
      'permute',
      x,
      x.tensor.shape.map(() => left.splice(pick(left.length), 1)[0] as number),
    );
  }),
  flip: moved((x, { pick }) => call('flip', x, pick(x.tensor.rank))),
  slice: moved((x, { pick }) => {
    const starts = x.tensor.shape.map((size) => pick(size));
    const steps = x.tensor.shape.map(() => [1, 2, -1, -2, 3][pick(5)] as number);
    return call('slice', x, starts, [], steps);
  }),
  pad: moved((x, { pick }) => {
    const amounts = x.tensor.shape.map((size) => {
      const before = pick(4) - Math.min(1, size);
      // Crops at most the elements that there are.
      return [before, pick(4) - Math.min(1, size + Math.min(0, before))] as const;
    });
    const filler = x.tensor.dtype === 'bool' ? 0 : 1;
    return call('pad', x, amounts, pick(2) * filler);
  }),
  broadcastTo: moved((x, { pick }) => {
    const axis = pick(x.tensor.rank + 1);
    const { shape } = x.tensor;
    return call('broadcastTo', call('unsqueeze', x, axis), [
      ...shape.slice(0, axis),
      pick(3) + 1,
      ...shape.slice(axis),
    ]);
  }, anything),
  repeat: moved((x, { pick }) =>
    call(
      'repeat',
      x,
      x.tensor.shape.map(() => pick(3) + 1),
    ),
  ),
  repeatInterleave: moved((x, { pick }) => call('repeatInterleave', x, pick(3) + 1, pick(x.tensor.rank))),
  flatten: moved((x) => call('flatten', x)),
  concat: two(
    true,
    ranked(anything),
    (a, b) => a.rank === b.rank && a.shape.every((size, axis) => axis === 0 || size === b.shape[axis]),
    (a, b) => call('concat', [a, b], 0),
  ),
  stack: two(
    true,
    anything,
    (a, b) => a.shape.join() === b.shape.join(),
    (a, b, { pick }) => call('stack', [a, b], pick(a.tensor.rank + 1)),
  ),
  gather: one(true, filled(ranked(anything)), (x, supply) => {
    const axis = supply.pick(x.tensor.rank);
    const shape = replaced(x.tensor.shape, axis, supply.pick(4) + 1);
    const along = supply.pick(x.tensor.rank);
    return call('gather', x, indices(shape, along, x.tensor.shape[axis] as number, supply), axis);
  }),
  take: one(true, filled(ranked(anything)), (x, supply) => {
    const axis = supply.pick(x.tensor.rank);
    return call('take', x, indices([supply.pick(4) + 1], 0, x.tensor.shape[axis] as number, supply), axis);
  }),
  scatterAdd: two(
    true,
    filled(ranked(number)),
    (a, b) => a.rank === b.rank && a.shape.slice(1).join() === b.shape.slice(1).join(),
    (base, updates, supply) => {
      const index = indices(updates.tensor.shape, 0, base.tensor.shape[0] as number, supply);
      return tamed(call('scatterAdd', base, index, updates, 0), 1 + (updates.tensor.shape[0] as number));
    },
  ),
} satisfies Readonly<Record<string, ProgramOperator>>;
