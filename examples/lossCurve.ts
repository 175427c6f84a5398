/** Means of `window` losses at a time, each at the step in the middle of them. */
const averaged = (losses: readonly number[], window: number): { readonly step: number; readonly loss: number }[] =>
  Array.from({ length: Math.floor(losses.length / window) }, (_, i) => ({
    step: (i + 0.5) * window,
    loss: losses.slice(i * window, (i + 1) * window).reduce((sum, one) => sum + one, 0) / window,
  }));

const [width, height] = [720, 300];
const [left, right, top, bottom] = [60, 16, 16, 40];

/**
 * The losses of steps 1, 2, … as an SVG: pale, and their means over some steps in front, on a logarithmic axis. It reads well
 * on light and on dark pages.
 */
export function lossCurveSvg(losses: readonly number[], { window = 25 }: { readonly window?: number } = {}): string {
  const least = Math.log10(Math.min(...losses));
  const span = Math.max(Math.log10(Math.max(...losses)) - least, 1e-9);
  const x = (step: number) => left + (step / losses.length) * (width - left - right);
  const y = (loss: number) => top + (1 - (Math.log10(loss) - least) / span) * (height - top - bottom);
  const line = (points: readonly { readonly step: number; readonly loss: number }[]) =>
    points.map(({ step, loss }, i) => `${i === 0 ? 'M' : 'L'}${x(step).toFixed(1)} ${y(loss).toFixed(1)}`).join('');
  const numbers = [1, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01].filter(
    (loss) => y(loss) >= top && y(loss) <= height - bottom + 1,
  );
  const steps = [0, 0.25, 0.5, 0.75, 1].map((part) => Math.round(part * losses.length));
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" role="img" aria-label="Loss by training step" font-family="sans-serif" font-size="12" fill="#888">
${numbers.map((loss) => `<path d="M${left} ${y(loss).toFixed(1)}H${width - right}" stroke="#888" stroke-opacity=".25"/><text x="${left - 8}" y="${(y(loss) + 4).toFixed(1)}" text-anchor="end">${loss}</text>`).join('\n')}
${steps.map((step) => `<text x="${x(step).toFixed(1)}" y="${height - bottom + 18}" text-anchor="middle">${step}</text>`).join('\n')}
<text x="${(left + width - right) / 2}" y="${height - 4}" text-anchor="middle">step</text>
<text transform="translate(14 ${(top + height - bottom) / 2}) rotate(-90)" text-anchor="middle">mean squared error of the noise</text>
<path d="${line(losses.map((loss, i) => ({ step: i + 1, loss })))}" fill="none" stroke="#4a90d9" stroke-opacity=".3"/>
<path d="${line(averaged(losses, window))}" fill="none" stroke="#4a90d9" stroke-width="2"/>
</svg>
`;
}
