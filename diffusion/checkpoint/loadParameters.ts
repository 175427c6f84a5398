import { type PathPattern, pathMatcher } from '../../nn/index.ts';
import {
  type Device,
  dispose,
  type FloatDType,
  flattenTree,
  isFloat,
  replaceLeaves,
  realize,
  type SafetensorsReader,
  type Shape,
  type StoredDType,
  type Tensor,
} from '../../tensor/index.ts';
import { differences, throwProblems } from './differences.ts';

export interface LoadOptions {
  /** Where the parameters are to be. Default: the default device. */
  readonly device?: Device | undefined;
  /** What they are converted to; default: as they are stored. */
  readonly dtype?: FloatDType | undefined;
  /** Tensors in the file that the model may do without, such as `text_model.embeddings.position_ids`. */
  readonly ignore?: readonly PathPattern[];
}

const storedFloats: ReadonlySet<StoredDType> = new Set(['F64', 'F32', 'F16', 'BF16']);

/**
 * Fills a tree of parameters from a file: `template` is what `init` of a layer gives, of which only names, shapes and
 * dtypes are used. Names and shapes are checked before anything is read. Then each tensor is read, brought to the device
 * and let go before the next one is read, so that the host never holds two.
 * @throws FormatError that lists the tensors that are missing, unexpected, or of another shape or kind: up to 20 of each.
 */
export async function loadParameters<T>(
  template: T,
  reader: SafetensorsReader,
  { device, dtype, ignore = [] }: LoadOptions = {},
): Promise<T> {
  const wanted = flattenTree(template);
  const found = new Map<string, Shape>();
  const odd: string[] = [];
  const floats = new Set(wanted.filter(({ tensor }) => isFloat(tensor.dtype)).map(({ path }) => path));
  for (const name of reader.names) {
    const { shape, dtype: stored } = await reader.entry(name);
    found.set(name, shape);
    if (floats.has(name) && !storedFloats.has(stored)) odd.push(`${name} is ${stored}, the model has numbers with fractions`);
  }
  throwProblems(`${reader.name}: these are not the parameters of this model`, {
    ...differences(new Map(wanted.map(({ path, tensor }) => [path, tensor.shape])), found, pathMatcher(...ignore)),
    'of another kind': odd,
  });

  const loaded: Tensor[] = [];
  try {
    for (const { path, tensor } of wanted) {
      const stored = await reader.read(path);
      const kept = dtype === undefined || !isFloat(tensor.dtype) ? stored : stored.cast(dtype);
      loaded.push(await realize(kept, { donate: stored, ...(device === undefined ? {} : { device }) }));
    }
  } catch (error) {
    dispose(loaded);
    throw error;
  }
  return replaceLeaves(template, loaded);
}
