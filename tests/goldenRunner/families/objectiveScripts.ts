import type { NoiseSchedule } from '../../../diffusion/index.ts';
import {
  correctness,
  dmpo,
  dpo,
  dpoSft,
  dspo,
  errorChanges,
  flowDpo,
  hinge,
  ipo,
  kto,
  mapo,
  noisePairs,
  type Objective,
  type PairOutput,
  pairOutput,
  policyErrors,
  referenceError,
  safeguard,
  sft,
} from '../../../dpo/index.ts';
import { concat, read, type Tensor, take, tensor } from '../../../tensor/index.ts';
import type { Params } from '../params.ts';
import { quantities } from './dpoQuantities.ts';

/** An input of a case by its name; throws where there is none. */
export type Given = (name: string) => Tensor;

/** What a script computes of what the model predicts. */
export interface Computation {
  /** What the script multiplies differences of errors with, and so their rounding. */
  readonly amplification: number;
  loss(prediction: Tensor): Tensor;
  /** Everything else that the script computes on the way and the library has too, by the script's names. */
  others(prediction: Tensor): Readonly<Record<string, Tensor>>;
}

export interface Script {
  /** Tensors inside the script that nothing of the library corresponds to. */
  readonly internal: readonly string[];
  /** What the library computes in its place; or, in words, why it does not. */
  run(options: Params, given: Given): Promise<Computation | string>;
}

/** An objective of pairs with a margin u, with the tensors that all of the authors' scripts call the same. */
const ofPairs = (objective: Objective, beta: number, given: Given): Computation => {
  const pairs = (prediction: Tensor): PairOutput => pairOutput(given('target'), prediction, given('ref_pred'));
  return {
    amplification: beta,
    loss: (prediction) => objective.loss(pairs(prediction)),
    others: (prediction) => Object.fromEntries(quantities(pairs(prediction), beta)),
  };
};

/** The objective, with the safeguard where the script has it. */
const guarded = (objective: Objective, options: Params): Objective => {
  const mu = options.number('winner_preserving_mu', Number.NaN);
  return Number.isNaN(mu) ? objective : safeguard(objective, { mu });
};

const notCovered = (reason: string): Script => ({ internal: [], run: async () => reason });

/** Diffusion-SDPO's repository, which has DPO and DMPO, each with or without the safeguard. */
const sdpo: Script = {
  internal: ['scale_term', 'p', 'lose_l_scale'],
  run: async (options, given) => {
    const beta = options.number('beta_dpo');
    const pairs = (given('model_pred').shape[0] as number) / 2;
    if (options.integer('pairs', pairs) !== pairs) throw new Error(`there are ${pairs} pairs`);
    const objective = options.has('dmpo_alpha') ? dmpo({ beta, a: options.number('dmpo_alpha') }) : dpo({ beta });
    return ofPairs(guarded(objective, options), beta, given);
  },
};

/** The example has no ½ before β. */
const diffusersExample: Script = {
  internal: [],
  run: async (options, given) => {
    const beta = options.number('beta_dpo');
    const type = options.oneOf('loss_type', ['sigmoid', 'hinge', 'ipo']);
    const made = {
      sigmoid: () => dpo({ beta: 2 * beta }),
      hinge: () => hinge({ beta: 2 * beta }),
      ipo: () => ipo({ tau: beta }),
    };
    const { loss, others, amplification } = ofPairs(made[type](), 2 * beta, given);
    return {
      amplification,
      loss,
      others: (prediction) => {
        const all = others(prediction);
        const logits = (all.ref_diff as Tensor).sub(all.model_diff as Tensor);
        return { ...all, ref_loss: all.ref_losses as Tensor, logits, implicit_acc: correctness(logits).mean() };
      },
    };
  },
};

const dspoScript: Script = {
  internal: ['scale_term'],
  run: async (options, given) => {
    const beta = options.number('beta_dpo');
    if (options.boolean('sdxl', false)) return 'the other loss that DSPO has for SDXL is not among the objectives';
    return ofPairs(dspo({ beta }), beta, given);
  },
};

