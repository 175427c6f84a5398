import { webgpuConformance } from './conformance/webgpu.ts';

await webgpuConformance('all others');
