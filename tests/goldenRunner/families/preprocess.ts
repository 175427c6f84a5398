import { imageOf as imageFrom } from '../../../dpo/data/image.ts';
import { prepareWhole } from '../../../dpo/data/preprocess.ts';
import { type ResizeFilter, resizeWindow } from '../../../dpo/data/resize.ts';
import { type Image, prepareImage, type Transform } from '../../../dpo/index.ts';
import { dispose, read, type Tensor, tensor } from '../../../tensor/index.ts';
import { ofCase, readArchive } from '../archive.ts';
import { isObject, type JsonObject, Params } from '../params.ts';
import { compareResults } from '../results.ts';
import {
  type CaseReport,
  type Family,
  type GoldenFile,
  type LeftOut,
  messageOf,
  type Settings,
  type UnitReport,
} from './family.ts';

/** What becomes of images before training: resizing, cropping, mirroring, as Pillow and torchvision do them. */
export const preprocess: Family = {
  name: 'preprocess',
  claim: (files) =>
    files.filter(describesPreprocessing).flatMap((file) => {
      const tensors = file.path.replace(/\.json$/, '.safetensors');
      if (!files.some(({ path }) => path === tensors)) return [];
      return [{ files: [file.path, tensors], check: (settings) => checkFile(file, tensors, settings) }];
    }),
};

const casesOf = ({ json }: GoldenFile): readonly JsonObject[] =>
  isObject(json) && Array.isArray(json.cases) ? json.cases.filter(isObject) : [];

const describesPreprocessing = (file: GoldenFile): boolean => {
  const cases = casesOf(file);
  return cases.length > 0 && cases.every(({ outputs }) => isObject(outputs));
};

type Tensors = ReadonlyMap<string, Tensor>;

/** What was computed of a case, with what else is wrong; or why nothing was. */
type Computed = { readonly results: Tensors; readonly problems: readonly string[] } | string;

async function checkFile(file: GoldenFile, path: string, settings: Settings): Promise<UnitReport> {
  const stored = await readArchive(path);
  const strays = new Set([...stored.keys()].filter((name) => !name.startsWith('image.')));
  const names = casesOf(file).map((spec) => String(spec.name));
  const cases: CaseReport[] = [];
  const leftOut: LeftOut[] = [];
  let expectedTensors = 0;
  for (const spec of casesOf(file)) {
    const name = String(spec.name);
    const expected = ofCase(stored, name, names);
    for (const key of expected.keys()) strays.delete(`${name}.${key}`);
    const one = { file: file.path, name };
    try {
      const computed = await compute(spec, stored, expected, settings);
      if (typeof computed === 'string') {
        leftOut.push({ ...one, reason: computed, tensors: expected.size });
        continue;
      }
      const { results, problems } = computed;
      const missing = [...expected.keys()].filter((key) => !results.has(key));
      // Bytes are equal; what is made of them in float32 has the rounding of a number near 1, some steps of it.
      const comparisons = await compareResults(results, expected, () => ({ bound: 1e-6, absolute: true }), settings);
      cases.push({
        ...one,
        comparisons,
        problems: [...problems, ...missing.map((key) => `nothing was computed for '${key}'`)],
      });
    } catch (error) {
      cases.push({ ...one, comparisons: [], problems: [messageOf(error)] });
    }
    expectedTensors += expected.size;
  }
  if (strays.size > 0) {
    const problems = [...strays].map((name) => `the tensor '${name}' belongs to no case`);
    cases.push({ file: file.path, name: '(file)', problems, comparisons: [] });
  }
  dispose([...stored.values()]);
  return { expectedTensors, cases, leftOut };
}

