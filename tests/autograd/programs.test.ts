import fc from 'fast-check';
import { expect, test } from 'vitest';
import { checkpoint, jvp, vjp } from '../../autograd/index.ts';
import { checkGradients, type Program, programInputs, programs, runProgram } from '../../autograd/testing/index.ts';
import { isFloat, key, openDevice, random, read, setDefaultDevice, type Tensor } from '../../tensor/index.ts';

// The reference executor: fused kernels may add in another order, depending on the rest of the kernel.
setDefaultDevice(await openDevice('reference'));

const smooth = programs({ smooth: true, maxSteps: 10, maxElements: 48, minSize: 0 });
/** Programs with kinks: their gradients are right almost everywhere, which identities between gradients do not need. */
const any = programs({ dtypes: ['f64', 'i32', 'bool'], maxElements: 48, minSize: 0 });

const floatsOf = (tensors: readonly Tensor[]): Tensor[] => tensors.filter(({ dtype }) => isFloat(dtype));

/** A program as a function of its float inputs to its float outputs. */
function asFunction(program: Program): { inputs: Tensor[]; f: (inputs: readonly Tensor[]) => Tensor[] } {
  const given = programInputs(program);
  const f = (inputs: readonly Tensor[]): Tensor[] => {
    const rest = [...inputs];
    return floatsOf(
      runProgram(
        program,
        given.map((x) => (isFloat(x.dtype) ? (rest.shift() as Tensor) : x)),
      ),
    );
  };
  return { inputs: floatsOf(given), f };
}

const randomLike = (tensors: readonly Tensor[], seed: number): Tensor[] =>
  tensors.map((x, i) => random.normal(random.foldIn(key(seed), i), x.shape, { dtype: 'f64' }));

/** Σ ⟨a, b⟩, and Σ |a|·|b|. */
async function inner(a: readonly Tensor[], b: readonly Tensor[]): Promise<{ product: number; size: number }> {
  let product = 0;
  let size = 0;
  for (const [i, x] of a.entries()) {
    const left = await read(x);
    const right = await read(b[i] as Tensor);
    left.forEach((value, k) => {
      product += value * (right[k] as number);
      size += Math.abs(value * (right[k] as number));
    });
  }
  return { product, size };
}

test('gradients of random programs, first and second order', async () => {
  await fc.assert(
    fc.asyncProperty(smooth, async (program) => {
      await checkGradients((...inputs: Tensor[]) => runProgram(program, inputs), programInputs(program), {
        order: 2,
        mode: 'directions',
        directions: 1,
      });
    }),
    { numRuns: 500 },
  );
});

test('vjp and jvp of random programs are transposes: ⟨u, Jv⟩ = ⟨Jᵀu, v⟩', async () => {
  await fc.assert(
    fc.asyncProperty(any, async (program) => {
      const { inputs, f } = asFunction(program);
      fc.pre(inputs.length > 0);
      const { value, pullback } = vjp(f, inputs);
      fc.pre(value.length > 0);
      const v = randomLike(inputs, 1);
      const u = randomLike(value, 2);
      const { tangent } = jvp(f, [inputs], [v]);
      const [transposed] = pullback(u);
      const [left, right] = [await inner(u, tangent), await inner(transposed, v)];
      fc.pre(Number.isFinite(left.size));
      expect(Math.abs(left.product - right.product)).toBeLessThanOrEqual(1e-12 * (1 + left.size + right.size));
    }),
    { numRuns: 300 },
  );
});

test('checkpointed random programs have the same gradients, to the bit', async () => {
  await fc.assert(
    fc.asyncProperty(any, async (program) => {
      const { inputs, f } = asFunction(program);
      fc.pre(inputs.length > 0);
      const plain = vjp(f, inputs);
      const saved = vjp(checkpoint(f), inputs);
      const u = randomLike(plain.value, 3);
      for (const [i, gradient] of plain.pullback(u)[0].entries()) {
        expect(await read(saved.pullback(u)[0][i] as Tensor)).toEqual(await read(gradient));
      }
    }),
    { numRuns: 200 },
  );
});
