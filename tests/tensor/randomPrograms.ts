import { expect } from 'vitest';
import { vjp } from '../../autograd/index.ts';
import { type Program, programInputs, runProgram } from '../../autograd/testing/index.ts';
import * as t from '../../tensor/index.ts';
import { alone } from './conformance/support.ts';

const ones = (x: t.Tensor): t.Tensor => t.onesLike(x);

/**
 * The results of a program on one device and, on request, the gradients of its float results by its float inputs.
 */
export async function outcome(program: Program, device: t.Device, withGradients: boolean): Promise<number[][]> {
  const release = alone(device);
  try {
    return await outcomeOf(program, device, withGradients);
  } finally {
    release();
  }
}

async function outcomeOf(program: Program, device: t.Device, withGradients: boolean): Promise<number[][]> {
  const inputs = await t.copy(programInputs(program), { device });
  const outputs = runProgram(program, inputs);
  const results = [...outputs];
  if (
    withGradients &&
    outputs.every(({ dtype }) => t.isFloat(dtype)) &&
    inputs.every(({ dtype }) => t.isFloat(dtype))
  ) {
    const { value, pullback } = vjp((...xs: t.Tensor[]) => runProgram(program, xs), ...inputs);
    results.push(...pullback(value.map(ones)));
  }
  await t.realize(results, { device });
  const read = await Promise.all(results.map(async (result) => Array.from(await t.read(result))));
  t.dispose([inputs, results]);
  return read;
}

export function expectClose(actual: readonly number[][], expected: readonly number[][], bound: number): void {
  expect(actual.map(({ length }) => length)).toEqual(expected.map(({ length }) => length));
  actual.forEach((list, i) => {
    const other = expected[i] ?? [];
    const size = Math.max(1, ...other.map(Math.abs));
    list.forEach((value, k) => {
      expect(Math.abs(value - (other[k] as number))).toBeLessThanOrEqual(bound * size);
    });
  });
}
