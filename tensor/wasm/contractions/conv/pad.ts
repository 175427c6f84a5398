import { get, increase, int, integers, minimum, product, repeat, set, sum } from '../../assembler/control.ts';
import { i32, memoryFill, type Statement, v128, when } from '../../assembler/instructions.ts';
import type { ModuleBuilder } from '../../assembler/module.ts';
import { carry, splitDigit } from '../items.ts';
import { padWords, wordsAt } from '../parameters.ts';
import type { Storage } from '../storage.ts';

/**
 * Exports (parameters, unit, scratch): rows of a zero-padded and cropped copy of a convolution's images, so that inner
 * loops never read outside. Along x the copy may be ordered by residues, so that positions a stride apart are neighbours.
 */
export function addPad(module: ModuleBuilder, storage: Storage, name: string): void {
  const copy = addStridedCopy(module, storage);
  module.function({ parameters: ['i32', 'i32', 'i32'], name }, ([parameters, unit], scope) => {
    const words = wordsAt(padWords, parameters);
    const { image, channel, z, y, plane, from, to, list, left, end } = integers(
      scope,
      'image channel z y plane from to list left end',
    );
    /** True inside the source; in the padding before it, the unsigned difference is very large. */
    const inside = (coordinate: typeof z, before: 'beforeZ' | 'beforeY', size: 'sizeZ' | 'sizeY') =>
      i32.ltU(i32.sub(get(coordinate), words(before)), words(size));
    const copyRow: Statement = [
      set(
        from,
        sum(
          words('from'),
          product(get(image), words('fromStep0')),
          product(get(channel), words('fromStep1')),
          product(i32.sub(get(z), words('beforeZ')), words('fromZ')),
          product(i32.sub(get(y), words('beforeY')), words('fromY')),
        ),
      ),
      set(list, i32.add(get(parameters), int(padWords.length * 4))),
      repeat(
        left,
        words('residues'),
        copy.call(
          sum(get(from), i32.load(get(list))),
          words('fromX'),
          get(to),
          i32.load(get(list), 4),
          i32.load(get(list), 8),
          i32.load(get(list), 12),
        ),
        increase(to, words('residueBytes')),
        increase(list, 16),
      ),
    ];
    const startPlane: Statement = set(
      plane,
      sum(
        words('to'),
        product(get(image), words('toStep0')),
        product(get(channel), words('toStep1')),
        product(get(z), words('toZ')),
      ),
    );
    const nextPlane = carry(z, words('size2'), carry(channel, words('size1'), increase(image, 1)));
    return [
      set(image, product(get(unit), words('rowsPerUnit'))),
      set(end, minimum(words('rowsPerUnit'), i32.sub(words('rows'), get(image)))),
      splitDigit(image, y, words('size3')),
      splitDigit(image, z, words('size2')),
      splitDigit(image, channel, words('size1')),
      startPlane,
      repeat(
        end,
        get(end),
        set(to, sum(get(plane), product(get(y), words('toY')))),
        when(
          i32.and(inside(z, 'beforeZ', 'sizeZ'), inside(y, 'beforeY', 'sizeY')),
          [copyRow],
          [memoryFill(get(to), int(0), words('rowBytes'))],
        ),
        carry(y, words('size3'), nextPlane, startPlane),
      ),
    ];
  });
}

/** (from, fromStep, to, before, count, after): `before` zeros, `count` elements from `from`, `after` zeros. */
function addStridedCopy(module: ModuleBuilder, { bytes, lanes, move, zeroAt }: Storage) {
  const parameters = ['i32', 'i32', 'i32', 'i32', 'i32', 'i32'] as const;
  return module.function({ parameters }, ([from, fromStep, to, before, count, after], scope) => {
    const i = scope.local('i32');
    const zeros = (number: typeof before): Statement => repeat(i, get(number), zeroAt(get(to)), increase(to, bytes));
    return [
      zeros(before),
      when(i32.eq(get(fromStep), int(bytes)), [
        repeat(
          i,
          i32.divU(get(count), int(lanes)),
          v128.store(get(to), v128.load(get(from))),
          increase(from, 16),
          increase(to, 16),
        ),
        set(count, i32.remU(get(count), int(lanes))),
      ]),
      repeat(i, get(count), move(get(to), get(from)), increase(from, get(fromStep)), increase(to, bytes)),
      zeros(after),
    ];
  });
}
