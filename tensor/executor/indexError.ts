import type { Value } from '../compiler/program.ts';
import { TensorError } from '../errors.ts';
import type { Attributes } from '../primitives.ts';
import { formatShape } from '../shape.ts';

/** The error for a gather or scatter that was given an index outside its axis. */
export function indexError({ primitive, attributes, inputs }: Value, index: number): TensorError {
  const { axis } = attributes as Attributes['gather' | 'scatterAdd'];
  const [x] = inputs as readonly [Value];
  return new TensorError(
    `${primitive}: index ${index} is outside axis ${axis} of ${x.dtype}${formatShape(x.shape)}: ` +
      `indices there are 0 to ${(x.shape[axis] as number) - 1}`,
  );
}
