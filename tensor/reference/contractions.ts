import { isFloat } from '../dtype.ts';
import { type Shape, sizeOf, stridesOf } from '../shape.ts';
import { type Call, input, type Kernels } from './kernel.ts';
import { walk } from './strided.ts';

/** Products are added in f64, or wrapping for integers, and rounded once. */
const accumulators = (call: Call<'matmul' | 'conv'>, length: number) =>
  isFloat(call.output.dtype) ? new Float64Array(length) : new Int32Array(length);

const productOf = (call: Call<'matmul' | 'conv'>): ((a: number, b: number) => number) =>
  isFloat(call.output.dtype) ? (a, b) => a * b : Math.imul;

function matmul(call: Call<'matmul'>): void {
  const { tensor: a, values: left } = input(call, 0);
  const { values: right } = input(call, 1);
  const [rows, inner] = a.shape.slice(-2) as [number, number];
  const columns = call.output.shape.at(-1) as number;
  const product = productOf(call);
  const row = accumulators(call, columns);
  const total = sizeOf(call.output.shape.slice(0, -1));
  for (let r = 0; r < total; r++) {
    const batch = Math.floor(r / rows) * inner * columns;
    row.fill(0);
    for (let k = 0; k < inner; k++) {
      const factor = left[r * inner + k] as number;
      const from = batch + k * columns;
      for (let j = 0; j < columns; j++) row[j] = (row[j] as number) + product(factor, right[from + j] as number);
    }
    call.out.set(row, r * columns);
  }
}

/** For every output position and kernel tap of one axis, the input position that they meet at, or −1 for none. */
function meetings(
  attributes: Call<'conv'>['attributes'],
  axis: number,
  size: number,
  out: number,
  kernel: number,
): Int32Array {
  const at = (list: readonly number[]): number => list[axis] as number;
  return Int32Array.from({ length: out * kernel }, (_, i) => {
    const position =
      Math.floor(i / kernel) * at(attributes.strides) +
      (i % kernel) * at(attributes.kernelDilation) -
      at(attributes.before);
    const place = position / at(attributes.inputDilation);
    return position >= 0 && Number.isInteger(place) && place < size ? place : -1;
  });
}

function conv(call: Call<'conv'>): void {
  const { tensor: x, values } = input(call, 0);
  const { tensor: weight, values: weights } = input(call, 1);
  const [batch, channels, ...spatial] = x.shape as readonly [number, number, ...number[]];
  const [outputs, inputs, ...kernel] = weight.shape as readonly [number, number, ...number[]];
  const out = call.output.shape.slice(2);
  const tables = spatial.map((size, axis) =>
    meetings(call.attributes, axis, size, out[axis] as number, kernel[axis] as number),
  );
  const [places, taps, positions] = [sizeOf(spatial), sizeOf(kernel), sizeOf(out)];
  const strides = stridesOf(spatial);
  const outIndex = indices(out);
  const tapIndex = indices(kernel);
  const product = productOf(call);
  const sums = accumulators(call, 1);
  const perGroup = outputs / call.attributes.groups;
  // Which input places and taps meet at a position is the same for every image and channel.
  const metPlaces = new Int32Array(taps);
  const metTaps = new Int32Array(taps);
  for (let position = 0; position < positions; position++) {
    let met = 0;
    for (let tap = 0; tap < taps; tap++) {
      let place = 0;
      for (let axis = 0; axis < spatial.length && place >= 0; axis++) {
        const q = outIndex[position * spatial.length + axis] as number;
        const k = tapIndex[tap * spatial.length + axis] as number;
        const at = tables[axis]?.[q * (kernel[axis] as number) + k] as number;
        place = at < 0 ? -1 : place + at * (strides[axis] as number);
      }
      if (place < 0) continue;
      metPlaces[met] = place;
      metTaps[met++] = tap;
    }
    for (let n = 0; n < batch; n++) {
      for (let o = 0; o < outputs; o++) {
        sums[0] = 0;
        const firstChannel = n * channels + Math.floor(o / perGroup) * inputs;
        for (let i = 0; i < inputs; i++) {
          const image = (firstChannel + i) * places;
          const filter = (o * inputs + i) * taps;
          for (let m = 0; m < met; m++) {
            const a = values[image + (metPlaces[m] as number)] as number;
            sums[0] = (sums[0] as number) + product(a, weights[filter + (metTaps[m] as number)] as number);
          }
        }
        call.out[(n * outputs + o) * positions + position] = sums[0] as number;
      }
    }
  }
}

/** The coordinates of every position of `shape`, in row-major order. */
function indices(shape: Shape): Int32Array {
  const list = new Int32Array(sizeOf(shape) * shape.length);
  shape.forEach((_, axis) => {
    const unit = shape.map((_, other) => Number(other === axis));
    walk(shape, unit, (position, offset) => {
      list[position * shape.length + axis] = offset;
    });
  });
  return list;
}

export const contractions: Kernels<'matmul' | 'conv'> = { matmul, conv };
