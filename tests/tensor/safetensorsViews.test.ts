import { fromBytes, joinSafetensors, openSafetensors, read, tensor, toSafetensorsBytes } from 'diffusion-dpo/tensor';
import { describe, expect, test } from 'vitest';

const open = async (tensors: Parameters<typeof toSafetensorsBytes>[0], name = 'model.safetensors') =>
  openSafetensors(fromBytes(await toSafetensorsBytes(tensors), name));

/** Collects what is written. */
function sink() {
  const pieces: number[] = [];
  return { pieces, write: async (bytes: Uint8Array) => void pieces.push(...bytes) };
}

describe('a view of a file', () => {
  test('has parts of tensors, in other shapes, under other names', async () => {
    const file = await open({
      fused: tensor([1, 2, 3, 4, 5, 6], { shape: [3, 2] }),
      half: tensor([7, 8], { dtype: 'f16' }),
    });
    const { offset, ...fused } = await file.entry('fused');
    const view = file.view(
      new Map([
        ['second', { ...fused, shape: [1, 2], offset: offset + 8, byteLength: 8 }],
        ['squeezed', { ...(await file.entry('half')), shape: [2, 1, 1] }],
      ]),
    );
    expect(view.names).toEqual(['second', 'squeezed']);
    const second = await view.read('second');
    expect([second.shape, Array.from(await read(second))]).toEqual([
      [1, 2],
      [3, 4],
    ]);
    const squeezed = await view.read('squeezed');
    expect([squeezed.shape, squeezed.dtype, Array.from(await read(squeezed))]).toEqual([[2, 1, 1], 'f16', [7, 8]]);
    await expect(view.read('fused')).rejects.toThrow('"fused" is not there');
  });
});

describe('files that are joined', () => {
  const first = { b: tensor([1, 2]), a: tensor([3], { dtype: 'f16' }) };
  const second = { c: tensor([4, 5, 6], { dtype: 'bf16' }), 'a.b': tensor([7]), none: tensor([], { dtype: 'f32' }) };

  test('are the file that their tensors would have been written as', async () => {
    const out = sink();
    await joinSafetensors(out, [await open(first), await open(second)], { format: 'pt' });
    const expected = await toSafetensorsBytes({ ...first, ...second }, { metadata: { format: 'pt' } });
    expect(Uint8Array.from(out.pieces)).toEqual(expected);
  });

  test('have no name in common', async () => {
    await expect(joinSafetensors(sink(), [await open(first), await open(first)])).rejects.toThrow(
      'the name "b" occurs twice in the files',
    );
  });
});

test('the bytes of a tensor are copied as they are, in pieces', async () => {
  // Larger than one piece of 8 MiB.
  const values = Float32Array.from({ length: 2 ** 21 + 5 }, (_, i) => i);
  const file = await open({ x: tensor(values) });
  const sizes: number[] = [];
  const bytes = new Uint8Array(values.byteLength);
  let done = 0;
  await file.copy('x', {
    write: async (piece) => {
      bytes.set(piece, done);
      done += piece.length;
      sizes.push(piece.length);
    },
  });
  expect(sizes).toEqual([2 ** 23, 20]);
  expect(bytes).toEqual(new Uint8Array(values.buffer));
  await expect(file.copy('y', sink())).rejects.toThrow('"y" is not there');
});
