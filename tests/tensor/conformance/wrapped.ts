import type { Device, DeviceBuffer, DType, MemoryUse, Run, StorageArray } from '../../../tensor/index.ts';
import { sourceOf } from '../../../tensor/internal.ts';

/** A device under another name that forwards every call and records the primitives of each run. */
export class WatchedDevice implements Device {
  readonly name: string;
  readonly description = 'another device, watched';
  readonly dtypes: ReadonlySet<DType>;
  /** One list of primitives per run. */
  readonly runs: string[][] = [];
  readonly #inner: Device;

  constructor(inner: Device, name: string) {
    this.#inner = inner;
    this.name = name;
    this.dtypes = inner.dtypes;
  }

  /** The number of nodes of a primitive in all runs. */
  count(primitive: string): number {
    return this.runs.flat().filter((other) => other === primitive).length;
  }

  upload(dtype: DType, storage: StorageArray): DeviceBuffer {
    return this.#inner.upload(dtype, storage);
  }

  run(run: Run): Promise<readonly DeviceBuffer[]> {
    this.runs.push(
      run.order.map((tensor) => {
        const source = sourceOf(tensor);
        return source.kind === 'pending' ? source.node.primitive : source.kind;
      }),
    );
    return this.#inner.run(run);
  }

  download(buffer: DeviceBuffer): Promise<StorageArray> {
    return this.#inner.download(buffer);
  }

  peek(buffer: DeviceBuffer): StorageArray | undefined {
    return this.#inner.peek(buffer);
  }

  free(buffer: DeviceBuffer): void {
    this.#inner.free(buffer);
  }

  memory(): MemoryUse {
    return this.#inner.memory();
  }

  resetPeak(): void {
    this.#inner.resetPeak();
  }
}
