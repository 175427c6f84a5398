import { encode } from 'fast-png';
import type { Picture } from './picture.ts';

/** The bytes of a PNG. */
export const encodePng = ({ width, height, data }: Picture): Uint8Array => encode({ width, height, data, channels: 3 });
