import { noiseSchedule } from 'diffusion-dpo/diffusion';
import { noisePairs, pairOutput } from 'diffusion-dpo/dpo';
import { openDevice, read, setDefaultDevice, type Tensor, tensor } from 'diffusion-dpo/tensor';
import { expect, test } from 'vitest';

setDefaultDevice(await openDevice('reference'));

// x_t = 0.8·x_0 + 0.6·ε
const schedule = noiseSchedule({ numTrainTimesteps: 1, trainedBetas: [0.36] });
const pairs = { winner: tensor([[1]]), loser: tensor([[2]]) };

async function expectValues(x: Tensor | undefined, values: readonly number[]): Promise<void> {
  const numbers = x === undefined ? [] : Array.from(await read(x), Number);
  expect(numbers.length).toBe(values.length);
  values.forEach((value, i) => {
    expect(numbers[i]).toBeCloseTo(value, 6);
  });
}

test.each([
  ['epsilon', [0.5, 0.5]],
  // 0.8·ε − 0.6·x_0
  ['v_prediction', [-0.2, -0.8]],
  ['sample', [1, 2]],
] as const)('each side of a pair has its own target: %s', async (prediction, [winner, loser]) => {
  for (const timesteps of [[0], tensor([0], { dtype: 'i32' })]) {
    const { noisy, target, modelTimesteps } = noisePairs(schedule, prediction, pairs, tensor([[0.5]]), timesteps);
    await expectValues(noisy, [1.1, 1.9]);
    await expectValues(target, [winner, loser]);
    expect(Array.isArray(modelTimesteps) ? modelTimesteps.length : (modelTimesteps as Tensor).shape[0]).toBe(2);
    const output = pairOutput(target, tensor([[10], [20]]), tensor([[30], [40]]));
    await expectValues(output.winner.target, [winner]);
    await expectValues(output.loser.target, [loser]);
    await expectValues(output.winner.prediction, [10]);
    await expectValues(output.loser.prediction, [20]);
    await expectValues(output.winner.reference, [30]);
    await expectValues(output.loser.reference, [40]);
    const stored = pairOutput(target, tensor([[10], [20]]), { winner: tensor([3]), loser: tensor([4]) });
    await expectValues(stored.winner.referenceError, [3]);
    await expectValues(stored.loser.referenceError, [4]);
    expect(stored.winner.reference).toBeUndefined();
  }
});