const sudo: Script = {
  internal: ['scale_term'],
  run: async (options, given) => {
    const beta = options.number('beta_dpo');
    const { loss, others } = ofPairs(dpoSft({ beta, alpha: 1 }), beta, given);
    return {
      amplification: beta,
      loss: (prediction) => loss(prediction).mul(0.5),
      others: (prediction) => ({
        ...others(prediction),
        dpo_loss: ofPairs(dpo({ beta }), beta, given).loss(prediction),
      }),
    };
  },
};

/** Images by themselves, each with a label: 1 where it is liked. */
const ktoScript: Script = {
  internal: ['scale_term', 'kl', 'h', 'l_kto', 'label_scale_g', 'noisy_model_input'],
  run: async (options, given) => {
    const beta = options.number('beta_dpo');
    const preferredWeight = options.number('lambda_d_kto', 1);
    const otherWeight = options.number('lambda_u_kto', 1);
    const [kind, halo, offset] = [
      options.text('loss', 'kto'),
      options.text('halo', 'sigmoid'),
      options.text('bce_offset', 'none'),
    ];
    if (kind !== 'kto' && kind !== 'sft') return `the loss '${kind}' is not among the objectives`;
    if (halo !== 'sigmoid') return `the utility function '${halo}' is not among kto's`;
    if (offset !== 'none') return `the offset '${offset}' is not among kto's`;
    const labels = Array.from(await read(given('labels')), Number);
    const rowsOf = (label: number): number[] => labels.flatMap((one, i) => (one === label ? [i] : []));
    const [liked, others] = [rowsOf(1), rowsOf(0)];
    if (liked.length + others.length !== labels.length)
      throw new Error(`the labels are ${labels.join(', ')}, not 0 or 1`);
    // The script's loss of fine-tuning alone has no reference: its errors are the model's own.
    const reference = (prediction: Tensor): Tensor => (kind === 'sft' ? prediction : given('ref_pred'));
    const side = (rows: readonly number[], prediction: Tensor) => {
      const of = (x: Tensor): Tensor => take(x, tensor([...rows], { dtype: 'i32' }));
      return { target: of(given('target')), prediction: of(prediction), reference: of(reference(prediction)) };
    };
    const pairs = (prediction: Tensor): PairOutput => ({
      winner: side(liked, prediction),
      loser: side(others, prediction),
    });
    /** Numbers of the liked images and of the others, in the order of the labels. */
    const inOrder = (ofLiked: Tensor, ofOthers: Tensor): Tensor => {
      const at = labels.map((label, i) => (label === 1 ? liked.indexOf(i) : liked.length + others.indexOf(i)));
      return take(concat([ofLiked, ofOthers], 0), tensor(at, { dtype: 'i32' }));
    };
    const objective = kto({ beta, preferredWeight, otherWeight });
    return {
      amplification: beta,
      loss: (prediction) =>
        kind === 'sft'
          ? sft()
              .loss(pairs(prediction))
              .mul(liked.length / labels.length)
          : objective.loss(pairs(prediction)),
      others: (prediction) => {
        const both = pairs(prediction);
        const [errors, changes] = [policyErrors(both), errorChanges(both)];
        const gains = inOrder(changes.winner, changes.loser).neg();
        const gTerm = gains.sub(gains.mean().maximum(0));
        const signs = tensor(
          labels.map((label) => 2 * label - 1),
          { dtype: gains.dtype },
        );
        return {
          model_losses: inOrder(errors.winner, errors.loser),
          ref_loss: inOrder(referenceError(both.winner), referenceError(both.loser)),
          g_term: gTerm,
          acc: gTerm.mul(signs).greater(0).cast(gains.dtype).mean(),
        };
      },
    };
  },
};

const mapoScript: Script = {
  internal: ['ratio_losses'],
  run: async (options, given) => {
    const [b, s] = [options.number('beta_mapo', 0.1), options.number('snr_value', 0.5)];
    const timesteps = options.integer('num_train_timesteps', 1000);
    const objective = mapo({ b, s, timesteps });
    const pairs = (prediction: Tensor): PairOutput => pairOutput(given('target'), prediction);
    return {
      amplification: b * timesteps,
      loss: (prediction) => objective.loss(pairs(prediction)),
      others: (prediction) => {
        const { winner, loser } = policyErrors(pairs(prediction));
        return { model_losses: concat([winner, loser], 0), model_losses_w: winner, model_losses_l: loser };
      },
    };
  },
};

