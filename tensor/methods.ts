import { dispose } from './evaluate.ts';
import * as activations from './ops/activations.ts';
import * as elementwise from './ops/elementwise.ts';
import * as indexing from './ops/indexing.ts';
import { matmul } from './ops/matmul.ts';
import * as movement from './ops/movement.ts';
import { broadcastTo, cast } from './ops/operands.ts';
import * as reductions from './ops/reductions.ts';
import { Tensor } from './tensor.ts';

// concat and stack take a list of tensors; padInterior is for gradients.
const { concat, stack, padInterior, ...movements } = movement;

/** The operators that are methods too; the first argument of each is the tensor. */
const methods = { ...elementwise, ...reductions, ...movements, ...indexing, ...activations, matmul, broadcastTo, cast };

type Method<F> = F extends (x: Tensor, ...rest: infer Rest) => infer Result ? (...rest: Rest) => Result : never;
type Methods = { [Name in keyof typeof methods]: Method<(typeof methods)[Name]> };

declare module './tensor.ts' {
  interface Tensor extends Methods, Disposable {}
}

// `using x = …` calls this at the end of its block. Compilers look for the second symbol where a browser lacks the first.
Object.defineProperty(Tensor.prototype, Symbol.dispose ?? Symbol.for('Symbol.dispose'), {
  value(this: Tensor) {
    dispose(this);
  },
});

for (const [name, operator] of Object.entries(methods) as [string, (x: Tensor, ...rest: unknown[]) => unknown][]) {
  Object.defineProperty(Tensor.prototype, name, {
    configurable: true,
    writable: true,
    value(this: Tensor, ...rest: unknown[]) {
      return operator(this, ...rest);
    },
  });
}
