import type { Figure } from '../figure.ts';

/** A number with `digits` significant digits and a typographic minus sign; very large and very small ones as powers of ten. */
export function formatNumber(value: number, digits = 3): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? '–' : value > 0 ? '∞' : '−∞';
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-4 || size >= 1e6)) {
    const [mantissa, exponent] = value.toExponential(digits - 1).split('e') as [string, string];
    return minus(`${mantissa} · 10^${Number(exponent)}`);
  }
  const decimals = size === 0 ? digits - 1 : Math.max(0, digits - 1 - Math.floor(Math.log10(size)));
  return minus(value.toFixed(Math.min(decimals, 8)));
}

const minus = (text: string): string => text.replaceAll('-', '−');

/** A figure's numbers, all with the decimals that show the interval's width to two significant digits. */
export function formatFigure({ value, low, high }: Figure): { readonly value: string; readonly interval: string } {
  const width = high - low;
  if (!(width > 0 && Number.isFinite(width)))
    return { value: formatNumber(value), interval: `${formatNumber(low)} to ${formatNumber(high)}` };
  const decimals = Math.min(8, Math.max(0, 1 - Math.floor(Math.log10(width))));
  const fixed = (number: number): string => minus(number.toFixed(decimals).replace(/^-(0(\.0*)?)$/, '$1'));
  return { value: fixed(value), interval: `${fixed(low)} to ${fixed(high)}` };
}
