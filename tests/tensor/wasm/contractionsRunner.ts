import { contractionModule } from '../../../tensor/wasm/contractions/module.ts';
import { bindWords } from '../../../tensor/wasm/contractions/parameters.ts';
import type { ContractionDType, ContractionPlan } from '../../../tensor/wasm/contractions/plan.ts';

type Values = Float32Array | Float64Array | Int32Array | Uint32Array;
type Call = (parameters: number, unit: number, scratch: number) => void;

const pages = 1024;
const memory = new WebAssembly.Memory({ initial: pages });
const module = new WebAssembly.Module(contractionModule({ relaxed: false, memory: { initial: pages } }));
const calls = new WebAssembly.Instance(module, { env: { memory } }).exports as unknown as Readonly<
  Record<string, Call>
>;

const arrays = { f32: Float32Array, f64: Float64Array, i32: Int32Array, u32: Uint32Array } as const;
/** What no contraction of the tests ever gives, so that writes where there should be none show. */
const untouched = { f32: 2 ** 100, f64: 2 ** 100, i32: 0x55aa55aa, u32: 0x55aa55aa } as const;
const guard = 16;

export interface Order {
  /** The order in which the units of a phase run. */
  readonly shuffle?: (count: number) => readonly number[];
  /** How many threads' scratch is used in turn. */
  readonly threads?: number;
}

/** Runs a plan in a memory filled with what is NaN as a number and nowhere as an address, and checks that it wrote nowhere but to its output and scratch. */
export function runPlan(
  plan: ContractionPlan,
  dtype: ContractionDType,
  {
    out,
    ...inputs
  }: Readonly<Record<'a' | 'b', Values>> &
    Partial<Readonly<Record<'c' | 'd' | 'e', Values>>> & { readonly out: number },
  { shuffle = (count) => Array.from({ length: count }, (_, i) => i), threads = 1 }: Order = {},
): Values {
  const values = arrays[dtype];
  let end = 1024;
  const place = (bytes: number): number => {
    const here = Math.ceil(end / 64) * 64 + 64;
    end = here + bytes + 64;
    return here;
  };
  const size = values.BYTES_PER_ELEMENT;
  const steps = plan.phases.flat();
  const parameters = steps.map(({ words }) => place(words.length * 4));
  const addresses = {
    ...Object.fromEntries(Object.entries(inputs).map(([name, values]) => [name, place(values.byteLength)])),
    out: place((out + 2 * guard) * size) + guard * size,
    scratch: place(plan.scratchBytes),
  };
  const scratches = Array.from({ length: threads }, () => place(plan.threadScratchBytes));
  if (end > pages * 65536) throw new Error(`the test needs ${end} bytes`);
  new Int32Array(memory.buffer, 0, Math.ceil(end / 4)).fill(0x7fffffff);
  const put = (address: number, source: Values): void => {
    new Uint8Array(memory.buffer, address, source.byteLength).set(
      new Uint8Array(source.buffer, source.byteOffset, source.byteLength),
    );
  };
  for (const [name, values] of Object.entries(inputs))
    put((addresses as Record<string, number>)[name] as number, values);
  const around = new values(memory.buffer, addresses.out - guard * size, out + 2 * guard);
  around.fill(untouched[dtype]);
  steps.forEach(({ words }, i) => {
    put(parameters[i] as number, bindWords(words, addresses));
  });
  const inside = [
    [addresses.out - guard * size, (out + 2 * guard) * size],
    [addresses.scratch, plan.scratchBytes],
    ...scratches.map((scratch) => [scratch, plan.threadScratchBytes]),
  ] as [number, number][];
  const before = new Uint8Array(memory.buffer, 0, end).slice();
  let turn = 0;
  let first = 0;
  for (const phase of plan.phases) {
    const units = phase.flatMap(({ name, units }, s) =>
      Array.from({ length: units }, (_, unit) => ({ call: calls[name] as Call, words: parameters[first + s], unit })),
    );
    for (const i of shuffle(units.length)) {
      const { call, words, unit } = units[i] as (typeof units)[number];
      call(words as number, unit, scratches[turn++ % threads] as number);
    }
    first += phase.length;
  }
  const after = new Uint8Array(memory.buffer, 0, end).slice();
  for (const [start, length] of inside) {
    before.fill(0, start, start + length);
    after.fill(0, start, start + length);
  }
  if (Buffer.compare(before, after) !== 0) throw new Error('the plan wrote outside of its output and scratch');
  for (const i of [...Array(guard).keys()]) {
    if (around[i] !== untouched[dtype] || around[out + guard + i] !== untouched[dtype]) {
      throw new Error('the plan wrote outside of its output');
    }
  }
  return around.slice(guard, guard + out);
}

/**
 * What rounding may add to a sum of `count` products whose magnitudes add up to `magnitude`: blocks of 256 are summed,
 * then the blocks. Integers are exact.
 */
export function roundingBound(dtype: ContractionDType, count: number, magnitude: number): number {
  const unit = { f32: 2 ** -24, f64: 2 ** -53, i32: 0, u32: 0 }[dtype];
  // The sums that are compared with are rounded too, which matters for f64.
  return unit * magnitude * (Math.min(count, 256) + Math.ceil(count / 256) + 2) * (dtype === 'f64' ? count : 1);
}

/** Elements that were not written keep this. */
export const untouchedValue = (dtype: ContractionDType): number => untouched[dtype];

/** Pseudo-random numbers: from −2 to 2 for floats, any bits for integers. */
export function randomValues(dtype: ContractionDType, count: number, random: () => number): Values {
  const values = new arrays[dtype](count);
  const float = dtype === 'f32' || dtype === 'f64';
  for (let i = 0; i < count; i++) values[i] = float ? random() * 4 - 2 : Math.floor(random() * 2 ** 32);
  return values;
}

/** A small generator of numbers in [0, 1). */
export function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (((state >>> 8) ^ (state >>> 20)) / 2 ** 24) % 1;
  };
}