/** Errors of both sides and their differences, by the names of the scripts that call them so. */
function errorsByName(all: Readonly<Record<string, Tensor>>): Record<string, Tensor> {
  const at = (name: string): Tensor => all[name] as Tensor;
  const [ofWinner, ofLoser] = [
    at('model_losses_w').sub(at('ref_losses_w')),
    at('model_losses_l').sub(at('ref_losses_l')),
  ];
  return {
    theta_mse: at('model_losses'),
    ref_mse: at('ref_losses'),
    model_w_err: at('model_losses_w'),
    model_l_err: at('model_losses_l'),
    ref_w_err: at('ref_losses_w'),
    ref_l_err: at('ref_losses_l'),
    w_diff: ofWinner,
    l_diff: ofLoser,
    w_l_diff: ofWinner.sub(ofLoser),
    inside_term: at('inside_term'),
  };
}

/** The mean over the batch is inside the logarithm, as if all pairs were one; and there is no ½ before β. */
const invokeTraining: Script = {
  internal: [],
  run: async (options, given) => {
    const beta = 2 * options.number('beta');
    const asOne = (x: Tensor): Tensor => x.reshape([2, (x.shape[0] as number) / 2, ...x.shape.slice(1)]);
    const { loss, others } = ofPairs(dpo({ beta }), beta, (name) => asOne(given(name)));
    return {
      amplification: beta,
      loss: (prediction) => loss(asOne(prediction)),
      others: (prediction) => {
        const all = Object.entries(errorsByName(others(asOne(prediction))));
        return Object.fromEntries(all.map(([name, x]) => [name, x.size === 1 ? x.reshape([]) : x]));
      },
    };
  },
};

/** A schedule whose time steps are the given pairs' own amounts of noise. */
function scheduleOfSigmas(sigmas: readonly number[]): NoiseSchedule {
  const noise = Float64Array.from(sigmas);
  const signal = noise.map((sigma) => 1 - sigma);
  const alphasCumprod = noise.map((sigma, i) => (signal[i] as number) ** 2 / ((signal[i] as number) ** 2 + sigma ** 2));
  return { numTrainTimesteps: noise.length, betas: new Float64Array(noise.length), alphasCumprod, signal, noise };
}

const flowDpoScript: Script = {
  internal: [],
  run: async (options, given) => {
    const beta = options.number('beta');
    const [images, noise, sigmas] = [
      given('model_input'),
      given('noise'),
      Array.from(await read(given('sigmas')), Number),
    ];
    const pairs = (images.shape[0] as number) / 2;
    const noised = noisePairs(
      scheduleOfSigmas(sigmas.slice(0, pairs)),
      'flow_prediction',
      { winner: images.sliceAxis(0, 0, pairs), loser: images.sliceAxis(0, pairs, 2 * pairs) },
      noise.sliceAxis(0, 0, pairs),
      Array.from({ length: pairs }, (_, i) => i),
    );
    const inputs: Readonly<Record<string, Tensor>> = { target: noised.target, ref_pred: given('model_pred_ref') };
    const { loss, others } = ofPairs(flowDpo({ beta }), beta, (name) => inputs[name] ?? given(name));
    return {
      amplification: beta,
      loss,
      others: (prediction) => ({ ...errorsByName(others(prediction)), noisy_model_input: noised.noisy }),
    };
  },
};

/** The authors' scripts by their repositories. */
export const scripts: Readonly<Record<string, Script>> = {
  'huggingface/diffusers': diffusersExample,
  'AIDC-AI/Diffusion-SDPO': sdpo,
  'huaishengzhu/DSPO': dspoScript,
  'jacklishufan/diffusion-kto': ktoScript,
  'mapo-t2i/mapo': mapoScript,
  'SPengLiang/SUDO': sudo,
  'invoke-ai/invoke-training': invokeTraining,
  'yifan123/flow_grpo': flowDpoScript,
  'JaydenLyh/SmPO': notCovered('SmPO is not among the objectives'),
  'yangli-lab/Diffusion_alpha-DPO_ICLR2026': notCovered('alpha-DPO is not among the objectives'),
};
