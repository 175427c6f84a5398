import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  add,
  at,
  fixed,
  flatten,
  keyOf,
  type Position,
  scale,
  unflatten,
  type Variable,
  variable,
} from '../../tensor/compiler/position.ts';
import { sizeOf, stridesOf } from '../../tensor/shape.ts';

const shapes = fc.array(fc.integer({ min: 1, max: 7 }), { minLength: 1, maxLength: 4 });

/** The value of a position at these loop indices. */
function valueOf({ constant, terms }: Position, places: ReadonlyMap<Variable, number>): number {
  return terms.reduce((sum, { atom, factor }) => {
    if (atom.kind === 'variable') return sum + factor * (places.get(atom) ?? 0);
    const of = valueOf(atom.of, places);
    return sum + factor * (atom.kind === 'quotient' ? Math.floor(of / atom.by) : of % atom.by);
  }, constant);
}

/** All loop indices, or many of them. */
function* placesOf(loops: readonly Variable[]): Generator<ReadonlyMap<Variable, number>> {
  const total = sizeOf(loops.map(({ size }) => size));
  for (let number = 0; number < total; number += 1 + Math.floor(total / 500)) {
    let rest = number;
    yield new Map(
      loops.map((loop) => {
        const place = rest % loop.size;
        rest = Math.floor(rest / loop.size);
        return [loop, place];
      }),
    );
  }
}

test('splitting an index by a shape and joining it again gives the index', () => {
  fc.assert(
    fc.property(shapes, fc.integer({ min: 1, max: 5 }), fc.integer({ min: 0, max: 9 }), (shape, factor, offset) => {
      const loop = variable(sizeOf(shape));
      const position = add(scale(at(loop), factor), fixed(factor * offset));
      const within = [offset + (shape[0] as number), ...shape.slice(1), factor];
      expect(keyOf(flatten(unflatten(position, within), stridesOf(within)))).toBe(keyOf(position));
    }),
  );
});

test('coordinates in several shapes, one after the other, lead to the right element', () => {
  fc.assert(
    fc.property(
      shapes,
      fc.array(fc.shuffledSubarray([0, 1, 2, 3], { minLength: 4 }), { maxLength: 3 }),
      (sizes, orders) => {
        const loops = sizes.map(variable);
        let [shape, coordinates] = [sizes, loops.map(at)];
        let number = (places: ReadonlyMap<Variable, number>): number =>
          loops.reduce((sum, loop, i) => sum + (places.get(loop) ?? 0) * (stridesOf(sizes)[i] as number), 0);
        for (const order of orders) {
          // Reads it in another shape and swaps the axes, with numbers and with positions.
          const total = sizeOf(shape);
          const other = [1, 2, 3, 5, 7].filter((by) => total % by === 0).map((by) => [by, total / by])[
            order[0] as number
          ] ?? [total, 1];
          const [rows, columns] = other as [number, number];
          const before = number;
          number = (places) => {
            const place = before(places);
            return (place % columns) * rows + Math.floor(place / columns);
          };
          const taken = unflatten(flatten(coordinates, stridesOf(shape)), [rows, columns]);
          [shape, coordinates] = [[columns, rows], taken.toReversed()];
        }
        const position = flatten(coordinates, stridesOf(shape));
        for (const places of placesOf(loops)) expect(valueOf(position, places)).toBe(number(places));
      },
    ),
  );
});
