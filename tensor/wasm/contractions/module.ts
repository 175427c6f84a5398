import { type MemoryImport, ModuleBuilder } from '../assembler/module.ts';
import { addAttentionGradient } from './attention/gradient.ts';
import { addAttention } from './attention/kernel.ts';
import { addAttentionParts } from './attention/parts.ts';
import { addAttentionSum } from './attention/sum.ts';
import { addGather, addGatherRun } from './conv/gather.ts';
import { addConv } from './conv/kernel.ts';
import { addPad } from './conv/pad.ts';
import { type ElementName, elements } from './element.ts';
import { addGemm } from './matmul/gemm.ts';
import { addSkinny } from './matmul/skinny.ts';
import { addDirectKernel, addRowsKernel, blockColumns, blockRows } from './microKernel.ts';
import { addPack } from './packing/pack.ts';
import { addInterleave, addPackPanels } from './packing/packPanels.ts';
import { addDirectLoop, addPanelLoop, addSpread } from './panelLoop.ts';
import { storage32, storage64 } from './storage.ts';

type Bits = '32' | '64';

/** Exports are called with (parameters, unit, scratch): addresses of a parameter block and of the thread's scratch memory. */
export type ContractionExport =
  | `${'packRows' | 'packColumns' | 'pad'}${Bits}`
  | `${'gemm' | 'skinny' | 'conv'}_${ElementName}`
  | `${'attention' | 'attentionGradient' | 'attentionSum'}_${'f32' | 'f64'}`;

/**
 * The contraction module, over `env.memory`. `relaxed` uses the multiply-add of relaxed SIMD, which the engine must have:
 * it is faster and rounds once instead of twice, so bits differ.
 */
export function contractionModule(options: {
  readonly relaxed: boolean;
  readonly memory: MemoryImport;
}): Uint8Array<ArrayBuffer> {
  const module = new ModuleBuilder(options.memory);
  const kinds = elements(options.relaxed);
  for (const storage of [storage32, storage64]) {
    const { bits, bytes } = storage;
    const columns = blockColumns(storage);
    const interleaveColumns = addInterleave(module, storage, columns * bytes);
    const interleaveRows =
      columns === blockRows ? interleaveColumns : addInterleave(module, storage, blockRows * bytes);
    const packRows = addPackPanels(module, storage, { lines: blockRows, padded: false }, interleaveRows);
    const packColumns = addPackPanels(module, storage, { lines: columns, padded: true }, interleaveColumns);
    addPack(module, storage, packRows, `packRows${bits}`);
    addPack(module, storage, packColumns, `packColumns${bits}`);
    addPad(module, storage, `pad${bits}`);
    const gather = addGather(module, storage);
    const gatherRun = addGatherRun(module, storage, interleaveColumns);
    for (const element of Object.values(kinds)) {
      if (element.bytes !== bytes) continue;
      const spread = addSpread(module, element);
      const rowsKernel = addRowsKernel(module, element, `rows_${element.name}`);
      const panelLoop = addPanelLoop(module, element, rowsKernel, spread);
      const direct = { narrow: addDirectKernel(module, element, false), wide: addDirectKernel(module, element, true) };
      const directLoop = addDirectLoop(module, element, panelLoop, direct, gather, spread);
      addGemm(module, element, packRows, packColumns, panelLoop, `gemm_${element.name}`);
      addConv(module, element, { gather, gatherRun, panelLoop, directLoop }, `conv_${element.name}`);
      addSkinny(module, element, storage, `skinny_${element.name}`);
      if (element.name === 'i32') continue;
      const parts = addAttentionParts(module, element, storage, packColumns, rowsKernel);
      addAttention(module, parts, `attention_${element.name}`);
      addAttentionGradient(module, parts, `attentionGradient_${element.name}`);
      addAttentionSum(module, element, `attentionSum_${element.name}`);
    }
  }
  return module.toBytes();
}
