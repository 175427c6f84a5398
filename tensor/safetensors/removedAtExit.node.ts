import { rmSync } from 'node:fs';

const paths = new Set<string>();

function removeAll(): void {
  for (const path of paths) {
    try {
      rmSync(path, { recursive: true, force: true });
    } catch {
      // The next start removes what stays.
    }
  }
}

/**
 * Removes a temporary file or folder if the process ends before the returned function is called. A process that a signal
 * kills removes nothing; see `removeLeftovers`.
 */
export function removedAtExit(path: string): () => void {
  if (paths.size === 0) process.on('exit', removeAll);
  paths.add(path);
  return () => {
    paths.delete(path);
    if (paths.size === 0) process.off('exit', removeAll);
  };
}
