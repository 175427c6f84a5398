import { configDefaults, defineConfig, mergeConfig } from 'vitest/config';
import config from './vitest.config.ts';

// What takes long, and what WebAssembly, the default executor, does not run on. `npm test` runs everything.
export default mergeConfig(
  config,
  defineConfig({
    test: {
      exclude: [
        ...configDefaults.exclude,
        'tests/golden.*.test.ts',
        'tests/tensor/{reference,webgpu,webgpu.*}.test.ts',
        'tests/tensor/webgpu/**',
        'tests/{bench,docs,emojiExample,examples,package}.test.ts',
        'tests/browser/**',
        'tests/dpo/cli/**',
        'tests/dpo/train/**',
      ],
    },
  }),
);
