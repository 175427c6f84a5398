import { expect, test } from 'vitest';
import * as t from '../../../tensor/index.ts';
import { sourceOf } from '../../../tensor/internal.ts';
import type { DeviceOf } from './support.ts';

const values = async (x: t.Tensor): Promise<number[]> => Array.from(await t.read(x));

/** Donation, dispose and copies. Needs its own device, because it counts the buffers on it. */
export function donation(device: DeviceOf): void {
  const place = (data: number[]) => t.tensor(data, { device: device() });

  test('donated buffers are freed, the result stays', async () => {
    const before = device().memory();
    const w = place([1, 2, 3]);
    const [next] = await t.realize([t.mul(w, 2)], { donate: w });
    expect(device().memory().buffers).toBe(before.buffers + 1);
    expect(device().memory().bytes).toBe(before.bytes + 12);
    expect(await values(next as t.Tensor)).toEqual([2, 4, 6]);
    t.dispose(next);
    expect(device().memory().bytes).toBe(before.bytes);
    expect(device().memory().buffers).toBe(before.buffers);
  });

  test('a donated leaf on the host leaves no buffer behind either', async () => {
    const before = device().memory().bytes;
    const w = t.tensor([1, 2, 3]);
    const [next] = await t.realize([t.mul(w, 2)], { donate: { w }, device: device() });
    expect(device().memory().bytes).toBe(before + 12);
    await expect(t.read(w)).rejects.toThrow(t.DisposedError);
    t.dispose(next);
    expect(device().memory().bytes).toBe(before);
  });

  test('the error for using a donated tensor names the operator, the tensor and its path', async () => {
    const state = { params: { w: place([1]) }, list: [place([2])] };
    const [next] = await t.realize([t.add(state.params.w, 1)], { donate: state });
    const message = /add: f32\[1\] \(tensor #\d+\) can no longer be used: 'params\.w' was donated to realize\(\)/;
    expect(() => t.add(state.params.w, 1)).toThrow(message);
    expect(() => t.add(state.params.w, 1)).toThrow(t.DisposedError);
    await expect(t.read(state.params.w)).rejects.toThrow(/'params\.w' was donated/);
    await expect(t.realize(state.list)).rejects.toThrow(/'list\.0' was donated/);
    await expect(t.realize([t.zeros([1])], { donate: state.list, device: device() })).rejects.toThrow(
      /'list\.0' was donated/,
    );
    await expect(t.copy(state.params.w)).rejects.toThrow(t.DisposedError);
    t.dispose(next);
  });

  test('a pending graph over a donated leaf throws and names the leaf', async () => {
    const w = place([1, 2]);
    const pending = t.exp(t.add(w, 1));
    const [next] = await t.realize([t.neg(w)], { donate: { deep: [w] } });
    const message =
      /realize: f32\[2\] \(tensor #\d+, result of add\): f32\[2\] \(tensor #\d+\) .*'deep\.0' was donated/;
    await expect(t.realize(pending)).rejects.toThrow(message);
    await expect(t.read(pending)).rejects.toThrow(message);
    t.dispose(next);
  });

  test('a leaf that occurs twice in the donated tree is given up once', async () => {
    const before = device().memory();
    const w = place([1, 2]);
    const [next] = await t.realize([t.add(w, w)], { donate: { a: w, b: [w] } });
    expect(device().memory().buffers).toBe(before.buffers + 1);
    expect(await values(next as t.Tensor)).toEqual([2, 4]);
    await expect(t.read(w)).rejects.toThrow(/'a' was donated/);
    t.dispose(next);
    expect(device().memory().bytes).toBe(before.bytes);
  });

  test('a donated leaf that is part of the result passes through unchanged', async () => {
    const before = device().memory().bytes;
    const state = { w: place([1, 2]), frozen: place([3, 4]) };
    const next = await t.realize({ w: t.sub(state.w, state.frozen), frozen: state.frozen }, { donate: state });
    expect(next.frozen).toBe(state.frozen);
    expect(await values(next.frozen)).toEqual([3, 4]);
    expect(await values(next.w)).toEqual([-2, -2]);
    expect(device().memory().bytes).toBe(before + 16);
    t.dispose(next);
    expect(device().memory().bytes).toBe(before);
  });

  test('a pending tensor cannot be donated', async () => {
    const w = place([1]);
    const pending = t.add(w, 1);
    await expect(t.realize([t.neg(w)], { donate: [pending] })).rejects.toThrow(
      /donate: f32\[1\] .*has not been realized/,
    );
    expect(await values(w)).toEqual([1]);
    t.dispose(w);
  });

  test('donating a tensor that the result does not need frees it too', async () => {
    const before = device().memory().bytes;
    const [w, other] = [place([1]), place([5])];
    const [next] = await t.realize([t.add(w, 1)], { donate: [other] });
    expect(await values(w)).toEqual([1]);
    await expect(t.read(other)).rejects.toThrow(t.DisposedError);
    t.dispose([w, next]);
    expect(device().memory().bytes).toBe(before);
  });

  test('reads asked for before a donation still see the value, later ones do not', async () => {
    const w = place([1, 2]);
    const early = values(w);
    const next = t.add(w, 1);
    const step = t.realize(next, { donate: w });
    const late = values(w);
    const outcome = expect(late).rejects.toThrow(t.DisposedError);
    expect(await early).toEqual([1, 2]);
    await step;
    await outcome;
    expect(await values(next)).toEqual([2, 3]);
    t.dispose(next);
  });

  test('a leaf disposed of during a run is freed when the run is over', async () => {
    const before = device().memory().bytes;
    for (let ticks = 0; ticks < 8; ticks++) {
      // No plan for rows of this length has been compiled yet.
      const n = 40 + ticks;
      const w = place(Array.from({ length: n }, (_, i) => i));
      const next = t.sum(t.square(w));
      const step = t.realize(next).then(values, (error: unknown) => error);
      for (let i = 0; i < ticks; i++) await undefined;
      t.dispose(w);
      // Without a tick the run has not begun, so the disposal makes it fail.
      const result = await step;
      if (ticks === 0) expect(result).toBeInstanceOf(t.DisposedError);
      else expect(result).toEqual([((n - 1) * n * (2 * n - 1)) / 6]);
      await expect(t.read(w)).rejects.toThrow(t.DisposedError);
      t.dispose(next);
    }
    expect(device().memory().bytes).toBe(before);
  });

  test('a hundred training steps with donation keep memory constant', async () => {
    const before = device().memory();
    let state = { w: place([1, 2, 3, 4]), momentum: place([0, 0, 0, 0]), step: place([0]) };
    const sizes: number[] = [];
    for (let i = 0; i < 100; i++) {
      const gradient = t.sub(t.mul(state.w, 2), 1);
      const momentum = t.add(t.mul(state.momentum, 0.5), gradient);
      const next = { w: t.sub(state.w, t.mul(momentum, 0.125)), momentum, step: t.add(state.step, 1) };
      const loss = t.sum(t.square(gradient));
      const [updated] = await t.realize([next, loss] as const, { donate: state });
      state = updated;
      t.dispose(loss);
      sizes.push(device().memory().bytes);
    }
    expect(new Set(sizes)).toEqual(new Set([before.bytes + 36]));
    expect(await values(state.step)).toEqual([100]);
    // Gradient descent on w² − w ends at its minimum.
    for (const w of await values(state.w)) expect(Math.abs(w - 0.5)).toBeLessThan(1e-6);
    t.dispose(state);
    expect(device().memory()).toMatchObject({ bytes: before.bytes, buffers: before.buffers });
  });

  test('intermediate values are freed before the run ends', async () => {
    device().resetPeak();
    const before = device().memory();
    expect(before.peakBytes).toBe(before.bytes);
    let x = place(new Array<number>(1000).fill(1));
    const leaf = x;
    for (let i = 0; i < 50; i++) x = t.mul(t.add(x, 1), 0.5);
    expect(await values(t.sum(x))).toEqual([1000]);
    const after = device().memory();
    // Fifty pairs of values of 4,000 bytes are made and freed, and only a few are held at a time.
    expect(after.peakBytes - before.bytes).toBeLessThanOrEqual(8 * 4000);
    expect(after.bytes).toBe(before.bytes + 4000);
    t.dispose(leaf);
    expect(device().memory().bytes).toBe(before.bytes);
  });

  test('dispose frees at once, twice is allowed, use afterwards is not', async () => {
    const before = device().memory().bytes;
    const tree = { a: place([1, 2]), b: [place([3])] };
    const pending = t.add(tree.a, 1);
    t.dispose(tree);
    expect(device().memory().bytes).toBe(before);
    t.dispose(tree);
    t.dispose([tree.a, tree.a]);
    expect(device().memory().bytes).toBe(before);
    expect(() => t.add(tree.a, 1)).toThrow(/'a' was disposed of/);
    expect(() => t.add(tree.a, 1)).toThrow(t.DisposedError);
    await expect(t.read(pending)).rejects.toThrow(/'a' was disposed of/);
    await expect(t.read(tree.a)).rejects.toThrow(t.DisposedError);
    await expect(t.realize([t.ones([1])], { donate: tree, device: device() })).rejects.toThrow(t.DisposedError);
  });

  test('dispose leaves host leaves and pending tensors unusable too', async () => {
    const host = t.tensor([1]);
    t.dispose(host);
    await expect(t.read(host)).rejects.toThrow(/it was disposed of/);
    const pending = t.ones([2]);
    const user = t.add(pending, 1);
    t.dispose(pending);
    await expect(t.read(user)).rejects.toThrow(t.DisposedError);
  });

  test('`using` frees at the end of the block', async () => {
    const before = device().memory().bytes;
    let escaped: t.Tensor | undefined;
    {
      using x = place([1, 2]);
      using y = await t.realize(t.add(x, 1));
      expect(await values(y)).toEqual([2, 3]);
      expect(device().memory().bytes).toBe(before + 16);
      escaped = y;
    }
    expect(device().memory().bytes).toBe(before);
    const gone = escaped;
    expect(() => t.neg(gone)).toThrow(t.DisposedError);
  });

  test('copies are independent of their originals', async () => {
    const before = device().memory().bytes;
    const four = place([4]);
    const tree = { w: place([1, 2]), host: t.tensor([3]), pending: t.add(four, 1) };
    const copied = await t.copy(tree, { device: device() });
    expect(sourceOf(copied.w)).toMatchObject({ kind: 'placed' });
    t.dispose([tree, four]);
    expect(await values(copied.w)).toEqual([1, 2]);
    expect(await values(copied.host)).toEqual([3]);
    expect(await values(copied.pending)).toEqual([5]);
    const again = await t.copy(copied);
    const [next] = await t.realize([t.neg(copied.w)], { donate: copied });
    expect(await values(again.w)).toEqual([1, 2]);
    t.dispose([again, next]);
    expect(device().memory().bytes).toBe(before);
  });

  test('results with the same value have separate buffers', async () => {
    const before = device().memory();
    const x = place([1, 2]);
    const y = t.add(x, 1);
    const tree = { y, same: t.stopGradient(y), again: t.stopGradient(t.stopGradient(y)), leaf: t.stopGradient(x) };
    await t.realize(tree);
    expect(device().memory().buffers).toBe(before.buffers + 5);
    t.dispose([x, y]);
    expect(await values(tree.same)).toEqual([2, 3]);
    const [next] = await t.realize([t.neg(tree.same)], { donate: tree.same });
    expect(await values(tree.again)).toEqual([2, 3]);
    expect(await values(tree.leaf)).toEqual([1, 2]);
    t.dispose([tree, next]);
    expect(device().memory()).toMatchObject({ bytes: before.bytes, buffers: before.buffers });
  });

  test('reading and failing leave nothing on the device', async () => {
    const before = device().memory();
    const x = place([1, 2]);
    await values(t.exp(x));
    expect(device().memory().bytes).toBe(before.bytes + 8);
    const index = t.tensor([7], { dtype: 'i32', device: device() });
    await expect(t.realize([t.exp(x), t.gather(x, index, 0)])).rejects.toThrow('index 7');
    expect(device().memory().bytes).toBe(before.bytes + 12);
    t.dispose([x, index]);
    expect(device().memory()).toMatchObject({ bytes: before.bytes, buffers: before.buffers });
  });
}
