/** The base class of all errors that this library throws on purpose; any other error is a bug. */
export class TensorError extends Error {
  override name = 'TensorError';
}

/** Shapes that do not fit an operator or each other. */
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
