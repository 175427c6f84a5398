import { FormatError } from '../../tensor/index.ts';

/** The alpha of a model's layer, where a file's metadata say. */
export type AlphaOf = (model: string, path: string) => number | undefined;

/**
 * The alphas that newer versions of diffusers write into a file's metadata, in `lora_adapter_metadata`: a JSON object with
 * `unet.lora_alpha` for all layers of a model, and `unet.alpha_pattern` for some, by the ends of their paths.
 * @throws FormatError if it cannot be understood, or asks for another method than plain LoRA.
 */
export function alphasOf(metadata: ReadonlyMap<string, unknown>, file: string): AlphaOf {
  const text = metadata.get('lora_adapter_metadata');
  if (typeof text !== 'string') return () => undefined;
  const json = parse(text);
  if (!isObject(json)) throw new FormatError(`${file}: the metadata lora_adapter_metadata is not a JSON object`);
  for (const [name, value] of Object.entries(json)) {
    const field = name.slice(name.indexOf('.') + 1);
    const isRefused = Object.hasOwn(refused, field) && refused[field]?.(value);
    if (isRefused)
      throw new FormatError(`${file}: the metadata ask for ${name} = ${JSON.stringify(value)}, which is not supported`);
  }
  return (model, path) => {
    const patterns = (json[`${model}.alpha_pattern`] ?? {}) as Readonly<Record<string, number>>;
    const own = Object.entries(patterns).find(([end]) => `.${path}`.endsWith(`.${end.replace(/^\^/, '')}`));
    return own?.[1] ?? (json[`${model}.lora_alpha`] as number | undefined);
  };
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const isNumber = (value: unknown): boolean => typeof value === 'number' && Number.isFinite(value);

/** Fields that matter to what adapters compute, and whether a value of theirs is more than is understood here. */
const refused: Readonly<Record<string, (value: unknown) => boolean>> = {
  use_dora: (value) => value === true,
  use_rslora: (value) => value === true,
  lora_alpha: (value) => !isNumber(value),
  // PEFT has regular expressions here; what diffusers writes is plain paths.
  alpha_pattern: (value) =>
    !isObject(value) || Object.entries(value).some(([end, alpha]) => !/^\^?[\w.]+$/.test(end) || !isNumber(alpha)),
};

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
