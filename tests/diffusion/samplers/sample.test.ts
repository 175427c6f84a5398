import { imageKeys, type SamplerState, sample, type Trajectory } from 'diffusion-dpo/diffusion';
import { key, openDevice, random, read, setDefaultDevice, stack, type Tensor, tensor } from 'diffusion-dpo/tensor';
import { expect, test } from 'vitest';

setDefaultDevice(await openDevice('reference'));

const values = async (x: Tensor | undefined): Promise<number[]> => (x === undefined ? [] : Array.from(await read(x)));

/** Keeps what it is given, and draws noise at steps 0 and 2 of 3. */
function recorder() {
  const seen: {
    started?: Tensor;
    told: [number, number][];
    inputs: Promise<number[]>[];
    noise: (Tensor | undefined)[];
  } = {
    told: [],
    inputs: [],
    noise: [],
  };
  const trajectory: Trajectory = {
    timesteps: [9, 5, 2],
    initNoiseSigma: 1,
    noiseScalesAt: () => ({ signal: 0, noise: 1 }),
    drawsNoise: (index) => index !== 1,
    start: (noise) => {
      seen.started = noise;
      return { sample: noise.mul(2), index: 0, history: [] };
    },
    modelInput: (state) => state.sample.add(10),
    step: (state: SamplerState, output, noise) => {
      seen.noise.push(noise);
      return { sample: output.add(noise ?? 0), index: state.index + 1, history: [] };
    },
  };
  const model = (x: Tensor, timestep: number, index: number): Tensor => {
    seen.told.push([timestep, index]);
    seen.inputs.push(values(x));
    return x.sub(10);
  };
  return { trajectory, model, seen };
}

test('each image draws from its own key: 0 to begin with, i + 1 for step i', async () => {
  const { trajectory, model, seen } = recorder();
  const keys = imageKeys(key(4), 2, 3);
  const result = await sample({ trajectory, model, keys, shape: [1, 3] });
  const draw = (number: number) =>
    stack(
      [3, 4].map((image) => random.normal(random.foldIn(random.foldIn(key(4), image), number), [1, 3])),
      0,
    );
  expect(await values(seen.started)).toEqual(await values(draw(0)));
  expect(await values(seen.noise[0])).toEqual(await values(draw(1)));
  expect(seen.noise[1]).toBeUndefined();
  expect(await values(seen.noise[2])).toEqual(await values(draw(3)));
  // All of them differ.
  expect(new Set((await values(stack([draw(0), draw(1), draw(2), draw(3)], 0))).map(String)).size).toBe(24);
  expect(await values(result)).toEqual(
    (await values(draw(0).mul(2).add(draw(1)).add(draw(3)))).map((x) => expect.closeTo(x, 5)),
  );
});

test('the network is told the time step of each step, and given what the trajectory makes of the sample', async () => {
  const { trajectory, model, seen } = recorder();
  const steps: number[] = [];
  await sample({
    ...{ trajectory, model, keys: imageKeys(key(0), 1), shape: [2] },
    onStep: ({ index }) => {
      steps.push(index);
    },
  });
  expect(seen.told).toEqual([
    [9, 0],
    [5, 1],
    [2, 2],
  ]);
  const drawn = random.normal(random.foldIn(random.foldIn(key(0), 0), 0), [2]);
  expect(await seen.inputs[0]).toEqual(await values(drawn.mul(2).add(10)));
  expect(steps).toEqual([1, 2, 3]);
});

test.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])(
  'an image that holds %d in the end is an error that says which, and how many',
  async (bad) => {
    const { trajectory } = recorder();
    const sampled = (first: number, second: number, third: number) =>
      sample({
        trajectory,
        model: (x, _, index) => (index < 2 ? x : x.add(tensor([[[0, first]], [[second, 0]], [[0, third]]]))),
        keys: imageKeys(key(4), 3),
        shape: [1, 2],
      });
    await expect(sampled(0, bad, bad)).rejects.toThrow(
      'sample: 2 of 3 images hold NaN or infinity, the first at index 1; weights that are not finite do that',
    );
    await expect(sampled(bad, 0, 0)).rejects.toThrow('1 of 3 images hold NaN or infinity, the first at index 0');
    expect((await sampled(1e30, 0, -1e30)).shape).toEqual([3, 1, 2]);
  },
);