async function compute(spec: JsonObject, stored: Tensors, expected: Tensors, settings: Settings): Promise<Computed> {
  const { name: _name, outputs: _outputs, ...rest } = spec;
  const fields = new Params(rest);
  if (fields.has('mode')) return 'what decodes files gives RGB';
  if (expected.has('input') && expected.has('bytes')) return ofPostprocessing(expected, fields, settings);
  if (fields.has('vae_scale_factor')) {
    const [width, height] = [rest.width, rest.height];
    const size = typeof height === 'number' && typeof width === 'number' ? ([height, width] as const) : undefined;
    const image = await imageOf(stored, fields.text('image'));
    const prepared = prepareWhole(image, { factor: Number(rest.vae_scale_factor), size });
    const values = tensor(prepared.values, { shape: [3, ...prepared.size] }).cast(settings.dtype);
    return { results: new Map([['tensor', values]]), problems: [] };
  }
  if (!fields.has('filter')) return 'CLIP’s preprocessing of images is not in the library';
  const filter = fields.text('filter') as ResizeFilter;
  if (filter !== 'bilinear' && !fields.has('width'))
    return `the filter '${filter}' is not that of training, which is bilinear`;
  const image = await imageOf(stored, fields.text('image'));
  const results = new Map<string, Tensor>();
  const problems: string[] = [];
  const bytes = (name: string, planes: Float32Array, rows: number, columns: number): void => {
    const dtype = expected.get(name)?.dtype;
    if (dtype !== undefined) results.set(name, tensor(interleaved(planes), { shape: [rows, columns, 3], dtype }));
  };
  const resize = (name: string, height: number, width: number): void =>
    bytes(
      name,
      resizeWindow(image, { height, width, top: 0, left: 0, rows: height, columns: width }, filter),
      height,
      width,
    );

  if (fields.has('width')) {
    resize('out', fields.integer('height'), fields.integer('width'));
  } else {
    const [size, crop] = [fields.integer('size'), fields.integer('crop')];
    const [height = 0, width = 0] = expected.get('resized')?.shape ?? [];
    if (size !== crop) return 'the library resizes to the size of the crop, not to another';
    resize('resized', height, width);
    const prepared = (name: string, place: readonly number[] | undefined, transform: Transform): Float32Array => {
      const { values, timeIds } = prepareImage(image, [crop, crop], transform);
      const found = timeIds.slice(2, 4);
      if (place !== undefined && found.join() !== place.join())
        problems.push(`${name} begins at ${found.join(', ')}, not ${place.join(', ')}`);
      bytes(
        name,
        values.map((value) => Math.round((value + 1) * 127.5)),
        crop,
        crop,
      );
      return values;
    };
    // A place among all those that are possible along an axis, as a draw gives it.
    const at = (start: number, side: number): number => (start + 0.25) / (side - crop + 1);
    const centre = fields.has('crop_top_left') ? fields.integers('crop_top_left') : undefined;
    prepared('cropped', centre, { across: 0.5, down: 0.5, flip: false });
    const [top = 0, left = 0] = centre ?? [];
    // The reference mirrors what it cropped; here an image is mirrored first, and the place counts from its other side.
    const mirrored = { across: at(width - crop - left, width), down: at(top, height), flip: true };
    const values = centre && prepared('flipped', [top, width - crop - left], mirrored);
    if (values && expected.has('tensor'))
      results.set('tensor', tensor(values, { shape: [3, crop, crop] }).cast(settings.dtype));
    const random = fields.integers('random_crop_top_left', []);
    const [randomTop = 0, randomLeft = 0] = random;
    if (random.length === 2)
      prepared('random_crop', random, { across: at(randomLeft, width), down: at(randomTop, height), flip: false });
  }
  problems.push(...fields.unread().map((name) => `'${name}' in the case is not understood`));
  return { results, problems };
}

/** Floats as bytes; the input is given. */
async function ofPostprocessing(expected: Tensors, fields: Params, { dtype }: Settings): Promise<Computed> {
  const input = expected.get('input') as Tensor;
  const [, rows = 0, columns = 0] = input.shape;
  const { data } = imageFrom(await read(input), 0, [rows, columns]);
  const unit = input.div(2).add(0.5).clamp(0, 1).permute([1, 2, 0]);
  const bytes = tensor(Array.from(data), { shape: [rows, columns, 3], dtype: (expected.get('bytes') as Tensor).dtype });
  fields.text('note');
  const results = new Map([
    ['input', input.cast(dtype)],
    ['image', unit.cast(dtype)],
    ['bytes', bytes],
  ]);
  return { results, problems: fields.unread().map((name) => `'${name}' in the case is not understood`) };
}

async function imageOf(stored: Tensors, name: string): Promise<Image> {
  const found = stored.get(`image.${name}`);
  if (found === undefined) throw new Error(`there is no image '${name}'`);
  const [height = 0, width = 0] = found.shape;
  return { height, width, data: Uint8Array.from(await read(found), Number) };
}

/** Pixels [height, width, 3] of planes [3, height, width]. */
const interleaved = (planes: Float32Array): number[] =>
  Array.from(planes, (_, i) => planes[(i % 3) * (planes.length / 3) + Math.floor(i / 3)] as number);
