import { join } from 'node:path';
import type { Device } from '../../../tensor/index.ts';
import type { Comparison } from '../compare.ts';

/** What the data is checked with. */
export interface Settings {
  readonly device: Device;
  readonly dtype: 'f32' | 'f64';
}

/** A file below the folder that is checked; JSON files come parsed. */
export interface GoldenFile {
  readonly path: string;
  readonly json?: unknown;
}

/** What came of one case, or of a file or tensor that belongs to none. */
export interface CaseReport {
  readonly file: string;
  readonly name: string;
  /** Whatever else than a comparison went wrong, in words. */
  readonly problems: readonly string[];
  readonly comparisons: readonly Comparison[];
}

/** Something that the data could say or does say, and that nothing is compared with. */
export interface LeftOut {
  readonly file: string;
  /** A file that is not there, a case, or a kind of tensor. */
  readonly name: string;
  readonly reason: string;
  /** How many of the stored tensors are left out because of it; unknown, and 0, where the file is not there. */
  readonly tensors: number;
}

export interface UnitReport {
  /** How many tensors the files hold that results are to be compared with, counted without looking at the cases. */
  readonly expectedTensors: number;
  readonly cases: readonly CaseReport[];
  readonly leftOut?: readonly LeftOut[];
}

/** Files that are checked together: a JSON file and its tensors, or a checkpoint folder. */
export interface Unit {
  readonly files: readonly string[];
  check(settings: Settings): Promise<UnitReport>;
}

/** A kind of golden data, such as operators, modules or schedulers. Add new ones to the list in index.ts. */
export interface Family {
  readonly name: string;
  /** Picks the files of this family. Files that no family picks count as failed. */
  claim(files: readonly GoldenFile[]): readonly Unit[];
}

/** Those of a folder's files that have one of the names; the others are for other families, or not understood. */
export const filesNamed = (files: readonly GoldenFile[], folder: string, names: readonly string[]): string[] =>
  names.map((name) => join(folder, name)).filter((path) => files.some((file) => file.path === path));

export const passed = ({ problems, comparisons }: CaseReport): boolean =>
  problems.length === 0 && comparisons.every((comparison) => comparison.passed);

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
