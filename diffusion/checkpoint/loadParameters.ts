import { type PathPattern, pathMatcher } from '../../nn/index.ts';
import {
  type Device,
  defaultDevice,
  dispose,
  type FloatDType,
  flattenTree,
  isFloat,
  realize,
  replaceLeaves,
  type SafetensorsReader,
  type Shape,
  type StoredDType,
  type Tensor,
  type TensorEntry,
} from '../../tensor/index.ts';
import { differences, throwProblems } from './differences.ts';
import type { OldNames } from './oldNames.ts';

/** Options of `loadParameters`. */
export interface LoadOptions {
  /** Where the parameters are to be. Default: the default device. */
  readonly device?: Device | undefined;
  /** What they are converted to, which may depend on the dtype in the file; default: as they are stored. */
  readonly dtype?: FloatDType | ((stored: FloatDType) => FloatDType) | undefined;
  /** Tensors in the file that the model may do without, such as `text_model.embeddings.position_ids`. */
  readonly ignore?: readonly PathPattern[];
  /** What the model calls tensors that older files have under other names. Default: no name has changed. */
  readonly oldNames?: OldNames | undefined;
}

/** What floats in files become in memory. */
const floatDtypes: Readonly<Partial<Record<StoredDType, FloatDType>>> = {
  F64: 'f64',
  F32: 'f32',
  F16: 'f16',
  BF16: 'bf16',
};

/**
 * Fills a tree of parameters from a file: `template` is what `init` of a layer gives, of which only names, shapes and
 * dtypes are used. Names and shapes are checked before anything is read. Then tensors are read one by one, all through the
 * same memory on the host, which is as large as the largest.
 * @throws FormatError that lists the tensors that are missing, unexpected, of another shape or kind, or of a dtype that the
 * device does not have: up to 20 of each.
 */
export async function loadParameters<T>(
  template: T,
  reader: SafetensorsReader,
  { device: asked, dtype, ignore = [], oldNames = () => undefined }: LoadOptions = {},
): Promise<T> {
  const device = asked ?? (await defaultDevice());
  const { wanted, found, stored } = await matchEntries(template, reader, oldNames);
  checkEntries(wanted, found, device, reader.name, pathMatcher(...ignore));

  // No dtype in memory takes more than four bytes for each of the file's: that is U8, which is read as u32.
  const bytesOf = (name: string) => (found.get(name)?.byteLength ?? 0) * (floatDtypes[dtypeIn(found, name)] ? 1 : 4);
  const scratch = new ArrayBuffer(Math.max(0, ...[...wanted.keys()].map(bytesOf)));
  const loaded: Tensor[] = [];
  try {
    for (const [name, tensor] of wanted) {
      const read = await reader.read(stored.get(name) ?? name, { device, scratch });
      const to = typeof dtype === 'function' && isFloat(read.dtype) ? dtype(read.dtype) : dtype;
      const kept = typeof to !== 'string' || !isFloat(tensor.dtype) ? read : read.cast(to);
      loaded.push(kept === read ? read : await realize(kept, { donate: read, device }));
    }
  } catch (error) {
    dispose(loaded);
    throw error;
  }
  return replaceLeaves(template, loaded);
}

/**
 * Checks by a file's header that it holds a tree of parameters, without reading numbers.
 * @throws FormatError as `loadParameters`, but for what depends on the device.
 */
export async function checkParameters(
  template: unknown,
  reader: SafetensorsReader,
  { ignore = [], oldNames = () => undefined }: Pick<LoadOptions, 'ignore' | 'oldNames'> = {},
): Promise<void> {
  const { wanted, found } = await matchEntries(template, reader, oldNames);
  checkEntries(wanted, found, undefined, reader.name, pathMatcher(...ignore));
}

/** The tensors that a tree wants and those in a file, by the model's names, and by these the names in the file. */
async function matchEntries(template: unknown, reader: SafetensorsReader, oldNames: OldNames) {
  const wanted = new Map(flattenTree(template).map(({ path, tensor }) => [path, tensor]));
  const found = new Map<string, TensorEntry>();
  const stored = new Map<string, string>();
  const inFile = new Set(reader.names);
  for (const name of reader.names) {
    const today = wanted.has(name) ? undefined : oldNames(name);
    const own = today !== undefined && wanted.has(today) && !inFile.has(today) ? today : name;
    found.set(own, await reader.entry(name));
    stored.set(own, name);
  }
  return { wanted, found, stored };
}

const dtypeIn = (found: ReadonlyMap<string, TensorEntry>, name: string) => (found.get(name) as TensorEntry).dtype;

function checkEntries(
  wanted: ReadonlyMap<string, Tensor>,
  found: ReadonlyMap<string, TensorEntry>,
  device: Device | undefined,
  file: string,
  ignores: (name: string) => boolean,
): void {
  const shapes = (all: ReadonlyMap<string, { readonly shape: Shape }>) =>
    new Map([...all].map(([name, { shape }]) => [name, shape]));
  const floats = [...wanted].flatMap(([name, { dtype }]) => (isFloat(dtype) && found.has(name) ? [name] : []));
  const isMissing = (dtype: FloatDType | undefined) => dtype !== undefined && device?.dtypes.has(dtype) === false;
  throwProblems(`${file}: these are not the parameters of this model`, {
    ...differences(shapes(wanted), shapes(found), ignores),
    'of another kind': floats
      .filter((name) => floatDtypes[dtypeIn(found, name)] === undefined)
      .map((name) => `${name} is ${dtypeIn(found, name)}, the model has numbers with fractions`),
    [`of a dtype that the device '${device?.name}' does not have`]: floats
      .filter((name) => isMissing(floatDtypes[dtypeIn(found, name)]))
      .map((name) => `${name} is ${dtypeIn(found, name)}`),
  });
}
