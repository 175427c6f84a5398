/** Every error that this library raises on purpose, so that callers can tell it from a bug. */
export class TensorError extends Error {
  override name = 'TensorError';
}

/** The shapes, dtypes or attributes handed to an operator do not fit it. */
export class ShapeError extends TensorError {
  override name = 'ShapeError';
}

/** A tensor was used after `dispose` or after its buffer was given away with `donate`. */
export class DisposedError extends TensorError {
  override name = 'DisposedError';
}

/** A file, header or byte sequence is not what it claims to be. */
export class FormatError extends TensorError {
  override name = 'FormatError';
}
