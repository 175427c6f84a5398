import type { Features } from 'diffusion-dpo/dpo';
import { key, random, read } from 'diffusion-dpo/tensor';

/** Rows of numbers as features. */
export const featuresOf = (rows: readonly (readonly number[])[]): Features => ({
  count: rows.length,
  width: rows[0]?.length ?? 1,
  values: Float64Array.from(rows.flat()),
});

/** Rows whose numbers are normal with a mean and a deviation for each column. */
export async function normalRows(
  seed: number,
  count: number,
  means: readonly number[],
  deviations: readonly number[] = means.map(() => 1),
): Promise<Features> {
  const width = means.length;
  const unit = await read(random.normal(key(seed), [count, width]));
  const values = Float64Array.from(
    unit,
    (z, i) => z * (deviations[i % width] as number) + (means[i % width] as number),
  );
  return { count, width, values };
}
