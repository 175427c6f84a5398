import { FormatError, item, type SafetensorsReader, type Tensor } from '../../tensor/index.ts';
import { type LoraAdapter, type LoraAdapters, loraScale } from './adapter.ts';
import { type AlphaOf, alphasOf } from './metadata.ts';
import { otherMethods } from './methods.ts';
import { dottedLayers, type LoraLayerOf, type LoraTensorName, loraName, parseLoraName } from './names.ts';
import { type AdapterShapes, adaptableWeights, adapterProblems, besideWeight, listed } from './problems.ts';

/** Where the parts of an adapter are in a file. */
type Places = Partial<Record<LoraTensorName['part'], string>>;
/** Where the adapters of a model are, by the paths of their layers. */
type ModelPlaces = ReadonlyMap<string, Places>;

/** Options of reading adapters. */
export interface LoraFileOptions {
  /** Which layer a name means, once the end that says A or B is cut off. Default: paths behind the name of a model. */
  readonly layerOf?: LoraLayerOf;
  /** What the adapters are for, as errors name it: 'the model in DIR'. */
  readonly target?: string;
}

/** A file of adapters, of which only the names and shapes have been read. */
export interface LoraFile<Model extends string> {
  /** The models that the file has adapters of. */
  readonly models: readonly Model[];
  /** Reads the adapters of one model, in their stored dtypes. */
  read(model: Model): Promise<LoraAdapters>;
}

/**
 * Finds the adapters of models in a file, by the names that diffusers gives the models: `openLora(file, { unet: params })`. The
 * parameters tell which layers there are; shapes suffice, and nothing of them is read. Names may be of any of the kinds that
 * `parseLoraName` knows; those without the name of a model in front are the `unet`'s. The reader must stay open.
 * @throws FormatError that lists every name that is not understood, every half adapter, every layer that is not in the
 * model and every shape that does not fit, or names the method that the file is of instead
 */
export async function openLora<M extends Readonly<Record<string, unknown>>>(
  reader: SafetensorsReader,
  models: M,
  { layerOf = dottedLayers(Object.keys(models)), target }: LoraFileOptions = {},
): Promise<LoraFile<Extract<keyof M, string>>> {
  const { lines: problems, of: otherwise } = otherMethods(reader.names);
  const found = new Map(Object.keys(models).map((model) => [model, new Map<string, Places>()]));
  for (const name of reader.names) {
    if (otherwise.has(name)) continue;
    const parsed = parseLoraName(name);
    const layer = parsed && layerOf(parsed.layer);
    const layers = layer && found.get(layer.model);
    if (parsed === undefined || layer === undefined || layers === undefined) {
      problems.push(
        parsed === undefined
          ? `'${name}' is not the name of a part of an adapter`
          : `'${name}' belongs to no layer of ${Object.keys(models).join(' or ')}`,
      );
      continue;
    }
    const places = layers.get(layer.path) ?? {};
    const other = places[parsed.part];
    if (other !== undefined) problems.push(`'${other}' and '${name}' are two names of one tensor`);
    layers.set(layer.path, { ...places, [parsed.part]: name });
  }
  if (reader.names.length === 0) problems.push('the file holds no tensors');
  // Of another method, layers have halves of LoRA at most.
  if (otherwise.size === 0)
    for (const [model, layers] of found) problems.push(...(await modelProblems(reader, model, models[model], layers)));
  if (problems.length > 0)
    throw new FormatError(
      `${reader.name}: ${target === undefined ? '' : `cannot be applied to ${target}: `}${listed(problems)}`,
    );
  const alphaInMetadata = alphasOf(reader.metadata, reader.name);
  return {
    models: [...found].flatMap(([model, layers]) => (layers.size > 0 ? [model as Extract<keyof M, string>] : [])),
    read: (model) => readAdapters(reader, model, models[model], found.get(model) ?? new Map(), alphaInMetadata),
  };
}

/**
 * Reads adapters for models: see `openLora`. alpha is what the file says: a tensor `<layer>.alpha`, or the metadata; otherwise it
 * is r.
 * @throws FormatError as `openLora` does
 */
