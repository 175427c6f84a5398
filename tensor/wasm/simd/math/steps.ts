import type { Code } from '../../assembler/encoding.ts';
import { brIf, type I32, type Local, local, loop, type V128, when } from '../../assembler/instructions.ts';
import type { Scope } from '../../assembler/module.ts';

/** A function of all lanes of a vector, inlined: its temporaries are locals of the scope. */
export type VectorFunction = (scope: Scope, x: V128) => V128;
export type VectorFunction2 = (scope: Scope, a: V128, b: V128) => V128;

/** Collects statements in the order in which they run. */
export interface Steps {
  readonly scope: Scope;
  /** Computes a value into a local, at this point; the result can be used any number of times. */
  bind(value: V128): V128;
  /** Like bind, for a local that later steps change. */
  variable(value: V128): Local<'v128'>;
  assign(variable: Local<'v128'>, value: V128): void;
  get(variable: Local<'v128'>): V128;
  /** Like bind, for a condition. */
  test(condition: I32): I32;
  /** Steps that run only under a condition: the rare lanes that need more work. */
  when(condition: I32, body: (steps: Steps) => void): void;
  /** Steps that repeat while a condition holds, which is evaluated before each round. */
  while(condition: I32, body: (steps: Steps) => void): void;
}

/** The expression of steps and their result. */
export function evaluate(scope: Scope, build: (steps: Steps) => V128): V128 {
  const statements: Code[] = [];
  const value = build(collect(scope, statements));
  return [statements, value];
}

function collect(scope: Scope, statements: Code[]): Steps {
  const steps: Steps = {
    scope,
    bind: (value) => local.get(steps.variable(value)),
    variable: (value) => {
      const variable = scope.local('v128');
      steps.assign(variable, value);
      return variable;
    },
    get: local.get,
    test: (condition) => {
      const variable = scope.local('i32');
      statements.push(local.set(variable, condition));
      return local.get(variable);
    },
    assign: (variable, value) => void statements.push(local.set(variable, value)),
    when: (condition, body) => {
      const inner: Code[] = [];
      body(collect(scope, inner));
      statements.push(when(condition, inner));
    },
    while: (condition, body) => {
      const inner: Code[] = [];
      body(collect(scope, inner));
      statements.push(when(condition, [loop(inner, brIf(0, condition))]));
    },
  };
  return steps;
}
