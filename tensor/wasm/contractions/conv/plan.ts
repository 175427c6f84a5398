import { ShapeError } from '../../../errors.ts';
import type { ConvAttributes } from '../../../primitives.ts';
import { sizeOf, stridesOf } from '../../../shape.ts';
import { blockColumns, blockRows } from '../microKernel.ts';
import { convWords } from '../parameters.ts';
import {
  type ContractionCall,
  type ContractionDType,
  type ContractionPlan,
  nothing,
  pointer,
  roundUp,
  storageOf,
  type View,
  wordsOf,
} from '../plan.ts';
import { depthBlock, tile } from '../tiling.ts';
import { type AxisComponent, type AxisComponents, axisComponents } from './axis.ts';
import { type ConvArrays, exchanged, exchangedPlan, planPointwise } from './planForms.ts';
import { type Images, type PaddedImages, planPad, type Spatial } from './planPad.ts';
import { planWeights } from './planWeights.ts';

/** Largest tiles: long in rows, since all rows of a tile use the columns gathered for it. */
const maxRows = 192;
const maxColumns = 128;

/** A view as [N, C, depth, height, width], with steps in bytes. */
function spatial(view: View, bytes: number): Images {
  const strides = view.strides ?? stridesOf(view.shape);
  const missing = 5 - view.shape.length;
  const fill = (list: readonly number[], value: number) =>
    [...list.slice(0, 2), ...new Array<number>(missing).fill(value), ...list.slice(2)] as unknown as Images['shape'];
  return {
    shape: fill(view.shape, 1),
    steps: fill(
      strides.map((stride) => stride * bytes),
      0,
    ),
    offset: (view.offset ?? 0) * bytes,
  };
}

/**
 * Plans out[n, o, q] = Σ_{i,k} x[n, i, (q·stride + k·kernelDilation − before) / inputDilation]·w[o, i, k], for x
 * [N, groups·I, …], w [groups·O, I, …] and 0 to 3 spatial axes. Operand a is x and b is w. Throws a `ShapeError` for more
 * axes.
 */
export function planConv(dtype: ContractionDType, arrays: ConvArrays, attributes: ConvAttributes): ContractionPlan {
  const rank = arrays.x.shape.length - 2;
  if (rank > 3) throw new ShapeError(`conv: ${rank} spatial axes, but the WebAssembly runtime has at most 3`);
  if (sizeOf(arrays.out.shape) === 0) return nothing;
  const pointwise = planPointwise(dtype, arrays, attributes);
  if (pointwise !== undefined) return pointwise;
  const other = exchanged(arrays, attributes);
  return other === undefined
    ? planGathered(dtype, arrays, attributes)
    : exchangedPlan(planGathered(dtype, other.arrays, other.attributes));
}

/** A convolution decomposed along its spatial axes. */
interface Decomposition {
  readonly dtype: ContractionDType;
  readonly axes: Spatial<AxisComponents>;
  readonly padded: PaddedImages;
  readonly x: Images;
  readonly w: Images;
  readonly out: Images;
  readonly groups: number;
  /** True packs columns along the kernel's rows, false along the rows of positions, whichever are longer. */
  readonly byTaps: boolean;
}

/** Plans a convolution as products of packed weights with columns gathered from a padded copy of x. */
function planGathered(dtype: ContractionDType, arrays: ConvArrays, attributes: ConvAttributes): ContractionPlan {
  const { bytes } = storageOf(dtype);
  const [x, w, out] = [arrays.x, arrays.w, arrays.out].map((view) => spatial(view, bytes)) as [Images, Images, Images];
  const missing = 5 - arrays.x.shape.length;
  const attribute = (list: readonly number[], axis: number, plain: number): number => list[axis - missing] ?? plain;
  const axes = [0, 1, 2].map((axis) =>
    axisComponents({
      kernel: w.shape[axis + 2] as number,
      out: out.shape[axis + 2] as number,
      stride: attribute(attributes.strides, axis, 1),
      before: attribute(attributes.before, axis, 0),
      inputDilation: attribute(attributes.inputDilation, axis, 1),
      kernelDilation: attribute(attributes.kernelDilation, axis, 1),
    }),
  ) as unknown as Spatial<AxisComponents>;
  const [, , widths] = axes;
  const byTaps =
    Math.max(...widths.components.map(({ taps }) => taps)) >
    Math.max(...widths.components.map(({ positions }) => positions));
  const padded = planPad(dtype, x, axes, byTaps ? widths.dilation : widths.stride, 0);
  const decomposition: Decomposition = { dtype, axes, padded, x, w, out, groups: attributes.groups, byTaps };
  const prepare: ContractionCall[] = [padded.call];
  const compute: ContractionCall[] = [];
  let scratchBytes = padded.bytes;
  let threadScratchBytes = 0;
  for (const depth of axes[0].components) {
    for (const height of axes[1].components) {
      for (const width of widths.components) {
        const part = planPart(decomposition, [depth, height, width], scratchBytes);
        prepare.push(part.weights);
        compute.push(part.compute);
        scratchBytes += part.weightsBytes;
        threadScratchBytes = Math.max(threadScratchBytes, part.threadScratchBytes);
      }
    }
  }
  const prepared = prepare.filter(({ units }) => units > 0);
  return { phases: prepared.length > 0 ? [prepared, compute] : [compute], scratchBytes, threadScratchBytes };
}

