import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Image, meanShare, type Reward, rewardsOf } from 'diffusion-dpo/dpo';
import { loadReward } from 'diffusion-dpo/dpo/node';
import { key, openDevice, setDefaultDevice } from 'diffusion-dpo/tensor';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { checkReward, meanReward } from '../../../dpo/evaluate/reward.ts';

setDefaultDevice(await openDevice('reference'));

/** Two images of 1 × 1, black and white. */
const samples = { values: Float32Array.of(-1, -1, -1, 1, 1, 1), captions: ['a', 'b'], size: [1, 1] } as const;
const giving = (score: (images: readonly Image[], captions: readonly string[]) => unknown): Reward => ({
  name: 'mine',
  file: '/rewards/mine.mjs',
  score: score as Reward['score'],
});

describe('rewardsOf', () => {
  test.each<[string, () => unknown]>([
    ['numbers', () => [0.5, -2]],
    ['f32', () => Float32Array.of(0.5, -2)],
    ['f64', () => Float64Array.of(0.5, -2)],
    ['a promise', async () => [0.5, -2]],
    ['what is like an array', () => ({ length: 2, 0: 0.5, 1: -2 })],
  ])('takes %s', async (_, score) => {
    expect(await rewardsOf(giving(score), samples)).toEqual(Float64Array.of(0.5, -2));
  });

  test('gives images with 8 bits a channel beside their captions', async () => {
    const seen: unknown[] = [];
    await rewardsOf(
      giving((...given) => {
        seen.push(...given);
        return [0, 0];
      }),
      samples,
    );
    const grey = (value: number) => ({ width: 1, height: 1, data: new Uint8Array(3).fill(value) });
    expect(seen).toEqual([
      [grey(0), grey(255)],
      ['a', 'b'],
    ]);
  });

  test.each<[string, unknown, string]>([
    ['null', null, 'gave null, not a list of numbers'],
    ['undefined', undefined, 'gave undefined, not a list of numbers'],
    ['a number', 1, 'gave 1, not a list of numbers'],
    ['a text as long as the images are many', '12', 'gave "12", not a list of numbers'],
    ['an object', { score: 1 }, 'gave an object, not a list of numbers'],
    ['a set', new Set([1, 2]), 'gave an object, not a list of numbers'],
    ['a function', () => [1, 2], 'gave a function, not a list of numbers'],
    ['too few', [1], 'gave 1 number for 2 images'],
    ['none', [], 'gave 0 numbers for 2 images'],
    ['too many', [1, 2, 3], 'gave 3 numbers for 2 images'],
    ['NaN', [1, Number.NaN], 'image 1, "b", was given NaN, not a finite number'],
    ['NaN in f32', Float32Array.of(Number.NaN, 1), 'image 0, "a", was given NaN, not a finite number'],
    ['an infinity', [1, -Infinity], 'image 1, "b", was given -Infinity, not a finite number'],
    ['null within', [1, null], 'image 1, "b", was given null, not a finite number'],
    ['undefined within', [1, undefined], 'image 1, "b", was given undefined, not a finite number'],
    ['texts', ['1', '2'], 'image 0, "a", was given "1", not a finite number'],
    ['truth', [1, true], 'image 1, "b", was given true, not a finite number'],
    ['big integers', [1n, 2n], 'image 0, "a", was given 1, not a finite number'],
    ['lists', [[1], [2]], 'image 0, "a", was given an array, not a finite number'],
  ])('refuses %s, and names the module', async (_, value, problem) => {
    await expect(
      rewardsOf(
        giving(() => value),
        samples,
      ),
    ).rejects.toThrow(`reward mine (/rewards/mine.mjs): ${problem}`);
  });

  test.each<[string, unknown, string]>([
    ['an error', new RangeError('no model'), 'score failed: no model'],
    ['an error that says nothing', new TypeError(), 'score failed: TypeError'],
    ['a text', 'no model', 'score failed: "no model"'],
    ['undefined', undefined, 'score failed: undefined'],
    ['what cannot become a text', Object.create(null), 'score failed: an object'],
  ])('says what was thrown or rejected: %s', async (_, thrown, problem) => {
    const throwing = giving(() => {
      throw thrown;
    });
    for (const reward of [throwing, giving(() => Promise.reject(thrown))]) {
      const error: unknown = await rewardsOf(reward, samples).catch((caught) => caught);
      expect(error).toMatchObject({ message: `reward mine (/rewards/mine.mjs): ${problem}`, cause: thrown });
    }
  });

  test('is not disturbed by what a module does to the captions', async () => {
    const captions = ['b', 'a'];
    const sorting = giving((_, given) => (given as string[]).sort().map((_, i) => i));
    await rewardsOf(sorting, { ...samples, captions });
    expect(captions).toEqual(['b', 'a']);
  });

  test('names a reward without a file by its name', async () => {
    await expect(rewardsOf({ name: 'own', score: () => [1] }, samples)).rejects.toThrow(
      'reward own: gave 1 number for 2 images',
    );
  });
});

