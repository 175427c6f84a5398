import type { Device, DeviceBuffer, MemoryUse, Run } from '../device.ts';
import {
  allocate,
  type DType,
  dtypes,
  isHalf,
  type StorageArray,
  toStorage,
  toValues,
  type ValueArray,
} from '../dtype.ts';
import { TensorError } from '../errors.ts';
import type { Primitive } from '../primitives.ts';
import { rest } from '../rest.ts';
import { sourceOf, type Tensor } from '../tensor.ts';
import { attentions } from './attention.ts';
import { contractions } from './contractions.ts';
import { elementwise } from './elementwise.ts';
import { indexing } from './indexing.ts';
import type { Identity, Kernel, Kernels } from './kernel.ts';
import { movement } from './movement.ts';
import { reductions } from './reductions.ts';

const kernels: Kernels<Exclude<Primitive, Identity>> = {
  ...elementwise,
  ...movement,
  ...reductions,
  ...indexing,
  ...contractions,
  ...attentions,
};

class ReferenceBuffer implements DeviceBuffer {
  readonly dtype: DType;
  readonly storage: StorageArray;
  freed = false;

  constructor(dtype: DType, storage: StorageArray) {
    this.dtype = dtype;
    this.storage = storage;
  }

  get byteLength(): number {
    return this.storage.byteLength;
  }
}

/**
 * The reference executor: every node evaluated by itself, in plain JavaScript, in the order of the graph. It is the
 * standard that other executors are compared with, so it shares no code with them and is never clever.
 */
export class ReferenceDevice implements Device {
  readonly name = 'reference';
  readonly description = 'reference: plain JavaScript, one thread, for checking';
  readonly dtypes: ReadonlySet<DType> = new Set(dtypes);
  #use = { bytes: 0, buffers: 0, peakBytes: 0, peakBuffers: 0 };

  upload(dtype: DType, storage: StorageArray): DeviceBuffer {
    return this.#hold(dtype, storage.slice());
  }

  async run({ order, outputs }: Run): Promise<readonly DeviceBuffer[]> {
    const uses = new Map<Tensor, number>();
    for (const tensor of order) {
      if (!isIdentity(tensor)) for (const user of inputsOf(tensor)) uses.set(user, (uses.get(user) ?? 0) + 1);
    }
    for (const tensor of outputs) uses.set(original(tensor), (uses.get(original(tensor)) ?? 0) + 1);

    const computed = new Map<Tensor, ReferenceBuffer>();
    const release = (tensor: Tensor): void => {
      const left = (uses.get(tensor) ?? 0) - 1;
      uses.set(tensor, left);
      const buffer = computed.get(tensor);
      if (left <= 0 && buffer !== undefined) {
        computed.delete(tensor);
        this.free(buffer);
      }
    };
    try {
      for (const tensor of order) {
        if (isIdentity(tensor)) continue;
        await rest();
        const inputs = inputsOf(tensor);
        const values = inputs.map((input) => {
          const buffer = computed.get(input) ?? leafBuffer(input);
          return toValues(buffer.dtype, buffer.storage);
        });
        computed.set(tensor, this.#hold(tensor.dtype, evaluate(tensor, inputs, values)));
        for (const input of inputs) release(input);
        // Something that only a barrier waits for was wanted for its time, not its value.
        if (!uses.has(tensor)) release(tensor);
      }
      return outputs.map((tensor) => {
        const made = original(tensor);
        const buffer = computed.get(made);
        // The last output to use a buffer takes it; leaves, and what several outputs stand for, are copied.
        const left = (uses.get(made) ?? 0) - 1;
        uses.set(made, left);
        if (buffer !== undefined && left === 0) {
          computed.delete(made);
          return buffer;
        }
        const { dtype, storage } = buffer ?? leafBuffer(made);
        return this.#hold(dtype, storage.slice());
      });
    } finally {
      for (const buffer of computed.values()) this.free(buffer);
    }
  }

  async download(buffer: DeviceBuffer): Promise<StorageArray> {
    return own(buffer).storage.slice();
  }

  peek(buffer: DeviceBuffer): StorageArray {
    return own(buffer).storage;
  }

  free(buffer: DeviceBuffer): void {
    const held = own(buffer);
    if (held.freed) return;
    held.freed = true;
    this.#use.bytes -= held.byteLength;
    this.#use.buffers -= 1;
  }

  memory(): MemoryUse {
    return { ...this.#use };
  }

  resetPeak(): void {
    this.#use.peakBytes = this.#use.bytes;
    this.#use.peakBuffers = this.#use.buffers;
  }

  #hold(dtype: DType, storage: StorageArray): ReferenceBuffer {
    this.#use.bytes += storage.byteLength;
    this.#use.buffers += 1;
    this.#use.peakBytes = Math.max(this.#use.peakBytes, this.#use.bytes);
    this.#use.peakBuffers = Math.max(this.#use.peakBuffers, this.#use.buffers);
    return new ReferenceBuffer(dtype, storage);
  }
}

function own(buffer: DeviceBuffer): ReferenceBuffer {
  if (buffer instanceof ReferenceBuffer) return buffer;
  throw new TensorError('reference: this buffer belongs to another device');
}

function leafBuffer(tensor: Tensor): ReferenceBuffer {
  const source = sourceOf(tensor);
  if (source.kind !== 'placed')
    throw new TensorError(`reference: tensor #${tensor.id} was not computed before its use`);
  return own(source.buffer);
}

function isIdentity(tensor: Tensor): boolean {
  const source = sourceOf(tensor);
  if (source.kind !== 'pending') return false;
  const { primitive } = source.node;
  return primitive === 'variable' || primitive === 'barrier' || primitive === 'custom';
}

/** What an identity, or a chain of them, stands for. */
function original(tensor: Tensor): Tensor {
  let current = tensor;
  while (isIdentity(current)) {
    const source = sourceOf(current);
    if (source.kind === 'pending') current = source.node.inputs[0] as Tensor;
  }
  return current;
}

function inputsOf(tensor: Tensor): Tensor[] {
  const source = sourceOf(tensor);
  return source.kind === 'pending' ? source.node.inputs.map(original) : [];
}

function evaluate(output: Tensor, inputs: readonly Tensor[], values: readonly ValueArray[]): StorageArray {
  const source = sourceOf(output);
  if (source.kind !== 'pending') throw new TensorError(`reference: tensor #${output.id} has nothing to compute`);
  const { primitive, attributes } = source.node;
  // Halves are computed in f32 and rounded once, when the kernel is done.
  const out = allocate(isHalf(output.dtype) ? 'f32' : output.dtype, output.size) as ValueArray;
  // The kernel of a primitive takes the attributes of that primitive; the union type cannot express it.
  const kernel = kernels[primitive as Exclude<Primitive, Identity>] as unknown as Kernel<Primitive>;
  kernel({ output, out, attributes, inputs, values });
  return isHalf(output.dtype) ? toStorage(output.dtype, out) : out;
}