/** Plans the output positions of one component of each axis. `weightsPlace` is the offset of its packed weights. */
function planPart(decomposition: Decomposition, component: Spatial<AxisComponent>, weightsPlace: number) {
  const { dtype, axes, padded, x, w, out, groups, byTaps } = decomposition;
  const storage = storageOf(dtype);
  const { bytes, element } = storage;
  const panel = blockColumns(storage);
  const [rows, inputs] = [out.shape[1] / groups, w.shape[1]];
  const taps = component.map((axis) => axis.taps) as unknown as Spatial<number>;
  const positions = component.map((axis) => axis.positions) as unknown as Spatial<number>;
  const depth = inputs * sizeOf(taps);
  const columns = x.shape[0] * sizeOf(positions);
  const blockDepth = depthBlock(depth);
  const tiling = tile(
    { batch: groups, rows, columns, depth },
    { rows: maxRows, columns: maxColumns, rowPanel: blockRows, columnPanel: panel, packs: 'columns' },
  );
  const weightsGroup = rows * depth * bytes;
  const numbers = (count: number, value: (i: number) => number): number[] =>
    Array.from({ length: count }, (_, i) => value(i));
  const [inZ, inY] = [0, 1].map((axis) => {
    const step = axis === 0 ? padded.z : padded.y;
    const place = (component[axis] as AxisComponent).place - (padded.start[axis] as number);
    return {
      taps: numbers(taps[axis] as number, (k) => (place + k * (axes[axis] as AxisComponents).dilation) * step),
      positions: numbers(positions[axis] as number, (q) => q * (axes[axis] as AxisComponents).stride * step),
    };
  }) as [{ taps: number[]; positions: number[] }, { taps: number[]; positions: number[] }];
  // Along x, a move by the number of residues goes to the neighbour in the copy; other moves change the residue.
  const place = component[2].place - padded.start[2];
  const inX = byTaps
    ? { positions: numbers(positions[2], (q) => padded.x(place + q * axes[2].stride)), taps: [0] }
    : {
        positions: numbers(positions[2], (q) => q * bytes),
        taps: numbers(taps[2], (k) => padded.x(place + k * axes[2].dilation)),
      };
  const lists = [inZ.taps, inY.taps, inX.taps, inZ.positions, inY.positions, inX.positions];
  const listPlaces = lists.map((_, i) => (convWords.length + lists.slice(0, i).flat().length) * 4);
  const [listTapsZ, listTapsY, listTapsX, listZ, listY, listX] = listPlaces as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const tilePlace = roundUp(tiling.columns.size * blockDepth * bytes, 64);
  const xTable = tilePlace + tiling.rows.size * panel * bytes;
  const outTable = xTable + (tiling.columns.size + panel) * 4;
  const tapTable = outTable + (tiling.columns.size + panel) * 4;
  const outSteps = out.steps;
  const outStep = (axis: 0 | 1 | 2): number => outSteps[axis + 2] as number;
  const compute: ContractionCall = {
    name: `conv_${element}`,
    units: tiling.units,
    words: wordsOf(
      convWords,
      {
        x: pointer('scratch', 0),
        weights: pointer('scratch', weightsPlace),
        out: pointer(
          'out',
          out.offset + component.reduce((sum, { r }, axis) => sum + r * outStep(axis as 0 | 1 | 2), 0),
        ),
        rows,
        columns,
        depth,
        blockDepth,
        xGroup: inputs * padded.channel,
        weightsGroup,
        outGroup: rows * outSteps[1],
        outRow: outSteps[1],
        rowBlock: tiling.rows.size,
        rowBlocks: tiling.rows.count,
        columnBlock: tiling.columns.size,
        columnBlocks: tiling.columns.count,
        items: tiling.items,
        itemsPerUnit: tiling.itemsPerUnit,
        byTaps: Number(byTaps),
        channels: inputs,
        tapsZ: taps[0],
        tapsY: taps[1],
        tapsX: taps[2],
        xChannel: padded.channel,
        positionsZ: positions[0],
        positionsY: positions[1],
        positionsX: positions[2],
        xImage: padded.image,
        outImage: outSteps[0],
        outZ: outStep(0) * axes[0].d,
        outY: outStep(1) * axes[1].d,
        outX: outStep(2) * axes[2].d,
        tile: tilePlace,
        xTable,
        outTable,
        tapTable,
        listTapsZ,
        listTapsY,
        listTapsX,
        listZ,
        listY,
        listX,
      },
      lists.flat(),
    ),
  };
  const weights = planWeights(
    dtype,
    {
      from: pointer(
        'b',
        w.offset + component.reduce((sum, { first }, axis) => sum + first * (w.steps[axis + 2] as number), 0),
      ),
      to: pointer('scratch', weightsPlace),
    },
    { groups, rows, across: w.steps[0] },
    [
      { size: inputs, step: w.steps[1] },
      ...axes.map(({ every }, axis) => ({
        size: taps[axis] as number,
        step: (w.steps[axis + 2] as number) * every,
      })),
    ],
  );
  return {
    weights,
    compute,
    weightsBytes: roundUp(groups * weightsGroup, 64),
    threadScratchBytes: tapTable + blockDepth * 4,
  };
}
