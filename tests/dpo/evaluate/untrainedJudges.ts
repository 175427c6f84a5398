import type { Classifier, Judges } from 'diffusion-dpo/dpo';
import { key } from 'diffusion-dpo/tensor';
import { convClassifier } from '../../../dpo/evaluate/convClassifier.ts';
import { kinds } from '../../../dpo/evaluate/judges.ts';

/** A network that has learnt nothing. */
function untrained(classes: readonly string[]): Classifier {
  const shape = { classes, channels: 3, widths: [4] };
  const network = convClassifier({ ...shape, classes: classes.length });
  return { ...shape, params: network.init(key(0)), statistics: network.initStatistics() };
}

/** Judges for evaluations in which it does not matter what they say. */
export const untrainedJudges = (): Judges => ({
  kind: untrained(kinds),
  caption: untrained(['a red square', 'a blue square', 'a green dot']),
  accuracy: { value: 0.5, low: 0, high: 1 },
});

/** What ranking is said to have found, where it does not matter or its figures are to be known. */
export const knownRanking = {
  correct: Float64Array.of(1, 0.5, 1, 0),
  margin: Float64Array.of(0.5, 0, 0.25, -0.5),
  winnerChange: Float64Array.of(-3, 0, 1, 0),
  loserChange: Float64Array.of(1, 2, 3, 4),
};
