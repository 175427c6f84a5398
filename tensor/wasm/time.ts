import { operatorCost } from '../compiler/cost.ts';
import { stageIterations } from '../compiler/iterations.ts';
import type { LoopKernel } from '../compiler/kernel.ts';
import type { Value } from '../compiler/program.ts';
import { allParts } from '../compiler/scalars.ts';
import { sizeOf } from '../shape.ts';

/**
 * Estimates of the nanoseconds that work takes on one thread, from its shape alone. They are right within a factor of two
 * or three, enough to tell which plans are too short to hand to workers.
 */
const perOperation = 0.1;
const perLoad = 0.2;
const perFlop = 0.025;

/** Nanoseconds per input element of a sort and of the other steps. */
const perSorted = 100;
const perElement = 3;

export const loopTime = (kernel: LoopKernel): number =>
  kernel.stages.reduce((sum, stage) => {
    let each = perLoad + perOperation;
    for (const part of allParts(stage.scalar)) {
      if (part.kind === 'apply') each += perOperation * operatorCost(part.operator);
      else if (part.kind === 'load' || part.kind === 'lookup') each += perLoad;
    }
    return sum + each * stageIterations(kernel, stage);
  }, 0);

export const stepTime = ({ primitive, inputs }: Value): number =>
  inputs.reduce((sum, { shape }) => sum + sizeOf(shape), 0) * (primitive === 'argSort' ? perSorted : perElement);

export const contractionTime = (flops: number): number => perFlop * flops;
