import { dpmSolverMultistep } from 'diffusion-dpo/diffusion';
import { item, openDevice, setDefaultDevice, tensor } from 'diffusion-dpo/tensor';
import { describe, expect, test } from 'vitest';

setDefaultDevice(await openDevice('reference'));

const unit = (value: number) => tensor([[value]], { dtype: 'f64' });

/** The order of each step: one more than the former predictions on which its result depends. */
async function ordersOf(config: object, steps: number): Promise<number[]> {
  const trajectory = dpmSolverMultistep({ prediction_type: 'sample', ...config })(steps);
  const orders: number[] = [];
  for (const index of trajectory.timesteps.keys()) {
    const known = Math.min(index, 2);
    const resultWith = async (changed: number) => {
      const history = Array.from({ length: known }, (_, i) => unit(i === known - changed ? 5 : 1));
      const { sample } = trajectory.step({ sample: unit(0.3), index, history }, unit(1), unit(0));
      return item(sample);
    };
    const plain = await resultWith(0);
    let order = 1;
    for (let back = 1; back <= known; back++) if ((await resultWith(back)) !== plain) order = back + 1;
    orders.push(order);
  }
  return orders;
}

describe('the order of steps', () => {
  const ends = { final_sigmas_type: 'sigma_min' };
  const middle = (count: number, order: number) => new Array<number>(count).fill(order);

  test.each([
    // Below 15 steps, the last is of order 1 and the second last of order 2 at most.
    ['order 3, 14 steps', { solver_order: 3, ...ends }, 14, [1, 2, ...middle(10, 3), 2, 1]],
    ['order 3, 15 steps', { solver_order: 3, ...ends }, 15, [1, 2, ...middle(13, 3)]],
    ['order 2, 14 steps', { solver_order: 2, ...ends }, 14, [1, ...middle(12, 2), 1]],
    ['order 2, 15 steps', { solver_order: 2, ...ends }, 15, [1, ...middle(14, 2)]],
    ['order 1', { solver_order: 1, ...ends }, 5, middle(5, 1)],
    // Noise 0 can be reached by a step of order 1 alone.
    ['order 3, 15 steps to noise 0', { solver_order: 3 }, 15, [1, 2, ...middle(12, 3), 1]],
    ['order 3, without lower orders', { solver_order: 3, lower_order_final: false, ...ends }, 6, [1, 2, 3, 3, 3, 3]],
    ['order 2, without lower orders, to noise 0', { lower_order_final: false }, 6, [1, 2, 2, 2, 2, 1]],
    [
      'order 3, with Euler at the end',
      { solver_order: 3, euler_at_final: true, ...ends },
      15,
      [1, 2, ...middle(12, 3), 1],
    ],
    ['DPM-Solver of order 3', { solver_order: 3, algorithm_type: 'dpmsolver', ...ends }, 6, [1, 2, 3, 3, 2, 1]],
    ['SDE, order 2', { algorithm_type: 'sde-dpmsolver++' }, 5, [1, 2, 2, 2, 1]],
    ['Heun', { solver_type: 'heun' }, 5, [1, 2, 2, 2, 1]],
  ])('%s', async (_, config, steps, expected) => expect(await ordersOf(config, steps)).toEqual(expected));

  test('counts the steps that are taken, not those that were asked for', async () => {
    // Of 15 trailing steps of 1,000, λ from −1 leaves 7.
    const config = { solver_order: 3, timestep_spacing: 'trailing', lambda_min_clipped: -1, ...ends };
    const count = dpmSolverMultistep(config)(15).timesteps.length;
    expect(count).toBeLessThan(15);
    expect(await ordersOf(config, 15)).toEqual([1, 2, ...middle(count - 4, 3), 2, 1]);
  });
});

