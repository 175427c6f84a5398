// This library's columns of the comparison with other frameworks; see bench/RESULTS.md.
const adapter = './adapter.mjs';
/** The folder of SwiftShader, to run WebGPU on the CPU. */
const software = process.env.SWIFTSHADER;
const env = software && { LD_LIBRARY_PATH: software, VK_ICD_FILENAMES: `${software}/vk_swiftshader_icd.json` };

export const COLUMNS = [
  { name: 'ours wasm 1t', class: 'js', adapter, config: { device: 'wasm', threads: 1 } },
  { name: 'ours wasm 2t', class: 'js2', adapter, config: { device: 'wasm', threads: 2 } },
  { name: 'ours webgpu', class: 'webgpu', adapter, config: { device: 'webgpu' }, env },
];