export async function readLora<M extends Readonly<Record<string, unknown>>>(
  reader: SafetensorsReader,
  models: M,
  options: LoraFileOptions = {},
): Promise<{ [Model in keyof M]: LoraAdapters }> {
  const file = await openLora(reader, models, options);
  const adapters: [string, LoraAdapters][] = [];
  for (const model of Object.keys(models) as Extract<keyof M, string>[]) adapters.push([model, await file.read(model)]);
  return Object.fromEntries(adapters) as { [Model in keyof M]: LoraAdapters };
}

async function readAdapters(
  reader: SafetensorsReader,
  model: string,
  params: unknown,
  layers: ModelPlaces,
  alphaInMetadata: AlphaOf,
): Promise<LoraAdapters> {
  const weights = adaptableWeights(params);
  const own: [string, LoraAdapter][] = [];
  // The metadata may have another name for the model than `model`: the one in front of its tensors.
  const inMetadata = (name: string, path: string): number | undefined =>
    alphaInMetadata(name.slice(0, name.indexOf('.')), path) ?? alphaInMetadata(model, path);
  for (const [path, places] of layers) {
    const [a, b] = [await reader.read(places.down as string), await reader.read(places.up as string)];
    const { down, up } = besideWeight(weights.get(path)?.shape.length ?? a.rank, { down: a, up: b });
    const stored = places.alpha === undefined ? undefined : await item(await reader.read(places.alpha));
    const fits = (one: Tensor, shape: Tensor['shape']): Tensor =>
      one.rank === shape.length ? one : one.reshape(shape);
    own.push([
      path,
      {
        down: fits(a, down.shape),
        up: fits(b, up.shape),
        alpha: stored ?? inMetadata(places.down as string, path) ?? (a.shape[0] as number),
      },
    ]);
  }
  return Object.fromEntries(own);
}

/** What is wrong with what a file has for one model. */
async function modelProblems(
  reader: SafetensorsReader,
  model: string,
  params: unknown,
  layers: ModelPlaces,
): Promise<string[]> {
  const problems: string[] = [];
  const shapes: [string, AdapterShapes][] = [];
  const weights = adaptableWeights(params);
  for (const [path, { down, up, alpha }] of layers) {
    if (down === undefined || up === undefined) {
      const [here, missing] = down === undefined ? ['B (up)', 'A (down)'] : ['A (down)', 'B (up)'];
      problems.push(
        down === up ? `'${path}' has an alpha, but no A (down) and B (up)` : `'${path}' has ${here}, but no ${missing}`,
      );
      continue;
    }
    const stored = { down: await reader.entry(down), up: await reader.entry(up) };
    shapes.push([path, besideWeight(weights.get(path)?.shape.length ?? stored.down.shape.length, stored)]);
    const { shape } = alpha === undefined ? { shape: [] } : await reader.entry(alpha);
    if (shape.some((size) => size !== 1)) problems.push(`'${alpha}' must be one number, not [${shape.join(', ')}]`);
  }
  return [...problems, ...adapterProblems(params, Object.fromEntries(shapes))].map((problem) => `${model}: ${problem}`);
}

/**
 * Adapters of models, such as `{ unet: adapters }`, as the tensors of a `pytorch_lora_weights.safetensors`, with PEFT's names.
 * These have no place for alpha: readers take it to be r. So where it is another number, B is multiplied by alpha/r, and
 * the file means the same to every reader.
 */
export function loraTensors(models: Readonly<Record<string, LoraAdapters>>): Record<string, Tensor> {
  return Object.fromEntries(
    Object.entries(models).flatMap(([model, adapters]) =>
      Object.entries(adapters).flatMap(([path, adapter]) => {
        const scale = loraScale(adapter);
        return [
          [loraName(model, path, 'down'), adapter.down],
          [loraName(model, path, 'up'), scale === 1 ? adapter.up : adapter.up.mul(scale)],
        ];
      }),
    ),
  );
}