describe('one step of each algorithm, by its formula', () => {
  // With ᾱ = 0.2 and then 0.5 and 0.8 at time steps 2, 1 and 0.
  const bars = [0.8, 0.5, 0.2];
  const betas = [0.2, 1 - 0.5 / 0.8, 1 - 0.2 / 0.5];
  const place = (bar: number) => ({ a: Math.sqrt(bar), s: Math.sqrt(1 - bar), l: 0.5 * Math.log(bar / (1 - bar)) });
  const [first, second, last] = [place(bars[2] ?? 0), place(bars[1] ?? 0), place(bars[0] ?? 0)];
  const base = {
    num_train_timesteps: 3,
    trained_betas: betas,
    timestep_spacing: 'trailing',
    final_sigmas_type: 'sigma_min',
    lower_order_final: false,
  };
  const [x, d0, before, noise] = [0.7, 1.3, -0.4, 0.9];
  const h = last.l - second.l;
  const d1 = (d0 - before) / ((second.l - first.l) / h);
  const [a, s] = [last.a, last.s];
  const cases: readonly (readonly [string, object, number])[] = [
    ['dpmsolver++', {}, (s / second.s) * x - a * Math.expm1(-h) * (d0 + 0.5 * d1)],
    [
      'dpmsolver++',
      { solver_type: 'heun' },
      (s / second.s) * x - a * Math.expm1(-h) * d0 + a * (Math.expm1(-h) / h + 1) * d1,
    ],
    ['dpmsolver', {}, (a / second.a) * x - s * Math.expm1(h) * (d0 + 0.5 * d1)],
    [
      'dpmsolver',
      { solver_type: 'heun' },
      (a / second.a) * x - s * Math.expm1(h) * d0 - s * (Math.expm1(h) / h - 1) * d1,
    ],
    [
      'sde-dpmsolver++',
      {},
      (s / second.s) * Math.exp(-h) * x +
        a * (1 - Math.exp(-2 * h)) * (d0 + 0.5 * d1) +
        s * Math.sqrt(1 - Math.exp(-2 * h)) * noise,
    ],
    [
      'sde-dpmsolver++',
      { solver_type: 'heun' },
      (s / second.s) * Math.exp(-h) * x +
        a * (1 - Math.exp(-2 * h)) * d0 +
        a * ((1 - Math.exp(-2 * h)) / (-2 * h) + 1) * d1 +
        s * Math.sqrt(1 - Math.exp(-2 * h)) * noise,
    ],
    [
      'sde-dpmsolver',
      {},
      (a / second.a) * x - 2 * s * Math.expm1(h) * (d0 + 0.5 * d1) + s * Math.sqrt(Math.expm1(2 * h)) * noise,
    ],
    [
      'sde-dpmsolver',
      { solver_type: 'heun' },
      (a / second.a) * x -
        2 * s * Math.expm1(h) * d0 -
        2 * s * (Math.expm1(h) / h - 1) * d1 +
        s * Math.sqrt(Math.expm1(2 * h)) * noise,
    ],
  ];

  test.each(cases)('%s, %o', async (algorithm_type, config, expected) => {
    const prediction_type = algorithm_type.endsWith('++') ? 'sample' : 'epsilon';
    const trajectory = dpmSolverMultistep({ ...base, algorithm_type, prediction_type, ...config })(3);
    expect(trajectory.timesteps).toEqual([2, 1, 0]);
    const { sample } = trajectory.step({ sample: unit(x), index: 1, history: [unit(before)] }, unit(d0), unit(noise));
    expect(await item(sample)).toBeCloseTo(expected, 12);
  });

  test.each(['dpmsolver++', 'dpmsolver'])('%s of order 3', async (algorithm_type) => {
    const prediction_type = algorithm_type.endsWith('++') ? 'sample' : 'epsilon';
    const config = { ...base, num_train_timesteps: 4, trained_betas: [...betas, 0.5], solver_order: 3 };
    const trajectory = dpmSolverMultistep({ ...config, algorithm_type, prediction_type })(4);
    const earliest = place(0.1);
    const older = 2.1;
    const [r0, r1] = [(second.l - first.l) / h, (first.l - earliest.l) / h];
    const [near, far] = [(d0 - before) / r0, (before - older) / r1];
    const slope = near + (r0 / (r0 + r1)) * (near - far);
    const bend = (near - far) / (r0 + r1);
    const expected =
      algorithm_type === 'dpmsolver++'
        ? (s / second.s) * x -
          a * Math.expm1(-h) * d0 +
          a * (Math.expm1(-h) / h + 1) * slope -
          a * ((Math.expm1(-h) + h) / h ** 2 - 0.5) * bend
        : (a / second.a) * x -
          s * Math.expm1(h) * d0 -
          s * (Math.expm1(h) / h - 1) * slope -
          s * ((Math.expm1(h) - h) / h ** 2 - 0.5) * bend;
    const state = { sample: unit(x), index: 2, history: [unit(older), unit(before)] };
    expect(await item(trajectory.step(state, unit(d0), unit(0)).sample)).toBeCloseTo(expected, 12);
  });
});
