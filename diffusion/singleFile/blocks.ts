import { unetPrefix } from './layouts.ts';

/** How the blocks of a UNet are made, as its keys in the original layout tell: the same for every width. */
export interface Blocks {
  /** For each residual block of the way down, how many transformers follow it; `down` for one that halves. */
  readonly down: readonly (number | 'down')[];
  /** How many transformers are in the middle: 0 where there is a residual block alone, −1 where there is nothing. */
  readonly mid: number;
  /** For each residual block of the way up, how many transformers follow it. */
  readonly up: readonly number[];
  /** Whether sizes and pooled text are taken. */
  readonly takesSizes: boolean;
}

/** Counts the blocks of the UNet among a file's tensors, whatever their order is. */
export function countBlocks(keys: Iterable<string>): Blocks {
  const down = new Map<number, number | 'down'>();
  const up = new Map<number, number>();
  // −1 where there is no block in the middle, 0 for one without transformers.
  let mid = -1;
  let takesSizes = false;
  const atLeast = (blocks: Map<number, number | 'down'>, block: number, count: number): void => {
    const before = blocks.get(block) ?? 0;
    if (before !== 'down') blocks.set(block, Math.max(before, count));
  };
  for (const key of keys) {
    if (!key.startsWith(unetPrefix)) continue;
    const [kind, first, second, third = '', fourth] = key.slice(unetPrefix.length).split('.');
    const count = third === 'transformer_blocks' ? Number(fourth) + 1 : 0;
    if (kind === 'label_emb') takesSizes = true;
    else if (kind === 'input_blocks' && third === 'op') down.set(Number(first), 'down');
    else if (kind === 'input_blocks' && first !== '0') atLeast(down, Number(first), count);
    // What doubles may have a number of its own, but is no residual block.
    else if (kind === 'output_blocks' && third !== 'conv') atLeast(up, Number(first), count);
    else if (kind === 'middle_block') {
      const inMiddle = second === 'transformer_blocks' ? Number(third) + 1 : 0;
      mid = Math.max(mid, inMiddle);
    }
  }
  const inOrder = <T>(blocks: ReadonlyMap<number, T>): T[] =>
    [...blocks].sort(([a], [b]) => a - b).map(([, count]) => count);
  return { down: inOrder(down), mid, up: inOrder(up), takesSizes };
}

/** The numbers of transformers in words, for messages: "down 1 1 ↓ 1 1 ↓ 1 1 ↓ 0 0, middle 1, up 0 0 0 1 1 1 1 1 1 1 1 1". */
export const describeBlocks = ({ down, mid, up }: Blocks): string =>
  `down ${down.map((one) => (one === 'down' ? '↓' : one)).join(' ')}, middle ${mid < 0 ? 'none' : mid}, up ${up.join(' ')}`;

/** Whether two UNets have the same blocks. */
export const sameBlocks = (a: Blocks, b: Blocks): boolean => JSON.stringify(a) === JSON.stringify(b);
