// Our columns for the comparison with other frameworks; see docs/performance.md.
const adapter = './adapter.mjs';

export const COLUMNS = [
  { name: 'ours wasm 1t', class: 'js', adapter, config: { device: 'wasm', threads: 1 } },
  { name: 'ours wasm 2t', class: 'js2', adapter, config: { device: 'wasm', threads: 2 } },
];
