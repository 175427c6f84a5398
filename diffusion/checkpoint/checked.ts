import { FormatError } from '../../tensor/index.ts';

/** Runs a check of a file's content, and names the file where it throws. */
export function checked(path: string, check: () => unknown): void {
  try {
    check();
  } catch (cause) {
    if (cause instanceof FormatError) throw cause;
    throw new FormatError(`${path}: ${(cause as Error).message}`, { cause });
  }
}
