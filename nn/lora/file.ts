import { FormatError, item, type SafetensorsReader, type Tensor } from '../../tensor/index.ts';
import { type LoraAdapter, type LoraAdapters, loraScale } from './adapter.ts';
import { alphasOf } from './metadata.ts';
import { type LoraTensorName, loraName, parseLoraName } from './names.ts';
import { type AdapterShapes, adapterProblems, listed } from './problems.ts';

/** Where the parts of an adapter are in a file. */
type Places = Partial<Record<LoraTensorName['part'], string>>;

/**
 * Reads adapters for models, by the names that diffusers gives the models: `readLora(file, { unet: params })`. The parameters
 * tell which layers there are; shapes suffice, and nothing of them is read. Names may be of any of the three kinds
 * (`parseLoraName`); those without the name of a model in front are the `unet`'s. alpha is what the file says: a tensor
 * `<layer>.alpha`, or the metadata; otherwise it is r. Adapters keep their stored dtypes.
 * @throws FormatError that lists every name that is not understood, every half adapter, every layer that is not in the
 * model and every shape that does not fit.
 */
export async function readLora<M extends Readonly<Record<string, unknown>>>(
  reader: SafetensorsReader,
  models: M,
): Promise<{ [Model in keyof M]: LoraAdapters }> {
  const problems: string[] = [];
  const found = new Map(Object.keys(models).map((model) => [model, new Map<string, Places>()]));
  for (const name of reader.names) {
    const [front = ''] = name.split('.');
    const hasFront = found.has(front);
    const model = hasFront ? front : 'unet';
    const layers = found.get(model);
    const parsed = parseLoraName(hasFront ? name.slice(front.length + 1) : name);
    if (parsed === undefined || layers === undefined) {
      problems.push(`'${name}' is not the name of a part of an adapter of ${Object.keys(models).join(' or ')}`);
      continue;
    }
    const places = layers.get(parsed.path) ?? {};
    const other = places[parsed.part];
    if (other !== undefined) problems.push(`'${other}' and '${name}' are two names of one tensor`);
    layers.set(parsed.path, { ...places, [parsed.part]: name });
  }
  if (reader.names.length === 0) problems.push('the file holds no tensors');
  for (const [model, layers] of found) problems.push(...(await modelProblems(reader, model, models[model], layers)));
  if (problems.length > 0) throw new FormatError(`${reader.name}: ${listed(problems)}`);

  const alphaInMetadata = alphasOf(reader.metadata, reader.name);
  const adapters: [string, LoraAdapters][] = [];
  for (const [model, layers] of found) {
    const own: [string, LoraAdapter][] = [];
    for (const [path, places] of layers) {
      const down = await reader.read(places.down as string);
      const up = await reader.read(places.up as string);
      const stored = places.alpha === undefined ? undefined : await item(await reader.read(places.alpha));
      own.push([path, { down, up, alpha: stored ?? alphaInMetadata(model, path) ?? (down.shape[0] as number) }]);
    }
    adapters.push([model, Object.fromEntries(own)]);
  }
  return Object.fromEntries(adapters) as { [Model in keyof M]: LoraAdapters };
}

/** What is wrong with what a file has for one model. */
async function modelProblems(
  reader: SafetensorsReader,
  model: string,
  params: unknown,
  layers: ReadonlyMap<string, Places>,
): Promise<string[]> {
  const problems: string[] = [];
  const shapes: [string, AdapterShapes][] = [];
  for (const [path, { down, up, alpha }] of layers) {
    if (down === undefined || up === undefined) {
      const [here, missing] = down === undefined ? ['B (up)', 'A (down)'] : ['A (down)', 'B (up)'];
      problems.push(
        down === up ? `'${path}' has an alpha, but no A (down) and B (up)` : `'${path}' has ${here}, but no ${missing}`,
      );
      continue;
    }
    shapes.push([path, { down: await reader.entry(down), up: await reader.entry(up) }]);
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
