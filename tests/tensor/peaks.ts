import { expect } from 'vitest';
import { checkpoint, grad } from '../../autograd/index.ts';
import * as t from '../../tensor/index.ts';

/** The peak bytes of the gradient of a chain of blocks, without its input: as it is, and with gradient checkpointing. */
export async function chainPeaks(device: t.Device): Promise<{ readonly plain: number; readonly saved: number }> {
  const peakOf = async (block: (x: t.Tensor) => t.Tensor): Promise<number> => {
    const x = await t.realize(t.random.normal(t.key(3), [64, 64]).mul(0.1), { device });
    const before = device.memory().bytes;
    device.resetPeak();
    const f = (y: t.Tensor): t.Tensor => {
      let h = y;
      for (let i = 0; i < 6; i++) h = block(h);
      return h.square().sum();
    };
    const gradient = await t.realize(grad(f)(x));
    const peak = device.memory().peakBytes - before;
    t.dispose([x, gradient]);
    return peak;
  };
  const block = (x: t.Tensor): t.Tensor => {
    let h = x;
    for (let i = 0; i < 4; i++) h = t.matmul(h, x).tanh();
    return h;
  };
  return { plain: await peakOf(block), saved: await peakOf(checkpoint(block)) };
}

/**
 * The peak bytes of a training step with lookups, beyond the memory in use before: with the state donated, and kept. Checks
 * that the first writes over the state, unless an index is out of range.
 */
export async function lookupPeaks(device: t.Device): Promise<{ readonly donating: number; readonly keeping: number }> {
  const x = await t.realize(t.iota([200, 64], 0, 'f32').mul(1 / 200), { device });
  const loss = (w: t.Tensor, rows: t.Tensor): t.Tensor => t.matmul(t.take(x, rows), t.take(w, rows)).square().mean();
  const step = (w: t.Tensor, rows: t.Tensor): t.Tensor => w.sub(grad(loss)(w, rows).mul(0.1));
  const rows = (last: number) => Int32Array.from({ length: 64 }, (_, i) => (i === 63 ? last : i));
  // Kept, so that only the memory of runs changes.
  const [five, seven] = await t.realize([t.tensor(rows(5)), t.tensor(rows(7))], { device });
  let w = await t.realize(t.ones([5000, 64]), { device });
  const other = await t.realize(step(w, five));
  w = await t.realize(step(w, five), { donate: w });
  expect(await t.read(w)).toEqual(await t.read(other));
  t.dispose(other);

  const { bytes } = device.memory();
  const peakAfter = async <T>(run: Promise<T>): Promise<readonly [T, number]> => {
    device.resetPeak();
    const made = await run;
    return [made, device.memory().peakBytes - bytes];
  };
  const [donated, donating] = await peakAfter(t.realize(step(w, seven), { donate: w }));
  w = donated;
  expect(device.memory().bytes).toBe(bytes);
  // The gradient and the base that it is added to, but not the new state.
  const [next, keeping] = await peakAfter(t.realize(step(w, seven)));
  expect(keeping).toBeGreaterThan(donating + 0.9 * w.size * 4);

  const before = await t.read(w);
  const held = device.memory();
  for (const wrong of [-1, 200]) {
    const outside = t.tensor(rows(wrong), { device });
    await expect(t.realize(step(w, outside), { donate: w })).rejects.toThrow(
      `index ${wrong} is outside axis 0 of f32[200, 64]`,
    );
    expect(await t.read(w)).toEqual(before);
    t.dispose(outside);
  }
  const { bytes: after, buffers } = device.memory();
  expect({ bytes: after, buffers }).toEqual({ bytes: held.bytes, buffers: held.buffers });
  t.dispose(next);
  expect(await t.read(await t.realize(step(w, seven)))).not.toEqual(before);
  return { donating, keeping };
}
