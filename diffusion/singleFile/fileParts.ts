import {
  FormatError,
  flattenTree,
  key,
  realize,
  type SafetensorsFile,
  type SafetensorsReader,
  type StoredDType,
  type Tensor,
} from '../../tensor/index.ts';
import { autoencoderKL } from '../autoencoder/autoencoderKL.ts';
import { differences, throwProblems } from '../checkpoint/differences.ts';
import type { JsonObject } from '../checkpoint/json.ts';
import type { PipelinePart } from '../pipeline/stages.ts';
import { clipTextModel } from '../text/clipTextModel.ts';
import { unet2dConditionModel } from '../unet/unet2dConditionModel.ts';
import { type KeyTable, prefixed } from './keyTable.ts';
import { emaKey, isBookkeeping, type TextPlace, unetPrefix, vaePrefix } from './layouts.ts';
import { entriesIn, foundFor, type Places, placesOf, type Shapes, tensorsFor } from './places.ts';
import { textKeys } from './textKeys.ts';
import { unetKeysOf } from './unetKeys.ts';
import { vaeKeysOf } from './vaeKeys.ts';

/** A part of a pipeline in a single file. */
export interface FilePart {
  readonly part: PipelinePart;
  readonly config: JsonObject;
  /** Parameters of the part's model, lazy: of which names, shapes and dtypes count. */
  readonly template: unknown;
  readonly shapes: Shapes;
  readonly places: Places;
}

const partOf = (part: PipelinePart, config: JsonObject, template: unknown, table: KeyTable): FilePart => {
  const shapes = new Map(flattenTree(template).map(({ path, tensor }) => [path, tensor.shape]));
  return { part, config, template, shapes, places: placesOf(shapes.keys(), table, `the ${part}`) };
};

/**
 * Where a single file holds the parameters of a UNet; with `ema`, those of their average; with `hasGaps`, in files whose blocks are
 * numbered with gaps.
 * @throws FormatError where the original layout has no such UNet
 */
export function unetPart(config: JsonObject, { ema = false, hasGaps = false } = {}): FilePart {
  const table = unetKeysOf(config, hasGaps);
  if (table === undefined)
    throw new FormatError(
      'the unet: the layout of single files has no place for other numbers of residual blocks on each level (layers_per_block); ' +
        'it is saved as a folder only',
    );
  const part = partOf('unet', config, unet2dConditionModel(config).init(key(0)), prefixed(unetPrefix, table));
  if (!ema) return part;
  const places = [...part.places].map(([name, place]) => [name, { ...place, key: emaKey(place.key) }] as const);
  return { ...part, places: new Map(places) };
}

/** Where a file holds the parameters of an AutoencoderKL; its tensors have a prefix in checkpoints. */
export const vaePart = (config: JsonObject, prefix = vaePrefix): FilePart =>
  partOf('vae', config, autoencoderKL(config).init(key(0)), prefixed(prefix, vaeKeysOf(config)));

/** Where a single file holds the parameters of a text encoder. */
export const textPart = (config: JsonObject, { part, prefix, layout }: TextPlace): FilePart =>
  partOf(part, config, clipTextModel(config).init(key(0)), prefixed(prefix, textKeys[layout]));

/** The tensors that a file must hold for some parts. */
export const tensorsOf = (parts: readonly FilePart[]): Shapes =>
  new Map(parts.flatMap(({ places, shapes }) => [...tensorsFor(places, shapes)]));

/**
 * Whether a tensor of OpenCLIP's is one that a text encoder does without: the layer behind the last that is used, as Stable
 * Diffusion 2 looks at the last but one, and the projection where nothing is projected.
 */
function isSpare(name: string, { places, shapes }: FilePart, { prefix, layout }: TextPlace): boolean {
  if (layout !== 'OpenCLIP' || !name.startsWith(prefix)) return false;
  const layers = [...shapes.keys()].filter((one) => one.endsWith('.self_attn.q_proj.weight')).length;
  return (
    name.startsWith(`${prefix}transformer.resblocks.${layers}.`) ||
    (name === `${prefix}text_projection` && !places.has('text_projection.weight'))
  );
}

/**
 * Compares the tensors of a file with those of its parts; `title` says what they are not, where they are not.
 * @throws FormatError that lists the tensors that are missing, unexpected or of another shape, by their names in the file
 */
export function checkParts(
  { entries }: Pick<SafetensorsFile, 'entries'>,
  parts: readonly FilePart[],
  {
    title,
    texts,
    ignores = () => false,
  }: {
    readonly title: string;
    readonly texts: readonly TextPlace[];
    /** Which tensors are of parts that are taken from elsewhere. */
    readonly ignores?: (name: string) => boolean;
  },
): void {
  const found = new Map([...entries].map(([name, { shape }]) => [name, shape]));
  for (const { places } of parts) for (const [name, shape] of foundFor(places, entries)) found.set(name, shape);
  const spare = texts.flatMap((place) => {
    const part = parts.find((one) => one.part === place.part);
    return part === undefined ? [] : [(name: string) => isSpare(name, part, place)];
  });
  throwProblems(
    title,
    differences(
      tensorsOf(parts),
      found,
      (name) => isBookkeeping(name) || ignores(name) || spare.some((test) => test(name)),
    ),
  );
}

/** What weights may be stored in. */
const readable: readonly StoredDType[] = ['F64', 'F32', 'F16', 'BF16'];

/**
 * Refuses weights in dtypes that are not read, such as those of 8 bits.
 * @throws FormatError that says which, and of how many tensors
 */
export function checkDtypes(
  { name, entries }: Pick<SafetensorsFile, 'name' | 'entries'>,
  parts: readonly FilePart[],
): void {
  const others = [...tensorsOf(parts).keys()].flatMap((key) => {
    const dtype = entries.get(key)?.dtype;
    return dtype === undefined || readable.includes(dtype) ? [] : [{ key, dtype }];
  });
  const [first] = others;
  if (first === undefined) return;
  const dtypes = [...new Set(others.map(({ dtype }) => dtype))].join(', ');
  throw new FormatError(
    `${name}: ${others.length} of its weights are in ${dtypes}, such as ${first.key}; weights are read in F32, F16, BF16 and F64: take ` +
      'the file of the same model in one of these',
  );
}

/** The parameters of a part, under their own names, in a file that holds it; closing it closes the file. */
export function partReader(file: SafetensorsFile, { places, shapes }: FilePart): SafetensorsReader {
  const view = file.view(entriesIn(places, shapes, file));
  const isTransposed = (name: string): boolean => places.get(name)?.form === 'transposed';
  const read: SafetensorsReader['read'] = async (name, through) => {
    const stored = await view.read(name, through);
    if (!isTransposed(name)) return stored;
    return realize(stored.permute([1, 0]), { donate: stored, ...(through && { device: through.device }) });
  };
  return {
    ...view,
    entry: async (name) => {
      const entry = await view.entry(name);
      return isTransposed(name) ? { ...entry, shape: entry.shape.toReversed() } : entry;
    },
    read,
    readAll: async () => {
      const tensors = new Map<string, Tensor>();
      for (const name of view.names) tensors.set(name, await read(name));
      return tensors;
    },
  };
}
