import { FormatError } from '../../tensor/index.ts';

/** Which of the weights that a folder may hold. */
export interface WeightsName {
  /** `diffusion_pytorch_model`, or `model` in folders of transformers. */
  readonly stem: string;
  /** Such as `fp16`, where a folder holds the same weights in several forms. */
  readonly variant: string | undefined;
}

/** The name of one file with all weights: `stem.safetensors`, `stem.fp16.safetensors`. */
const singleName = ({ stem, variant }: WeightsName): string =>
  variant === undefined ? `${stem}.safetensors` : `${stem}.${variant}.safetensors`;

/** Indices of shards have had two names where there is a variant; transformers keeps to the second. */
const indexNames = ({ stem, variant }: WeightsName): readonly [string, ...string[]] => {
  if (variant === undefined) return [`${stem}.safetensors.index.json`];
  const names = [`${stem}.safetensors.${variant}.index.json`, `${stem}.safetensors.index.${variant}.json`] as const;
  return stem === 'model' ? [names[1], names[0]] : names;
};

const digits = (number: number): string => String(number).padStart(5, '0');

/** The names of the files that weights are written to: of the shards, of which there may be one, and of their index. */
export function namesToWrite(
  name: WeightsName,
  shards: number,
): { readonly shards: string[]; readonly index?: string } {
  if (shards === 1) return { shards: [singleName(name)] };
  const stem = singleName(name).slice(0, -'.safetensors'.length);
  return {
    shards: Array.from({ length: shards }, (_, i) => `${stem}-${digits(i + 1)}-of-${digits(shards)}.safetensors`),
    index: indexNames(name)[0],
  };
}

/** Whether a file is one of those that hold these weights, in whatever number of shards. */
export function isWeightsFile(name: WeightsName, file: string): boolean {
  const single = singleName(name);
  if (file === single || indexNames(name).includes(file)) return true;
  const stem = single.slice(0, -'.safetensors'.length);
  return file.startsWith(`${stem}-`) && /^-\d{5}-of-\d{5}\.safetensors$/.test(file.slice(stem.length));
}

/** The endings of files that look like weights, for messages. */
const looksLikeWeights = (file: string): boolean =>
  /\.(safetensors|bin|ckpt|pt|pth|msgpack|onnx)$|\.index\..*json$/.test(file);

/** The dtypes, as names of variants have them, of which a folder holds weights under this stem. */
const dtypesOf = (stem: string, files: readonly string[]): string[] =>
  ['fp16', 'bf16', 'fp32'].filter((variant) => namesToRead({ stem, variant }).some((name) => files.includes(name)));

/** The names under which weights may be found: of one file, or of an index. */
const namesToRead = (name: WeightsName): readonly string[] => [singleName(name), ...indexNames(name)];

/** Whether a folder has weights of a variant, under whatever stem. */
export const hasVariant = (files: readonly string[], variant: string): boolean =>
  files.some((file) => file.includes('.safetensors') && file.split(/[.-]/).slice(1).includes(variant));

/**
 * The file to open, an index or a single file, among the files of a folder. Where no variant is asked for, and all weights that are
 * there are of one dtype that names have, such as fp16, those are meant.
 * @throws FormatError where there is none, with what there is instead, or where there are two.
 */
export function chooseWeights(name: WeightsName, files: readonly string[], folder: string): string {
  const wanted = namesToRead(name);
  const found = wanted.filter((file) => files.includes(file));
  const [first, ...others] = found;
  if (first !== undefined && others.length === 0) return first;
  if (first !== undefined)
    throw new FormatError(`${folder}: there are both ${found.join(' and ')}; which of them is right? Remove the other`);
  const weights = files.filter(looksLikeWeights);
  const variants = name.variant === undefined ? dtypesOf(name.stem, files) : [];
  const [variant] = variants;
  if (variant !== undefined && weights.every((file) => file.split(/[.-]/).includes(variant)))
    return chooseWeights({ ...name, variant }, files, folder);
  const shown =
    weights.length === 0 ? 'no weights' : `only ${weights.slice(0, 20).join(', ')}${weights.length > 20 ? ', …' : ''}`;
  const pickled =
    weights.some((file) => /\.(bin|ckpt|pt|pth)$/.test(file)) && !weights.some((file) => /safetensors/.test(file));
  const choice = variants.length > 1 ? `; give the variant that is meant: ${variants.join(' or ')}` : '';
  const hint = pickled ? '; files that are not safetensors are not read, since they can hold programs' : '';
  throw new FormatError(`${folder}: there is none of ${wanted.join(', ')}; it holds ${shown}${choice}${hint}`);
}

/** Cuts a list into runs that take at most `limit` bytes each, as far as single items do (the rule of Hugging Face's libraries). */
export function cutIntoShards<T>(items: readonly T[], bytes: (item: T) => number, limit: number): T[][] {
  const shards: T[][] = [[]];
  let size = 0;
  for (const item of items) {
    const own = bytes(item);
    if (size > 0 && size + own > limit) {
      shards.push([]);
      size = 0;
    }
    shards.at(-1)?.push(item);
    size += own;
  }
  return shards;
}
