import { expect, test } from 'vitest';
import { flattenTree, mapTree, neg, replaceLeaves, type Tensor, tensor, treeLeaves } from '../../tensor/index.ts';

class Box {
  readonly inside: Tensor;
  constructor(inside: Tensor) {
    this.inside = inside;
  }
}

const [a, b, c] = [tensor(1), tensor(2), tensor(3)] as const;

test('leaves come in the order of keys and indices, with dotted paths', () => {
  const tree = { w: a, list: [b, { deep: c }], number: 7, text: 'x', nothing: null, missing: undefined };
  expect(flattenTree(tree)).toEqual([
    { path: 'w', tensor: a },
    { path: 'list.0', tensor: b },
    { path: 'list.1.deep', tensor: c },
  ]);
  expect(treeLeaves(tree)).toEqual([a, b, c]);
  expect(treeLeaves(tree)[0]).toBe(a);
});

test('a tensor is a tree by itself, with an empty path', () => {
  expect(flattenTree(a)).toEqual([{ path: '', tensor: a }]);
  expect(mapTree(a, () => b)).toBe(b);
});

test('a tensor that occurs twice is listed twice', () => {
  expect(flattenTree([a, [a]]).map(({ path }) => path)).toEqual(['0', '1.0']);
});

test('values other than trees stay as they are', () => {
  const box = new Box(a);
  const date = new Date(0);
  const f = () => 1;
  const tree = { box, date, f, number: 1, text: 'x', nothing: null, missing: undefined, map: new Map([['a', a]]) };
  expect(treeLeaves(tree)).toEqual([]);
  const same = mapTree(tree, neg);
  expect(same).not.toBe(tree);
  expect(same.box).toBe(box);
  expect(same.date).toBe(date);
  expect(same.f).toBe(f);
  expect(same.map).toBe(tree.map);
  for (const nothing of [undefined, null, 3, 'x', [], {}]) expect(treeLeaves(nothing)).toEqual([]);
});

test('mapTree leaves its argument alone and passes paths', () => {
  const tree = { w: a, list: [b, b] as const };
  const paths: string[] = [];
  const mapped = mapTree(tree, (x, path) => {
    paths.push(path);
    return x === a ? b : x;
  });
  expect(paths).toEqual(['w', 'list.0', 'list.1']);
  expect(tree.w).toBe(a);
  expect(mapped.w).toBe(b);
  expect(mapped.list).toEqual([b, b]);
});

test('objects without a prototype, and keys that look like prototypes, are trees too', () => {
  const bare = Object.assign(Object.create(null) as Record<string, Tensor>, { x: a });
  expect(flattenTree(bare)).toEqual([{ path: 'x', tensor: a }]);
  const odd = JSON.parse('{"__proto__": 1, "constructor": 2}') as Record<string, unknown>;
  const name = 'constructor';
  odd[name] = b;
  const mapped = mapTree(odd, () => c);
  expect(mapped[name]).toBe(c);
  expect(Object.getPrototypeOf(mapped)).toBe(Object.prototype);
});

test('replaceLeaves puts tensors back in the order of flattenTree', () => {
  const tree = { w: a, list: [b, { deep: c }], number: 7 };
  const replaced = replaceLeaves(tree, [c, a, b]);
  expect(treeLeaves(replaced)).toEqual([c, a, b]);
  expect(replaced.number).toBe(7);
  expect(treeLeaves(replaceLeaves(tree, treeLeaves(tree)))).toEqual([a, b, c]);
});

test('deep trees', () => {
  let deep: unknown = a;
  for (let i = 0; i < 1000; i++) deep = i % 2 === 0 ? [deep] : { k: deep };
  expect(treeLeaves(deep)).toEqual([a]);
});
