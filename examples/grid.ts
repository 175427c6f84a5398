import { encode } from 'fast-png';

/** A PNG of pictures [count, 3, size, size] from −1 to 1 side by side, each pixel drawn `zoom` × `zoom` large. */
export function gridPng(
  values: ArrayLike<number>,
  {
    count,
    size,
    columns = 8,
    zoom = 4,
    gap = 4,
  }: { count: number; size: number; columns?: number; zoom?: number; gap?: number },
): Uint8Array {
  const cell = size * zoom + gap;
  const [width, height] = [columns * cell + gap, Math.ceil(count / columns) * cell + gap];
  const data = new Uint8Array(width * height * 3).fill(255);
  for (let i = 0; i < count; i++) {
    const [left, top] = [gap + (i % columns) * cell, gap + Math.floor(i / columns) * cell];
    for (let y = 0; y < size * zoom; y++) {
      for (let x = 0; x < size * zoom; x++) {
        for (let channel = 0; channel < 3; channel++) {
          const value = values[
            ((i * 3 + channel) * size + Math.floor(y / zoom)) * size + Math.floor(x / zoom)
          ] as number;
          data[((top + y) * width + left + x) * 3 + channel] = Math.min(
            255,
            Math.max(0, Math.round((value + 1) * 127.5)),
          );
        }
      }
    }
  }
  return encode({ width, height, data, channels: 3 });
}
