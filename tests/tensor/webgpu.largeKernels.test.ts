import { webgpuConformance } from './conformance/webgpu.ts';

await webgpuConformance('large kernels');