describe('checkReward', () => {
  const three = { values: new Float32Array(9), captions: ['a', 'b', 'c'], size: [1, 1] } as const;

  test('asks for one image, then for two', async () => {
    const asked: number[] = [];
    await checkReward(
      giving((images, captions) => {
        asked.push(images.length);
        return captions.map(() => 0);
      }),
      three,
    );
    expect(asked).toEqual([1, 2]);
  });

  test('notices a reward that always gives one number', async () => {
    await expect(
      checkReward(
        giving(() => [1]),
        three,
      ),
    ).rejects.toThrow('gave 1 number for 2 images');
  });
});

describe('meanReward', () => {
  test('of zeros and ones is a share, of other numbers a mean with the bootstrap', async () => {
    expect(await meanReward(Float64Array.of(1, 1, 1), key(0))).toEqual(meanShare([1, 1, 1]));
    expect(await meanReward(Float64Array.of(1, 0), key(0))).toEqual(meanShare([1, 0]));
    expect(await meanReward(Float64Array.of(3, 3), key(0))).toEqual({ value: 3, low: 3, high: 3 });
    expect((await meanReward(Float64Array.of(0, 1, 2), key(0))).value).toBe(1);
  });
});

describe('loadReward', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'reward-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));
  const write = async (name: string, text: string): Promise<string> => {
    await writeFile(join(folder, name), text);
    return join(folder, name);
  };

  test('reads a function and perhaps a name', async () => {
    const file = await write('length.mjs', 'export const score = (_, captions) => captions.map((one) => one.length);');
    const reward = await loadReward(file);
    expect(reward).toMatchObject({ name: 'length', file });
    expect(Array.from(await rewardsOf(reward, samples))).toEqual([1, 1]);
    const named = await write('named.mjs', 'export const name = "how long"; export const score = () => [];');
    expect((await loadReward(named)).name).toBe('how long');
  });

  test.each([
    ['other.mjs', 'export const reward = 1;', /exports a function score.*this one exports reward/],
    ['nothing.mjs', '', /this one exports nothing/],
    ['broken.mjs', 'export const = ;', /cannot load the reward .*broken\.mjs: /],
    ['throws.mjs', 'throw new Error("no such model");', /cannot load the reward .*throws\.mjs: no such model/],
    ['throwsNull.mjs', 'throw null;', /cannot load the reward .*throwsNull\.mjs: null/],
    ['page.mjs', '<!doctype html>', /page\.mjs: this is an HTML page/],
    ['pointer.mjs', 'version https://git-lfs.github.com/spec/v1\nsize 5\n', /pointer\.mjs: this is a Git LFS pointer/],
  ])('refuses %s', async (name, text, message) => {
    await expect(loadReward(await write(name, text))).rejects.toThrow(message);
  });

  test('refuses a module that is not there', async () => {
    await expect(loadReward(join(folder, 'none.mjs'))).rejects.toThrow(/cannot load the reward .*none\.mjs/);
  });
});
