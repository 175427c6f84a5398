import { dispose } from './evaluate.ts';
import * as activations from './ops/activations.ts';
import * as elementwise from './ops/elementwise.ts';
import * as indexing from './ops/indexing.ts';
import { matmul } from './ops/matmul.ts';
import * as movement from './ops/movement.ts';
import { broadcastTo, cast } from './ops/operands.ts';
import * as reductions from './ops/reductions.ts';
import { Tensor } from './tensor.ts';

// Joining takes a list, and padInterior serves gradients: neither reads well as a method.
const { concat, stack, padInterior, ...movements } = movement;

/** The operators that are methods too: every free function here takes its tensor as the first argument. */
const methods = { ...elementwise, ...reductions, ...movements, ...indexing, ...activations, matmul, broadcastTo, cast };

type Method<F> = F extends (x: Tensor, ...rest: infer Rest) => infer Result ? (...rest: Rest) => Result : never;
type Methods = { [Name in keyof typeof methods]: Method<(typeof methods)[Name]> };

declare module './tensor.ts' {
  interface Tensor extends Methods, Disposable {}
}

// What `using x = …` calls at the end of its block; browsers without the symbol get the one that compilers look for.
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
