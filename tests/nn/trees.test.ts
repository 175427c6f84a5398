import { combine, countParameters, partition, pathMatcher, updateAt } from 'diffusion-dpo/nn';
import { flattenTree, tensor, zeros } from 'diffusion-dpo/tensor';
import { expect, test } from 'vitest';

const tree = { blocks: [{ attn: { to_q: zeros([2, 3]), to_k: zeros([2]) } }, { conv: zeros([4]) }], out: zeros([]) };

test.each([
  ['out', ['out']],
  ['blocks.*.conv', ['blocks.1.conv']],
  ['**.to_*', ['blocks.0.attn.to_q', 'blocks.0.attn.to_k']],
  ['blocks.0.**', ['blocks.0.attn.to_q', 'blocks.0.attn.to_k']],
  ['blocks.**.to_q', ['blocks.0.attn.to_q']],
  ['**', ['blocks.0.attn.to_q', 'blocks.0.attn.to_k', 'blocks.1.conv', 'out']],
  [/to_k$/, ['blocks.0.attn.to_k']],
  ['blocks', []],
  ['blocks.+.conv', []],
] as const)('the pattern %s', (pattern, expected) => {
  const fits = pathMatcher(pattern);
  expect(
    flattenTree(tree)
      .map(({ path }) => path)
      .filter(fits),
  ).toEqual(expected);
});

test('trees are cut in two and put together', () => {
  const { selected, rest } = partition(tree, '**.to_q', 'out');
  expect(Object.keys(selected)).toEqual(['blocks.0.attn.to_q', 'out']);
  expect(Object.keys(rest)).toEqual(['blocks.0.attn.to_k', 'blocks.1.conv']);
  const changed = tensor(7);
  const back = combine(tree, rest, { ...selected, out: changed });
  expect(back.out).toBe(changed);
  expect(back.blocks[0]?.attn).toEqual(tree.blocks[0]?.attn);
  expect(() => combine(tree, rest)).toThrow("combine: no part has the tensor 'blocks.0.attn.to_q'");
});

test('parameters are counted', () => expect(countParameters(tree)).toBe(6 + 2 + 4 + 1));

test('a subtree is replaced, and nothing else', () => {
  const changed = updateAt(tree, 'blocks.1', () => ({ conv: tensor([1]) }));
  expect(changed.blocks[1]?.conv?.shape).toEqual([1]);
  expect(changed.blocks[0]).toBe(tree.blocks[0]);
  expect(tree.blocks[1]?.conv?.shape).toEqual([4]);
  expect(() => updateAt(tree, 'blocks.7.conv', (x) => x)).toThrow("updateAt: there is no 'blocks.7' in the tree");
});
