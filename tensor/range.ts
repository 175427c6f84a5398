/** The whole numbers from 0 up to, and without, `count`. */
export const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i);
