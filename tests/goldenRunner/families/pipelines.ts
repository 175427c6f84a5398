import { readFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { encodeImages } from '../../../diffusion/autoencoder/runAutoencoder.ts';
import {
  beginningStep,
  type ClipTokenizerFiles,
  clipTokenizer,
  decodeSamples,
  denoise,
  encodePrompts,
  guides,
  latentSample,
  type MicroConditioning,
  parseMerges,
  parseObject,
  type SamplerState,
  sample,
  samplerFromConfig,
  type TextToImageParams,
  textToImage,
  unet2dModel,
} from '../../../diffusion/index.ts';
import { prepareWhole } from '../../../dpo/data/preprocess.ts';
import {
  concat,
  dispose,
  key,
  mapTree,
  read,
  realize,
  setDefaultDevice,
  split,
  stack,
  type Tensor,
  tensor,
} from '../../../tensor/index.ts';
import { readArchive, withPrefix } from '../archive.ts';
import { boundOf, bounds } from '../bounds.ts';
import type { Comparison } from '../compare.ts';
import { fillParameters } from '../parameters.ts';
import { isObject, type JsonObject } from '../params.ts';
import { compareResults, inDtype } from '../results.ts';
import { type Family, type GoldenFile, messageOf, type Settings, type UnitReport } from './family.ts';

/** Whole sampling runs: prompts or embeddings in, every stage of the way to the image out. */
export const pipelines: Family = {
  name: 'pipelines',
  claim: (files) =>
    files.flatMap((file) => {
      const tensors = file.path.replace(/\.json$/, '.safetensors');
      if (!isRun(file) || !files.some(({ path }) => path === tensors)) return [];
      // The small models that runs name are checked by running them.
      const folder = join(dirname(file.path), 'models');
      const used = Object.values(isObject(file.json) && isObject(file.json.components) ? file.json.components : {});
      const models = files.filter(({ path }) =>
        used.some((one) => dirname(path) === join(folder, basename(String(one)))),
      );
      return [
        {
          files: [file.path, tensors, ...models.map(({ path }) => path)],
          check: (settings) => checkRun(file, tensors, settings),
        },
      ];
    }),
};

const isRun = ({ json }: GoldenFile): boolean =>
  isObject(json) && isObject(json.scheduler) && (isObject(json.components) || typeof json.unet === 'string');

type Tensors = ReadonlyMap<string, Tensor>;
/** What runs are given, and what belongs to the words of a prompt: compared as whole numbers. */
const isGiven = (name: string): boolean => /^(in|draw)\./.test(name);

async function checkRun(file: GoldenFile, path: string, settings: Settings): Promise<UnitReport> {
  // Sampling computes each step on the default device.
  setDefaultDevice(settings.device);
  const stored = await readArchive(path);
  const expected = new Map([...stored].filter(([name]) => !isGiven(name)));
  const spec = file.json as JsonObject;
  const name = basename(path, '.safetensors');
  try {
    const run = typeof spec.unet === 'string' && spec.vae === undefined ? runOnPixels : runOnLatents;
    const results = await run(dirname(dirname(path)), spec, stored, settings);
    const errors = isObject(spec.torch_float32_error) ? spec.torch_float32_error : {};
    const image = results.get('image');
    const bytes = stored.get('image_uint8');
    const ofBytes = bytes === undefined || image === undefined ? [] : [await compareBytes(image, bytes)];
    const comparisons = await compareResults(results, expected, boundsFrom(spec, errors), settings);
    const problems = [...expected.keys()]
      .filter((one) => !results.has(one) && one !== 'image_uint8')
      .map((one) => `nothing was computed for '${one}'`);
    return {
      expectedTensors: expected.size,
      cases: [{ file: file.path, name, problems, comparisons: [...comparisons, ...ofBytes] }],
    };
  } catch (error) {
    return {
      expectedTensors: expected.size,
      cases: [{ file: file.path, name, problems: [messageOf(error)], comparisons: [] }],
    };
  } finally {
    dispose([...stored.values()]);
  }
}

/** Bounds of the README's table. Euler's steps and the attention of autoencoders were in float32: so float32's bounds hold. */
function boundsFrom(spec: JsonObject, errors: JsonObject) {
  const error = (name: string): number => {
    const entry = errors[name];
    return isObject(entry) && typeof entry.rel_l2 === 'number' ? entry.rel_l2 : 0;
  };
  const isPixels = typeof spec.unet === 'string' && spec.vae === undefined;
  return (name: string): number => {
    if (isPixels) return bounds.pipeline.ddimPixel;
    const row = name.endsWith('embeds') ? bounds.pipeline.embeddings : bounds.pipeline.latents;
    return boundOf('f32', row, error(name));
  };
}

/** Bytes may round the other way where 255 times the image is within 1e-3 of a half. */
async function compareBytes(image: Tensor, bytes: Tensor): Promise<Comparison> {
  const unit = await read(await realize(image.permute([0, 2, 3, 1]).reshape([image.size])));
  const expected = await read(bytes);
  let wrong = 0;
  for (let i = 0; i < expected.length; i++) {
    const value = 255 * Number(unit[i]);
    const isNearHalf = Math.abs(value - Math.floor(value) - 0.5) < 1e-3;
    const allowed = isNearHalf ? [Math.floor(value), Math.ceil(value)] : [Math.round(value)];
    if (!allowed.includes(Number(expected[i]))) wrong++;
  }
  return {
    ...{ tensor: 'image_uint8', measure: 'number of different elements', error: wrong, bound: 0 },
    passed: wrong === 0 && unit.length === expected.length,
  };
}

/** A sampler of a case's scheduler, whose class has the name `class` there. */
const samplerOf = ({ scheduler, call }: JsonObject) => {
  const { class: className, ...fields } = scheduler as JsonObject;
  const eta = isObject(call) && typeof call.eta === 'number' ? { eta: call.eta } : {};
  return samplerFromConfig({ _class_name: className, ...fields }, eta);
};

async function modelOfFolder(folder: string, weightsName: string) {
  const config = parseObject(await readFile(join(folder, 'config.json')), join(folder, 'config.json'));
  return { config, weights: await readArchive(join(folder, weightsName)) };
}

async function runOnPixels(root: string, spec: JsonObject, stored: Tensors, settings: Settings) {
  const { config, weights } = await modelOfFolder(join(root, String(spec.unet)), 'diffusion_pytorch_model.safetensors');
  const unet = unet2dModel(config);
  const params = mapTree(fillParameters(unet.init(key(0)), weights), (x) => inDtype(x, settings));
  const begin = inDtype(stored.get('in.sample') as Tensor, settings);
  const seen: Tensor[] = [];
  await sample({
    trajectory: samplerOf(spec)(Number(spec.num_inference_steps)),
    model: (x, timestep) => unet.apply(params, x, timestep),
    keys: [],
    shape: begin.shape.slice(1),
    noise: () => begin,
    onStep: async ({ sample: x }) => void seen.push(await realize(x.add(0))),
  });
  return new Map([['samples_after_step', stack(seen, 0)]]);
}

type Parts = Readonly<Record<string, string>>;

/** The models of a case, whose folders are named from the root of the data. */
async function loadParts(root: string, spec: JsonObject, settings: Settings) {
  const named = isObject(spec.components) ? (spec.components as Parts) : ({ unet: spec.unet, vae: spec.vae } as Parts);
  const names = ['text_encoder', 'text_encoder_2', 'unet', 'vae'] as const;
  const found = await Promise.all(
    names.map(async (name) => {
      const folder = named[name];
      if (folder === undefined) return undefined;
      const file = name.startsWith('text') ? 'model.safetensors' : 'diffusion_pytorch_model.safetensors';
      return modelOfFolder(join(root, folder), file);
    }),
  );
  const [first, second, unet, vae] = found;
  // A case that begins with embeddings has no text encoder; the smallest stands in for it and is never asked.
  const none = { vocab_size: 1, hidden_size: 1, intermediate_size: 1, num_hidden_layers: 1, num_attention_heads: 1 };
  const projection = { architectures: ['CLIPTextModelWithProjection'], projection_dim: pooledWidth(unet?.config) };
  const textEncoder = first?.config ?? { ...none, ...projection };
  // The text encoder of SD 2 stands in a file with a projection, which its class does not have.
  const isPlain = second === undefined && first !== undefined;
  const config = {
    unet: unet?.config ?? {},
    textEncoder: isPlain ? { ...textEncoder, architectures: ['CLIPTextModel'] } : textEncoder,
    ...(second && { textEncoder2: second.config }),
    ...(vae && { vae: vae.config }),
  };
  const model = textToImage(config);
  const template = model.init(key(0)) as unknown as Readonly<Record<string, unknown>>;
  const params = Object.fromEntries(
    names.flatMap((name, i) => {
      const weights = new Map(found[i]?.weights ?? []);
      if (isPlain && name === 'text_encoder') weights.delete('text_projection.weight');
      if (found[i] === undefined) return [];
      return [[name, mapTree(fillParameters(template[name], weights), (x) => inDtype(x, settings))]];
    }),
  );
  return { model, params: params as unknown as TextToImageParams, hasText: first !== undefined };
}

/** The width of pooled text that a UNet takes beside 6 sizes. */
const pooledWidth = (unet: JsonObject = {}): number =>
  Number(unet.projection_class_embeddings_input_dim ?? 0) - 6 * Number(unet.addition_time_embed_dim ?? 0);

async function tokenizers(root: string, spec: JsonObject): Promise<readonly ClipTokenizerFiles[]> {
  const at = (name: string) => join(root, 'tokenizer', name);
  const vocabulary = parseObject(await readFile(at('vocab.json')), at('vocab.json')) as Record<string, number>;
  const merges = parseMerges(await readFile(at('merges.txt')), at('merges.txt'));
  const padding = isObject(spec.tokenizer_padding) ? spec.tokenizer_padding : {};
  return Object.values(padding).map((what) => ({
    ...{ vocabulary, merges },
    ...(String(what).startsWith('id 0') && { padToken: '!' }),
  }));
}

const texts = (value: unknown, count: number): string[] | undefined => {
  if (value === undefined) return undefined;
  const list = Array.isArray(value) ? value.map(String) : [String(value)];
  return Array.from({ length: count }, (_, i) => list[Math.floor((i * list.length) / count)] as string);
};

const pair = (value: unknown): readonly [number, number] | undefined =>
  Array.isArray(value) ? (value as unknown as readonly [number, number]) : undefined;

/** The sizes and crops of a call, or those of its negative prompt. */
function sizesOf(call: JsonObject, prefix: '' | 'negative_'): MicroConditioning {
  const [originalSize, crop, targetSize] = ['original_size', 'crops_coords_top_left', 'target_size'].map((name) =>
    pair(call[`${prefix}${name}`]),
  );
  return { ...(originalSize && { originalSize }), ...(crop && { crop }), ...(targetSize && { targetSize }) };
}

async function runOnLatents(root: string, spec: JsonObject, stored: Tensors, settings: Settings) {
  const results = new Map<string, Tensor>();
  const given = (name: string): Tensor | undefined => {
    const found = stored.get(name);
    return found && inDtype(found, settings);
  };
  const { model, params, hasText } = await loadParts(root, spec, settings);
  const call = isObject(spec.call) ? spec.call : spec;
  const guidance = Number(call.guidance_scale);
  const isGuided = guides(guidance);
  const images = [...withPrefix(stored, 'in.image.').values()];
  const start = given('in.latents');
  const count = start?.shape[0] ?? images.length;
  const files = hasText ? await tokenizers(root, spec) : [];
  const steps = Number(call.num_inference_steps);
  const trajectory = samplerOf(spec)(steps);

  // Image to image: sizes are cut to whole latents, resized by Lanczos' filter.
  const [rows, columns] = images[0]?.shape ?? [];
  const cut = (side: number) => side - (side % model.factor);
  const size = [
    rows === undefined ? Number(spec.height) : cut(rows),
    columns === undefined ? Number(spec.width) : cut(columns),
  ] as const;

  const pipeline = {
    ...{ model, params },
    tokenizer: files[0] ?? ({ vocabulary: {}, merges: [] } as ClipTokenizerFiles),
    tokenizer2: files[1],
    forceZerosForEmptyPrompt: spec.force_zeros_for_empty_prompt === true,
  };
  const [prompts = [], negatives] = [texts(call.prompt, count), texts(call.negative_prompt, count)];
  const others = { prompts2: texts(call.prompt_2, count), negatives2: texts(call.negative_prompt_2, count) };
  if (hasText) {
    const second = [others.prompts2 ?? prompts, others.negatives2 ?? negatives];
    files.forEach((tokenizer, i) => {
      const encode = clipTokenizer(tokenizer).encodePadded;
      const lists = i === 0 ? [prompts, negatives] : second;
      const encoder = i === 0 ? 'text_encoder' : 'text_encoder_2';
      [lists[0] ?? [], lists[1] ?? prompts.map(() => '')].forEach((list, j) => {
        const name = `input_ids.${encoder}.${j}`;
        const rowsStored = stored.get(name)?.shape[0] ?? 0;
        // Where a prompt has several images, it is encoded once and its embedding repeated.
        const distinct = rowsStored < list.length ? list.filter((_, k) => k % (list.length / rowsStored) === 0) : list;
        if (rowsStored > 0) results.set(name, tensor(distinct.map(encode), { dtype: 'i32' }));
      });
    });
  }
  const conditioning = hasText
    ? encodePrompts(pipeline, {
        ...{ prompts, negatives, size, isGuided, clipSkip: Number(call.clip_skip ?? 0) },
        ...others,
        sizes: sizesOf(call, ''),
        negativeSizes: sizesOf(call, 'negative_'),
      })
    : {
        context: concat([given('in.prompt_embeds'), given('in.negative_prompt_embeds')] as Tensor[], 0),
        added: {
          textEmbeds: concat(
            [given('in.pooled_prompt_embeds'), given('in.negative_pooled_prompt_embeds')] as Tensor[],
            0,
          ),
          timeIds: Array.from({ length: 2 * count }, () => spec.time_ids as number[]),
        },
      };
  const halves = (name: string, x: Tensor | undefined): void => {
    if (x === undefined || !hasText) return;
    const [positive, negative] = isGuided ? (split(x, 2, 0) as [Tensor, Tensor]) : [x];
    results.set(name, positive as Tensor);
    if (negative !== undefined) results.set(`negative_${name}`, negative);
  };
  halves('prompt_embeds', conditioning.context);
  halves('pooled_prompt_embeds', conditioning.added?.textEmbeds);

  const draws = [...withPrefix(stored, 'draw.')]
    .sort(([a], [b]) => Number(a) - Number(b))
    .map(([, x]) => inDtype(x, settings));
  let begin: { readonly original: Tensor; readonly index: number } | undefined;
  if (images.length > 0) {
    const autoencoder = model.autoencoder;
    if (autoencoder === undefined) throw new Error('image to image needs a vae');
    const pixels = await Promise.all(images.map((one) => toSigned(one, model.factor)));
    const encoded = await encodeImages(autoencoder, params.vae, inDtype(concat(pixels, 0), settings), {
      tileSize: null,
    });
    const original = await realize(autoencoder.scaleLatents(latentSample(encoded, draws[0] as Tensor)));
    begin = { original, index: beginningStep(trajectory, steps, Number(call.strength)) };
    results.set('init_latents', original);
    const { signal, noise } = trajectory.noiseScalesAt(begin.index);
    results.set('noisy_init_latents', original.mul(signal).add((draws[1] as Tensor).mul(noise)));
  }
  const first = begin?.index ?? 0;
  results.set('timesteps', tensor(trajectory.timesteps.slice(first), { dtype: settings.dtype }));

  const outputs: Tensor[] = [];
  const after: Tensor[] = [];
  const perStep = images.length > 0 ? draws.slice(2) : draws;
  let said: Tensor | undefined;
  const listening: typeof model = {
    ...model,
    predict: (...inputs) => {
      const output = model.predict(...inputs);
      // There, unconditional rows come first.
      said = isGuided ? concat((split(output, 2, 0) as [Tensor, Tensor]).toReversed(), 0) : output;
      return output;
    },
  };
  let drawn = 0;
  const final = await denoise(
    { model: listening, params },
    {
      ...{ conditioning, guidance, rescale: Number(call.guidance_rescale ?? 0), size, begin, keys: keysFor(count) },
      // What the network said travels with the state, since it is computed with the step that uses it.
      trajectory: { ...trajectory, step: (...inputs) => ({ ...trajectory.step(...inputs), said }) },
      noise: (draw) => (draw === 0 ? (start ?? (draws[1] as Tensor)) : (perStep[drawn++] as Tensor)),
      onStep: async (state) => {
        after.push(await realize(state.sample.add(0)));
        outputs.push(await realize((state as SamplerState & { readonly said: Tensor }).said.add(0)));
      },
    },
  );
  results.set('unet_out', stack(outputs, 0));
  results.set('latents_after_step', stack(after, 0));
  const image = await decodeSamples({ model, params }, final, { tileSize: null });
  results.set('image', image.div(2).add(0.5).clamp(0, 1));
  return results;
}

/** Keys that nothing draws from: noise is given. */
const keysFor = (count: number): Tensor[] => Array.from({ length: count }, (_, i) => key(i));

/** Bytes [height, width, 3] as an image [1, 3, rows, columns] in [−1, 1], its sides cut to whole latents. */
async function toSigned(bytes: Tensor, factor: number): Promise<Tensor> {
  const [height, width] = bytes.shape as readonly [number, number, number];
  const prepared = prepareWhole({ height, width, data: Uint8Array.from(await read(bytes)) }, { factor });
  return tensor(prepared.values, { shape: [1, 3, ...prepared.size] });
}
