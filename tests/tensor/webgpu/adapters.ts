import { findGpu } from '../../../tensor/webgpu/runtime/gpu.ts';

const gpu = await findGpu();
export const adapter: GPUAdapter | null = (await gpu?.requestAdapter()) ?? null;

/** An object with some members replaced; the others are its own. */
export function wrapped<T extends object>(object: T, replaced: object): T {
  return new Proxy(object, {
    get(target, name) {
      if (name in replaced) return Reflect.get(replaced, name);
      const member = Reflect.get(target, name, target) as unknown;
      return typeof member === 'function' ? member.bind(target) : member;
    },
  });
}

/** The adapter, with devices of which some members are replaced. */
export function adapterWith(replace: (device: GPUDevice) => object): GPUAdapter {
  if (adapter === null) throw new Error('test bug: there is no adapter');
  return wrapped(adapter, {
    requestDevice: async (descriptor: GPUDeviceDescriptor) => {
      // An adapter opens one device, so there is a new one each time.
      const device = await (await gpu?.requestAdapter())?.requestDevice(descriptor);
      return device && wrapped(device, replace(device));
    },
  });
}

/** The adapter, with devices that pretend to have other limits. */
export const adapterWithLimits = (limits: Partial<Record<keyof GPUSupportedLimits, number>>): GPUAdapter =>
  adapterWith((device) => ({ limits: wrapped(device.limits, limits) }));
