import { bits } from './bits.ts';
import { exponentials } from './exponentials.ts';
import { logarithms } from './logarithms.ts';
import { trigonometry } from './trigonometry.ts';

const library: Readonly<Record<string, string>> = { ...bits, ...exponentials, ...logarithms, ...trigonometry };

const namesIn = (code: string): string[] =>
  (code.match(/[A-Za-z]\w*/g) ?? []).filter((name) => Object.hasOwn(library, name));

/** The functions of ours that some code calls, and those that they call. */
export function functionsFor(code: string): string[] {
  const found = new Set<string>();
  const visit = (text: string): void => {
    for (const name of namesIn(text)) {
      if (found.has(name)) continue;
      found.add(name);
      visit(library[name] as string);
    }
  };
  visit(code);
  return [...found].map((name) => library[name] as string);
}
