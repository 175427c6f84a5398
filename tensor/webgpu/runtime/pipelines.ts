import { TensorError } from '../../errors.ts';
import type { Kernel } from '../wgsl/shader.ts';
import { computeStage } from './gpu.ts';

export interface Pipeline {
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
}

/** How many compiled shaders are kept; equal ones are shared between plans. */
const mostPipelines = 4096;

/** Compiles shaders, each once. */
export class Pipelines {
  readonly #device: GPUDevice;
  readonly #layouts = new Map<string, GPUBindGroupLayout>();
  readonly #pipelines = new Map<string, Promise<Pipeline>>();

  constructor(device: GPUDevice) {
    this.#device = device;
  }

  get(kernel: Kernel): Promise<Pipeline> {
    const known = this.#pipelines.get(kernel.source) ?? this.#compile(kernel);
    this.#pipelines.delete(kernel.source);
    this.#pipelines.set(kernel.source, known);
    const [oldest] = this.#pipelines.keys();
    if (this.#pipelines.size > mostPipelines && oldest !== undefined) this.#pipelines.delete(oldest);
    return known;
  }

  async #compile({ label, source, numbers, bindings }: Kernel): Promise<Pipeline> {
    const layout = this.#layoutOf(numbers.length > 0, bindings);
    this.#device.pushErrorScope('validation');
    const module = this.#device.createShaderModule({ code: source, label });
    const checked = this.#device.popErrorScope();
    try {
      const wrong = await checked;
      if (wrong !== null) throw new Error(wrong.message);
      const pipeline = await this.#device.createComputePipelineAsync({
        label,
        layout: this.#device.createPipelineLayout({ bindGroupLayouts: [layout] }),
        compute: { module, entryPoint: 'main' },
      });
      return { pipeline, layout };
    } catch (error) {
      this.#pipelines.delete(source);
      const reason = error instanceof Error ? error.message : String(error);
      throw new TensorError(`webgpu: the kernel '${label}' cannot be compiled: ${reason}\n${source}`, { cause: error });
    }
  }

  #layoutOf(hasNumbers: boolean, bindings: Kernel['bindings']): GPUBindGroupLayout {
    const key = [hasNumbers, ...bindings.map(({ access }) => access)].join();
    const known = this.#layouts.get(key);
    if (known !== undefined) return known;
    const entries = bindings.map(
      ({ access }, i): GPUBindGroupLayoutEntry => ({
        binding: i + 1,
        visibility: computeStage,
        buffer: { type: access === 'read' ? 'read-only-storage' : 'storage' },
      }),
    );
    if (hasNumbers) entries.unshift({ binding: 0, visibility: computeStage, buffer: { type: 'uniform' } });
    const layout = this.#device.createBindGroupLayout({ entries });
    this.#layouts.set(key, layout);
    return layout;
  }
}
