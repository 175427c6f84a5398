import { expect, test } from 'vitest';
import * as t from '../../../tensor/index.ts';
import { makeNode, sourceOf } from '../../../tensor/internal.ts';
import { type DeviceOf, had, upload, whole } from './support.ts';
import { WatchedDevice } from './wrapped.ts';

const values = async (x: t.Tensor): Promise<number[]> => Array.from(await t.read(x));

/** Evaluation: when, how often, in which order and on which device. */
export function evaluation(device: DeviceOf): void {
  const outOfRange = (x: t.Tensor) => t.gather(x, t.tensor([9], { dtype: 'i32' }), 0);

  test('no other executor computes meanwhile', async () => {
    const kind = device().name === 'reference' ? 'wasm' : 'reference';
    const other = await t.openDevice(kind);
    await expect(t.realize(t.ones([1]), { device: other })).rejects.toThrow(`${kind} was called`);
    other.close?.();
  });

  test('building a graph runs nothing; evaluating it does', async () => {
    const watched = new WatchedDevice(device(), 'watched');
    const x = t.tensor([1, 2, 3], { device: watched });
    const broken = t.exp(outOfRange(x));
    expect(broken.shape).toEqual([1]);
    expect(watched.runs).toEqual([]);
    await expect(t.realize(broken)).rejects.toThrow('gather: index 9 is outside axis 0 of f32[3]');
    await expect(t.read(broken)).rejects.toThrow('gather: index 9');
    t.dispose(x);
  });

  test('a part that two results share is computed once', async () => {
    const watched = new WatchedDevice(device(), 'watched');
    const x = t.tensor([0, 1], { device: watched });
    const shared = t.exp(x);
    const tree = { sum: t.sum(shared), more: [t.add(shared, shared), shared] };
    await t.realize(tree);
    expect(watched.runs.length).toBe(1);
    expect(watched.count('exp')).toBe(1);
    const again = await values(tree.sum);
    expect(Math.abs(Number(again[0]) - (1 + Math.E))).toBeLessThan(1e-5);
    expect(watched.runs.length).toBe(1);
    t.dispose([x, tree]);
  });

  test('kernels that are alike keep their inputs, numbers and indices apart', async () => {
    const layers = Array.from({ length: 6 }, (_, i) => ({
      x: whole([4, 20], 10 + i),
      table: whole([5, 20], 20 + i),
      index: whole([4, 20], 30 + i, 0, 4),
      number: i + 2,
    }));
    const pairOf = (i: number) => [i, i % 2 === 0 ? i : (i + 1) % layers.length] as const;
    const xs = layers.map(({ x }) => upload(x, 'f32'));
    const looked = layers.map(({ table, index, number }, i) =>
      t.gather(upload(table, 'f32'), upload(index, 'i32'), 0).add((xs[i] as t.Tensor).mul(number)),
    );
    const sums = looked.map((tensor) => tensor.sum(-1));
    const products = layers.map((_, i) => {
      const [a, b] = pairOf(i);
      return (xs[a] as t.Tensor)
        .mul(xs[b] as t.Tensor)
        .sum(-1, { keepDims: true })
        .add(looked[i] as t.Tensor);
    });
    const given = await t.realize({ sums, products });

    const rows = [0, 1, 2, 3];
    const columns = Array.from({ length: 20 }, (_, column) => column);
    const dataOf = (i: number, name: 'x' | 'table' | 'index') => (layers[i] as (typeof layers)[number])[name].data;
    const lookedAt = (i: number, at: number): number =>
      Number(dataOf(i, 'table')[Number(dataOf(i, 'index')[at]) * 20 + (at % 20)]) +
      Number(dataOf(i, 'x')[at]) * (i + 2);
    for (const i of layers.keys()) {
      const [a, b] = pairOf(i);
      const total = (row: number, f: (at: number) => number) =>
        columns.reduce((sum, column) => sum + f(20 * row + column), 0);
      expect(await values(given.sums[i] as t.Tensor)).toEqual(rows.map((row) => total(row, (at) => lookedAt(i, at))));
      const squares = rows.map((row) => total(row, (at) => Number(dataOf(a, 'x')[at]) * Number(dataOf(b, 'x')[at])));
      expect(await values(given.products[i] as t.Tensor)).toEqual(
        rows.flatMap((row) => columns.map((column) => (squares[row] as number) + lookedAt(i, 20 * row + column))),
      );
    }
    t.dispose(given);

    const wrong = layers.map(({ table, index, number }, i) => {
      const own = { ...index, data: index.data.map((value, at) => (i === 4 && at === 7 ? 5 : value)) };
      return t.gather(upload(table, 'f32'), upload(own, 'i32'), 0).mul(number).sum(-1);
    });
    await expect(t.realize(wrong)).rejects.toThrow('gather: index 5 is outside axis 0 of f32[5, 20]');
  });

  test('reading keeps nothing: a second read computes again, a realized tensor is only copied', async () => {
    const watched = new WatchedDevice(device(), 'watched');
    const x = t.tensor([1, 4], { device: watched });
    const root = t.sqrt(x);
    expect(await values(root)).toEqual([1, 2]);
    expect(await values(root)).toEqual([1, 2]);
    expect(watched.count('sqrt')).toBe(2);
    await t.realize(root);
    expect(watched.count('sqrt')).toBe(3);
    expect(await values(root)).toEqual([1, 2]);
    await t.realize(root);
    expect(watched.count('sqrt')).toBe(3);
    t.dispose([x, root]);
  });

  test('only the needed nodes are computed', async () => {
    const watched = new WatchedDevice(device(), 'watched');
    const x = t.tensor([1, 4], { device: watched });
    const root = t.sqrt(x);
    outOfRange(root);
    expect(await values(t.add(root, 1))).toEqual([2, 3]);
    expect(watched.count('gather')).toBe(0);
    t.dispose(x);
  });

  test('realize returns the same tree, whose pending tensors have become leaves', async () => {
    const leaf = t.tensor([1, 2], { device: device() });
    const middle = t.mul(leaf, 2);
    const tree = { a: t.add(middle, 1), list: [leaf, middle, 'text', 7, null], none: undefined };
    const result = await t.realize(tree, { device: device() });
    expect(result).toBe(tree);
    for (const x of t.treeLeaves(tree)) expect(sourceOf(x).kind).toBe('placed');
    expect(await values(tree.a)).toEqual([3, 5]);
    // The graph behind a leaf is dropped, so its inputs may be freed.
    t.dispose([leaf, middle]);
    expect(await values(tree.a)).toEqual([3, 5]);
    t.dispose(tree);
  });

  test('a leaf on the host is uploaded to the requested device', async () => {
    const x = t.tensor([1, 2]);
    expect(sourceOf(x).kind).toBe('host');
    await t.realize({ x }, { device: device() });
    const source = sourceOf(x);
    expect(source.kind === 'placed' && source.device === device()).toBe(true);
    expect(await values(x)).toEqual([1, 2]);
    t.dispose(x);
  });

  test('an empty tree and a tree without tensors are realized at once', async () => {
    expect(await t.realize([], { device: device() })).toEqual([]);
    expect(await t.realize('nothing', { device: device() })).toBe('nothing');
  });

  test('realizing twice at once computes once', async () => {
    const watched = new WatchedDevice(device(), 'watched');
    const x = t.tensor([2], { device: watched });
    const y = t.square(x);
    await Promise.all([t.realize(y), t.realize([y]), t.realize({ y })]);
    expect(watched.count('mul')).toBe(1);
    expect(await values(y)).toEqual([4]);
    t.dispose([x, y]);
  });

  test('calls on one device run in the order in which they were made, without awaiting', async () => {
    const finished: string[] = [];
    const note = (name: string) => () => {
      finished.push(name);
    };
    const x = t.tensor([1], { device: device() });
    const y = t.add(x, 1);
    const z = t.mul(y, 10);
    const calls = [
      t.realize(y).then(note('y')),
      t.read(x).then(note('x')),
      t.realize(z, { donate: [] }).then(note('z')),
      values(z).then((v) => {
        expect(v).toEqual([20]);
        finished.push('read');
      }),
    ];
    await Promise.all(calls);
    expect(finished).toEqual(['y', 'x', 'z', 'read']);
    t.dispose([x, y, z]);
  });

  test('variable, barrier and custom evaluate to their first input', async () => {
    const x = t.tensor([1, 2], { device: device() });
    const y = t.add(x, 1);
    const call = { name: 'test', inputs: [], outputCount: 1, rule: () => [] };
    const chain = makeNode('barrier', [makeNode('variable', [y], {}, [2], 'f32'), t.exp(x)], {}, [2], 'f32');
    const last = makeNode('custom', [chain], { call, index: 0 }, [2], 'f32');
    expect(await values(last)).toEqual([2, 3]);
    expect(await values(t.mul(chain, last))).toEqual([4, 9]);
    expect(await values(makeNode('variable', [x], {}, [2], 'f32'))).toEqual([1, 2]);
    t.dispose(x);
  });

  test('a failing run rejects, leaves every tensor usable, and the next run works', async () => {
    const x = t.tensor([1, 2], { device: device() });
    const y = t.add(x, 1);
    const before = device().memory().buffers;
    const failing = t.realize([y, outOfRange(y)], { donate: x });
    const following = values(t.mul(y, 2));
    await expect(failing).rejects.toThrow('gather: index 9');
    expect(await following).toEqual([4, 6]);
    expect(sourceOf(y).kind).toBe('pending');
    expect(await values(x)).toEqual([1, 2]);
    expect(device().memory().buffers).toBeLessThanOrEqual(before + 1);
    t.dispose([x, y]);
  });

  test('a step prepared during the run before it gives the same result', async () => {
    const step = (x: t.Tensor): t.Tensor => x.mul(2).add(1);
    let x = t.tensor([1, 2], { device: device() });
    let next = step(x);
    for (let i = 0; i < 4; i++) {
      const running = t.realize({ next }, { donate: x });
      await new Promise((resolve) => setTimeout(resolve, 0));
      const later = step(next);
      t.prepare({ later });
      // Another run comes between.
      const other = values(t.add(next, later));
      await running;
      expect(await other).toEqual([2, 3].map((x0) => 3 * (x0 * 2 ** (i + 1) - 1) + 1));
      [x, next] = [next, later];
    }
    expect(await values(next)).toEqual([63, 95]);
    t.dispose(x);
  });

  test('a step prepared during a run that fails is computed from the beginning, or refused', async () => {
    const x = t.tensor([1, 2, 3], { device: device() });
    const index = t.tensor([9], { dtype: 'i32', device: device() });
    const bad = t.gather(x, index, 0);
    const running = t.realize(bad);
    running.catch(() => undefined);
    await Promise.resolve();
    const [later, fine] = [t.add(bad, 1), t.add(x, 1)];
    t.prepare(later);
    t.prepare(fine);
    await expect(running).rejects.toThrow('gather: index 9');
    await expect(t.realize(later)).rejects.toThrow('gather: index 9');
    expect(await values(await t.realize(fine))).toEqual([2, 3, 4]);
    t.prepare(t.mul(fine, 2));
    const gone = t.mul(fine, 3);
    t.prepare(gone);
    t.dispose(fine);
    await expect(t.realize(gone)).rejects.toThrow(/dispose/);
    t.dispose([x, index]);
  });

  test('a graph of 50,000 nodes in a row, and a wide one', async () => {
    let x = t.tensor([0], { device: device() });
    for (let i = 0; i < 50_000; i++) x = t.add(x, 1);
    expect(await values(x)).toEqual([50_000]);
    // Every node is used twice: 2^40 paths, 40 nodes.
    let doubled = t.tensor([1], { device: device() });
    for (let i = 0; i < 40; i++) doubled = t.add(doubled, doubled);
    expect(await values(doubled)).toEqual([2 ** 40]);
    const wide = t.concat(Array.from({ length: 1000 }, (_, i) => t.full([1], i)));
    const [sum] = await t.realize([t.sum(wide)], { device: device() });
    expect(await t.item(sum as t.Tensor)).toBe(499_500);
    t.dispose(sum);
  });

  test('two devices do not mix', async () => {
    const other = new WatchedDevice(device(), 'elsewhere');
    const here = t.tensor([1], { device: device() });
    const there = t.tensor([2], { device: other });
    const both = t.add(here, there);
    const names = new RegExp(`'elsewhere'.*'${device().name}'|'${device().name}'.*'elsewhere'`);
    await expect(t.realize(both)).rejects.toThrow(names);
    await expect(t.read(both)).rejects.toThrow(names);
    await expect(t.realize(t.neg(here), { device: other })).rejects.toThrow(/another was requested.*'elsewhere'.*copy/);
    const brought = await t.copy(here, { device: other });
    expect(await values(t.add(brought, there))).toEqual([3]);
    t.dispose([here, there, brought]);
  });

  test('constants and host leaves follow the leaves of the graph, or the device asked for', async () => {
    const watched = new WatchedDevice(device(), 'watched');
    const x = t.tensor([1, 2], { device: watched });
    expect(await values(t.add(t.add(x, t.tensor([10, 20])), t.ones([2])))).toEqual([12, 23]);
    expect(watched.runs.length).toBe(1);
    const [made] = await t.realize([t.arange(3)], { device: watched });
    const source = sourceOf(made as t.Tensor);
    expect(source.kind === 'placed' && source.device === watched).toBe(true);
    t.dispose([x, made]);
  });

  test('the default device runs graphs without leaves on a device', async () => {
    const former = await t.defaultDevice();
    const watched = new WatchedDevice(device(), 'watched');
    t.setDefaultDevice(watched);
    try {
      expect(await values(t.add(t.ones([2]), t.tensor([1, 2])))).toEqual([2, 3]);
      expect(watched.runs.length).toBe(1);
    } finally {
      t.setDefaultDevice(former);
    }
    expect(await t.defaultDevice()).toBe(former);
  });

  test('every dtype of the device is accepted, no other', async () => {
    expect(had(device(), ['f32', 'i32', 'u32', 'bool'])).toEqual(['f32', 'i32', 'u32', 'bool']);
    for (const dtype of t.dtypes.filter((d) => !device().dtypes.has(d))) {
      await expect(t.realize([t.ones([1], { dtype })], { device: device() })).rejects.toThrow(
        `the device '${device().name}' has no ${dtype}`,
      );
    }
  });
}
