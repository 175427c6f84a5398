import type { Field } from '../../diffusion/index.ts';

/** Upper limits, far above useful values: a larger number is a typing error that would exhaust memory. */
export const upperLimits = { batch: 65_536, count: 1_000_000, draws: 10_000, samplingSteps: 10_000 } as const;

/** A number in the closed interval [from, to]. */
export const numberFrom =
  (fallback: number, from: number, to = Number.POSITIVE_INFINITY): Field<number> =>
  (value) => {
    if (value === undefined) return { value: fallback };
    const isWithin = typeof value === 'number' && Number.isFinite(value) && value >= from && value <= to;
    return isWithin ? { value } : { problem: `must be a number ${range(from, to)}` };
  };

/** A number above 0. */
export const positive =
  (fallback: number): Field<number> =>
  (value) => {
    if (value === undefined) return { value: fallback };
    const isPositive = typeof value === 'number' && Number.isFinite(value) && value > 0;
    return isPositive ? { value } : { problem: 'must be a number above 0' };
  };

/** An integer in the closed interval [from, to]. */
export const wholeFrom =
  (fallback: number, from: number, to = Number.MAX_SAFE_INTEGER): Field<number> =>
  (value) => {
    if (value === undefined) return { value: fallback };
    const isWhole = Number.isSafeInteger(value) && (value as number) >= from && (value as number) <= to;
    return isWhole ? { value: value as number } : { problem: `must be a whole number ${range(from, to)}` };
  };

/** The given field, or null, which is the default. */
export const optional =
  <T>(field: Field<T>): Field<T | null> =>
  (value) => {
    if (value === undefined || value === null) return { value: null };
    const result = field(value);
    return 'value' in result ? result : { problem: `${result.problem}, or null` };
  };

/** A required string that is not empty. */
export const neededText: Field<string> = (value) =>
  typeof value === 'string' && value !== ''
    ? { value }
    : { problem: value === undefined ? 'must be given' : 'must be a text that is not empty' };

/** The required path of a PNG file to write. Its name ends with .png or has no extension: any other would be wrong. */
export const pngFile: Field<string> = (value) => {
  if (value === undefined) return neededText(value);
  // The extension, or a trailing slash, which makes the path a folder.
  const ending = typeof value === 'string' && /\.[^./\\]*$|[/\\]$/.exec(value)?.[0].toLowerCase();
  return typeof value === 'string' && value !== '' && (ending === undefined || ending === '.png')
    ? { value }
    : { problem: 'must be a file whose name ends with .png, or has no ending' };
};

/** A required list of at least one string; a single string stands for a list of one. */
export const neededTexts: Field<readonly string[]> = (value) => {
  const list = typeof value === 'string' ? [value] : value;
  if (Array.isArray(list) && list.length > 0 && list.every((one) => typeof one === 'string' && one !== ''))
    return { value: list as readonly string[] };
  return { problem: value === undefined ? 'must be given' : 'must be a text, or a list of texts' };
};

/** A string, or a list of at least one; strings may be empty. */
export const texts: Field<readonly string[]> = (value) => {
  const list = typeof value === 'string' ? [value] : value;
  if (Array.isArray(list) && list.length > 0 && list.every((one) => typeof one === 'string'))
    return { value: list as readonly string[] };
  return { problem: 'must be a text, or a list of texts' };
};

/** Pixels; above the image size of any diffusion model. */
const longestSide = 8192;

/** The side of square images, or [height, width], in pixels; null is the default. */
export const imageSize: Field<number | readonly [number, number] | null> = (value) => {
  if (value === undefined || value === null) return { value: null };
  const isSide = (one: unknown): boolean =>
    Number.isInteger(one) && (one as number) > 0 && (one as number) <= longestSide;
  if (isSide(value)) return { value: value as number };
  if (Array.isArray(value) && value.length === 2 && value.every(isSide))
    return { value: value as unknown as readonly [number, number] };
  return { problem: `must be a whole number from 1 to ${longestSide}, [height, width], or null` };
};

/** A closed range of time steps, [first, last]; null is the default. */
export const timestepRange: Field<readonly [number, number] | null> = (value) => {
  if (value === undefined || value === null) return { value: null };
  const isRange =
    Array.isArray(value) &&
    value.length === 2 &&
    value.every((one) => Number.isSafeInteger(one) && (one as number) >= 0) &&
    value[0] <= value[1];
  return isRange
    ? { value: value as unknown as readonly [number, number] }
    : { problem: 'must be [first, last], whole numbers from 0, or null' };
};

/** A required JSON object, whose fields another reader checks. */
export const neededObject: Field<Readonly<Record<string, unknown>>> = (value) =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
    ? { value: value as Readonly<Record<string, unknown>> }
    : { problem: value === undefined ? 'must be given' : 'must be a JSON object' };

const range = (from: number, to: number): string =>
  to >= Number.MAX_SAFE_INTEGER ? `from ${from}` : `from ${from} to ${to}`;
