import { forRange, get, increase, int, product, range, repeat, set, sum } from '../../assembler/control.ts';
import { i32, type Local, type Statement, v128, when } from '../../assembler/instructions.ts';
import type { ModuleBuilder, TypedFunction } from '../../assembler/module.ts';
import type { Storage } from '../storage.ts';

/**
 * (…sources, count, to): writes element k of all sources side by side to `to + k·step`. There are as many sources as
 * lanes, with `count` contiguous elements each.
 */
export type Interleave = TypedFunction<readonly [...'i32'[], 'i32', 'i32'], undefined>;

/** Interleaves by transposed squares, and the remaining elements one by one. */
export function addInterleave(
  module: ModuleBuilder,
  { bytes, lanes, transpose, move }: Storage,
  step: number,
): Interleave {
  const parameters = [...range(lanes).map(() => 'i32' as const), 'i32', 'i32'] as const;
  return module.function({ parameters }, (p, scope) => {
    const sources = p.slice(0, lanes);
    const [count, to] = p.slice(lanes) as [Local<'i32'>, Local<'i32'>];
    const rows = sources.map(() => scope.local('v128'));
    const i = scope.local('i32');
    return [
      repeat(
        i,
        i32.divU(get(count), int(lanes)),
        rows.map((row, r) => set(row, v128.load(get(sources[r] as Local<'i32'>)))),
        transpose(rows.map(get)).map((column, c) => v128.store(get(to), column, c * step)),
        sources.map((source) => increase(source, 16)),
        increase(to, lanes * step),
      ),
      repeat(
        i,
        i32.remU(get(count), int(lanes)),
        sources.map((source, s) => [move(get(to), get(source), s * bytes), increase(source, bytes)]),
        increase(to, step),
      ),
    ];
  });
}

const parameters = ['i32', 'i32', 'i32', 'i32', 'i32', 'i32', 'i32', 'i32'] as const;

/**
 * (from, along, across, depth, width, to, at, panelDepth): packs a matrix of `width` lines, `across` bytes apart, by
 * `depth` steps, `along` bytes apart, into panels that are panelDepth steps deep, from their step `at` on.
 */
export type PackPanels = TypedFunction<typeof parameters, undefined>;

export interface PanelShape {
  readonly lines: number;
  /** True fills the last panel up with zeros; false makes it narrower. */
  readonly padded: boolean;
}

/** `interleave` must be the one for panels of `lines` lines. */
export function addPackPanels(
  module: ModuleBuilder,
  { bytes, lanes, move }: Storage,
  { lines, padded }: PanelShape,
  interleave: Interleave,
): PackPanels {
  const step = lines * bytes;
  return module.function({ parameters }, ([from, along, across, depth, width, to, at, panelDepth], scope) => {
    const source = scope.local('i32');
    const target = scope.local('i32');
    const count = scope.local('i32');
    const line = scope.local('i32');
    const each = scope.local('i32');
    const copied: Statement = repeat(
      count,
      get(depth),
      range(step / 16).map((v) => v128.store(get(target), v128.load(get(source), v * 16), v * 16)),
      increase(source, get(along)),
      increase(target, step),
    );
    const interleaved: Statement = range(lines / lanes).map((q) => {
      const sources = range(lanes).map((r) => i32.add(get(from), product(get(across), int(q * lanes + r))));
      return interleave.call(...sources, get(depth), i32.add(get(target), int(q * 16)));
    });
    const gathered: Statement = repeat(
      count,
      get(depth),
      set(line, get(source)),
      range(lines).map((l) => [move(get(target), get(line), l * bytes), increase(line, get(across))]),
      increase(source, get(along)),
      increase(target, step),
    );
    const partial: Statement = [
      set(each, padded ? int(step) : product(get(width), int(bytes))),
      set(target, sum(get(to), product(get(at), get(each)))),
      repeat(
        count,
        get(depth),
        set(source, get(from)),
        padded ? range(step / 16).map((v) => v128.store(get(target), v128.const(new Array(16).fill(0)), v * 16)) : [],
        forRange(
          line,
          product(get(width), int(bytes)),
          bytes,
          move(i32.add(get(target), get(line)), get(source)),
          increase(source, get(across)),
        ),
        increase(from, get(along)),
        increase(target, get(each)),
      ),
    ];
    const whole: Statement = [
      set(source, get(from)),
      set(target, sum(get(to), product(get(at), int(step)))),
      when(
        i32.eq(get(across), int(bytes)),
        [copied],
        [when(i32.eq(get(along), int(bytes)), [interleaved], [gathered])],
      ),
      increase(from, product(get(across), int(lines))),
      increase(to, product(get(panelDepth), int(step))),
    ];
    return [
      repeat(scope.local('i32'), i32.divU(get(width), int(lines)), whole),
      set(width, i32.remU(get(width), int(lines))),
      when(get(width), [partial]),
    ];
  });
}
