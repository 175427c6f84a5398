import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';
import { SlowFirst } from './tests/slowFirst.ts';
import { swiftShaderEnvironment } from './tests/webgpu/swiftshader.ts';

const at = (path: string) => fileURLToPath(new URL(path, import.meta.url));

// Tests run in processes that are started with this environment.
Object.assign(process.env, swiftShaderEnvironment());

export default defineConfig({
  // Node 20 has no `using` declarations, so they are lowered.
  oxc: { target: 'es2022' },
  resolve: {
    alias: [
      { find: 'diffusion-dpo/tensor/node', replacement: at('./tensor/index.node.ts') },
      { find: 'diffusion-dpo/tensor', replacement: at('./tensor/index.ts') },
      { find: 'diffusion-dpo/autograd', replacement: at('./autograd/index.ts') },
      { find: 'diffusion-dpo/nn/node', replacement: at('./nn/index.node.ts') },
      { find: 'diffusion-dpo/nn', replacement: at('./nn/index.ts') },
      { find: 'diffusion-dpo/diffusion/node', replacement: at('./diffusion/index.node.ts') },
      { find: 'diffusion-dpo/diffusion', replacement: at('./diffusion/index.ts') },
      { find: 'diffusion-dpo/dpo/node', replacement: at('./dpo/index.node.ts') },
      { find: 'diffusion-dpo/dpo', replacement: at('./dpo/index.ts') },
      { find: 'diffusion-dpo/testing', replacement: at('./autograd/testing/index.ts') },
    ],
  },
  test: {
    include: ['tests/**/*.test.ts'],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    // Most tests keep one core busy, so there is a process for each.
    maxWorkers: availableParallelism(),
    sequence: { sequencer: SlowFirst },
  },
});
