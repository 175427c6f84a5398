import type { Image } from './image.ts';

/** Image `i` of many [N, 3, height, width], from −1 to 1, with 8 bits a channel. */
export function imageOf(values: ArrayLike<number>, i: number, [height, width]: readonly [number, number]): Image {
  const area = height * width;
  const data = new Uint8Array(3 * area);
  for (let pixel = 0; pixel < area; pixel++) {
    for (let channel = 0; channel < 3; channel++) {
      const value = (values[(3 * i + channel) * area + pixel] as number) + 1;
      data[3 * pixel + channel] = Math.min(255, Math.max(0, Math.round(value * 127.5)));
    }
  }
  return { width, height, data };
}
