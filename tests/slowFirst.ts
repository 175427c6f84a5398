import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Beginnings of the names of test files that take longest, longest first. */
const slow = [
  'tests/golden.reference',
  'tests/tensor/webgpu.',
  'tests/golden.',
  'tests/tensor/webgpu/',
  'tests/dpo/train/',
  'tests/dpo/cli/',
  'tests/tensor/wasm.',
];

/** Begins with the files that take longest, so that none is left to one process at the end. */
export class SlowFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId, project }: TestSpecification): number => {
      const path = moduleId.slice(project.config.root.length + 1);
      const at = slow.findIndex((beginning) => path.startsWith(beginning));
      return at < 0 ? slow.length : at;
    };
    return files.toSorted((a, b) => rank(a) - rank(b));
  }
}
