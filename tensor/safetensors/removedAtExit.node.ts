import { rmSync } from 'node:fs';

const paths = new Set<string>();

function removeAll(): void {
  for (const path of paths) {
    try {
      rmSync(path, { recursive: true, force: true });
    } catch {
      // The process ends; what stays is removed at the next start.
    }
  }
}

/**
 * Removes a file or folder that is only there for a time, such as an unfinished one, should the process end before the
 * function that is returned is called. What ends by a signal that nobody listens to runs nothing; see `removeLeftovers`.
 */
export function removedAtExit(path: string): () => void {
  if (paths.size === 0) process.on('exit', removeAll);
  paths.add(path);
  return () => {
    paths.delete(path);
    if (paths.size === 0) process.off('exit', removeAll);
  };
}
