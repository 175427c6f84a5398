import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const at = (path: string) => fileURLToPath(new URL(path, import.meta.url));

export default defineConfig({
  // Node 20 has no `using` declarations, so they are lowered.
  oxc: { target: 'es2022' },
  resolve: {
    alias: [
      { find: 'diffusion-dpo/tensor/node', replacement: at('./tensor/index.node.ts') },
      { find: 'diffusion-dpo/tensor', replacement: at('./tensor/index.ts') },
      { find: 'diffusion-dpo/autograd', replacement: at('./autograd/index.ts') },
      { find: 'diffusion-dpo/testing', replacement: at('./autograd/testing/index.ts') },
    ],
  },
  test: {
    include: ['tests/**/*.test.ts'],
    testTimeout: 120_000,
  },
});
