/**
 * Noise schedules, samplers and the models of diffusion.
 *
 *   config        reading configuration files: every field has an effect, is known to have none, or is refused by name
 *   noise/        how images become noise: schedules and flows, noising, what networks predict
 *   samplers/     from noise to images: DDPM, DDIM, Euler, DPM-Solver++, PNDM, and Euler on flows; guidance
 *   checkpoint/   parameters from and to files and folders, as diffusers has them
 *   text/         CLIP's tokenizer and text encoder
 *   autoencoder/  between images and latents: AutoencoderKL and AutoencoderTiny, in slices and tiles
 *   unet/         UNet2DModel and UNet2DConditionModel, from their config.json
 *   pipeline/     a text encoder and a UNet together
 *   lora/         LoRA adapters as people have them, for a pipeline's UNet and text encoders
 *   singleFile/   checkpoints of one file in the original layout (in index.node.ts: they are read from disk)
 */

export { type Autoencoder, type LatentDistribution, latentSample, sampleLatents } from './autoencoder/autoencoder.ts';
export { type AutoencoderKLConfig, autoencoderKL } from './autoencoder/autoencoderKL.ts';
export { type AutoencoderTinyConfig, autoencoderTiny } from './autoencoder/autoencoderTiny.ts';
export { decodeLatents, encodeImages, type RunAutoencoderOptions } from './autoencoder/runAutoencoder.ts';
export { formatObject, type JsonObject, parseObject } from './checkpoint/json.ts';
export { type LoadOptions, loadParameters } from './checkpoint/loadParameters.ts';
export { type Manifest, manifestOf } from './checkpoint/manifest.ts';
export type { AnyModel } from './checkpoint/models.ts';
export { type OldNames, oldAttentionNames } from './checkpoint/oldNames.ts';
export {
  boolean,
  type ConfigOf,
  type Field,
  integer,
  integerOrNull,
  number,
  numberOrNull,
  oneOf,
  readConfig,
  text,
  texts,
} from './config.ts';
export { configNotes } from './configNotes.ts';
export { type LoraSource, loraArgument } from './lora/argument.ts';
export { kohyaLoraTensors } from './lora/kohya.ts';
export type { LoraPart } from './lora/layerNames.ts';
export { type LoraTarget, mergeIntoPart, openPipelineLora } from './lora/pipelineLora.ts';
export {
  addNoise,
  type BatchTimesteps,
  modelTimesteps,
  noiseFactors,
  predictionTarget,
  velocity,
} from './noise/addNoise.ts';
export { type FlowScheduleOptions, flowSchedule } from './noise/flow.ts';
export { type NoiseScales, toNoise, toOriginal } from './noise/prediction.ts';
export {
  type BetaScheduleName,
  betaSchedules,
  minSnrWeights,
  type NoisePredictionType,
  type NoiseSchedule,
  type NoiseScheduleOptions,
  noiseSchedule,
  type PredictionType,
  predictionTypes,
  signalToNoise,
} from './noise/schedule.ts';
export {
  beginningStep,
  type DenoiseOptions,
  decodeSamples,
  denoise,
  encodeForSampling,
  encodePrompts,
  guides,
  type LoadedPipeline,
  type PromptOptions,
} from './pipeline/generate.ts';
export type { MicroConditioning } from './pipeline/microConditioning.ts';
export {
  loadedStages,
  type PipelinePart,
  type RunStage,
  residentStages,
  type Stage,
  stageParts,
} from './pipeline/stages.ts';
export {
  type Conditioning,
  type ConditionOptions,
  type PromptIds,
  type TextToImage,
  type TextToImageConfig,
  type TextToImageParams,
  textToImage,
  tokenIds,
} from './pipeline/textToImage.ts';
export { type DdimOptions, ddim } from './samplers/ddim.ts';
export { type DdpmOptions, ddpm } from './samplers/ddpm.ts';
export { dpmSolverMultistep } from './samplers/dpmSolver.ts';
export { type EulerOptions, euler, eulerAncestral } from './samplers/euler.ts';
export { flowMatchEuler } from './samplers/flowMatchEuler.ts';
export { noisingFromConfig, type SamplerOptions, samplerFromConfig, samplers } from './samplers/fromConfig.ts';
export { guide } from './samplers/guidance.ts';
export { pndm } from './samplers/pndm.ts';
export { imageKeys, type SampleOptions, sample } from './samplers/sample.ts';
export type { SettingsOptions } from './samplers/settings.ts';
export type { Sampler, SamplerState, Trajectory } from './samplers/trajectory.ts';
export {
  type ClipEncoderLayerOptions,
  type ClipTextModelConfig,
  clipEncoderLayer,
  clipTextModel,
  type EncodedText,
} from './text/clipTextModel.ts';
export {
  type AddedToken,
  type ClipTokenizer,
  type ClipTokenizerFiles,
  cleanPrompt,
  clipTokenizer,
  parseMerges,
} from './text/clipTokenizer.ts';
export { learnTokenizer } from './text/learnTokenizer.ts';
export { looksLikeMojibake, repairText } from './text/repairText.ts';
export type { Timesteps, UNetInputs, UNetOptions } from './unet/unet.ts';
export { type UNet2DConditionModelConfig, unet2dConditionModel } from './unet/unet2dConditionModel.ts';
export { type UNet2DModelConfig, unet2dModel } from './unet/unet2dModel.ts';
