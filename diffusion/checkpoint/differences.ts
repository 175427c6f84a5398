import { FormatError, type Shape } from '../../tensor/index.ts';

/** How many of each kind an error lists. */
const listed = 20;

/** Names of one kind of problem under a heading; none for no names. */
function section(heading: string, lines: readonly string[]): string[] {
  if (lines.length === 0) return [];
  const more = lines.length > listed ? [`    … and ${lines.length - listed} more`] : [];
  return [`  ${heading} (${lines.length}):`, ...lines.slice(0, listed).map((line) => `    ${line}`), ...more];
}

/** Throws one error that lists every problem, by kind; nothing where there is none. */
export function throwProblems(title: string, kinds: Readonly<Record<string, readonly string[]>>): void {
  const lines = Object.entries(kinds).flatMap(([heading, problems]) => section(heading, problems));
  if (lines.length > 0) throw new FormatError(`${title}:\n${lines.join('\n')}`);
}

const showShape = (shape: Shape): string => `[${shape.join(', ')}]`;

/**
 * What is wrong with tensors that are to be the parameters of a model: by kind, those that are missing, not expected or
 * of another shape. `ignores` says which may be there without being expected.
 */
export function differences(
  wanted: ReadonlyMap<string, Shape>,
  found: ReadonlyMap<string, Shape>,
  ignores: (name: string) => boolean = () => false,
): Readonly<Record<'missing' | 'unexpected' | 'of another shape', readonly string[]>> {
  const isSame = (a: Shape, b: Shape) => a.length === b.length && a.every((size, axis) => size === b[axis]);
  return {
    missing: [...wanted].flatMap(([name, shape]) => (found.has(name) ? [] : [`${name} ${showShape(shape)}`])),
    unexpected: [...found].flatMap(([name, shape]) =>
      wanted.has(name) || ignores(name) ? [] : [`${name} ${showShape(shape)}`],
    ),
    'of another shape': [...wanted].flatMap(([name, shape]) => {
      const other = found.get(name);
      return other === undefined || isSame(other, shape)
        ? []
        : [`${name} is ${showShape(other)}, the model has ${showShape(shape)}`];
    }),
  };
}
