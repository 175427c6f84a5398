import { type Field, ignoredFields } from '../config.ts';

/**
 * The fields of all of diffusers' schedulers, whether there is a sampler for them here or not. A scheduler whose class is
 * changed (`from_config` of another class) keeps the fields of the class that it came from, and they have no effect.
 */
const names = `
  num_train_timesteps beta_start beta_end beta_schedule trained_betas clip_sample clip_sample_range thresholding
  dynamic_thresholding_ratio sample_max_value variance_type set_alpha_to_one set_alpha_to_zero skip_prk_steps
  timestep_spacing timestep_type timestep_scaling original_inference_steps interpolation_type use_karras_sigmas
  use_exponential_sigmas use_beta_sigmas use_lu_lambdas use_flow_sigmas flow_shift sigma_min sigma_max sigma_data
  sigma_schedule rho final_sigmas_type algorithm_type solver_order solver_type solver_p lower_order_final
  euler_at_final lambda_min_clipped predict_x0 disable_corrector predictor_order corrector_order tau_func
  noise_sampler_seed snr_shift_scale shift shift_terminal invert_sigmas stochastic_sampling use_dynamic_shifting
  time_shift_type base_shift max_shift base_image_seq_len max_image_seq_len scale_factors upscale_mode stages
  stage_range gamma scheduler_type beta_min beta_max sampling_eps snr correct_steps clip_denoised s_noise s_churn
  s_min s_max scaler s eta num_vec_classes alpha_cum_start alpha_cum_end gamma_cum_start gamma_cum_end mask_token_id
  masking_schedule block_length block_size num_inference_steps threshold editing_threshold minimal_topk
  corrector_steps corrector_k corrector_selection corrector_selection_tau entropy_bound t_max t_min noise_type
  nucleus_p weight_type prediction_type rescale_betas_zero_snr steps_offset
`;

/** What the schedulers of 2022 had beside them, without effect then or now: the framework of their tensors, and a table. */
const former = 'tensor_format timestep_values';

const wordsOf = (text: string): string[] => text.split(/\s+/).filter((word) => word !== '');

/** All fields of schedulers, none of which has an effect. */
export const otherSchedulers: Readonly<Record<string, Field<undefined>>> = ignoredFields(wordsOf(`${names} ${former}`));
