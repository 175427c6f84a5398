import { availableParallelism } from 'node:os';
import { Command, Option } from 'commander';
import { areas } from './areas.ts';
import { type Outcome, Workspace } from './workspace.ts';

/**
 * `npm run mutate`: changes one place of the source at a time, in a copy of the project, and runs the tests that must notice.
 * Ends with 1 if a mutation survives.
 */
const program = new Command('mutate')
  .addOption(new Option('--area <name...>', 'only these parts of the project').choices(Object.keys(areas)))
  .option('--name <text...>', 'only mutations whose name or file contains one of these texts')
  .option('--short', 'only the short list')
  .option('--jobs <number>', 'how many mutations are tried at a time', String(availableParallelism()))
  .option('--no-baseline', 'skip the run of the tests on the unchanged source')
  .parse();

const options = program.opts<{
  area?: string[];
  name?: string[];
  short?: boolean;
  jobs: string;
  baseline: boolean;
}>();
const jobs = Number(options.jobs);
if (!Number.isInteger(jobs) || jobs < 1) program.error(`--jobs takes a whole number from 1 on, got ${options.jobs}`);

const chosen = Object.entries(areas)
  .filter(([area]) => options.area?.includes(area) ?? true)
  .flatMap(([, mutations]) => mutations)
  .filter(({ short }) => !options.short || short === true)
  .filter(({ name, file }) => options.name?.some((text) => name.includes(text) || file.includes(text)) ?? true);
if (chosen.length === 0) program.error('no mutation has this area and name');

const spaces = Array.from({ length: Math.min(jobs, chosen.length) }, () => new Workspace());
const controller = new AbortController();
process.once('SIGINT', () => controller.abort());
try {
  if (options.baseline) await requirePass();
  const outcomes = await tryAll();
  const count = (outcome: Outcome) => outcomes.filter((one) => one === outcome).length;
  const survived = count('SURVIVED') + count('BROKEN');
  console.log(`\n${outcomes.length} mutations: ${outcomes.length - survived} killed, ${survived} not`);
  process.exitCode = controller.signal.aborted ? 130 : survived > 0 ? 1 : 0;
} finally {
  for (const space of spaces) space.remove();
}

/** Runs the tests on the unchanged source: a test that fails anyway notices nothing. */
async function requirePass(): Promise<void> {
  const tests = [...new Set(chosen.flatMap((mutation) => mutation.tests))];
  const { outcome, output } = await (spaces[0] as Workspace).run(tests, undefined, controller.signal);
  if (outcome === 'SURVIVED') return;
  console.error(output);
  program.error('the tests fail without any mutation');
}

/** Tries every chosen mutation, a line each as soon as it is known; the lines follow the order in which they end. */
async function tryAll(): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  let next = 0;
  await Promise.all(
    spaces.map(async (space) => {
      for (let at = next++; at < chosen.length && !controller.signal.aborted; at = next++) {
        const mutation = chosen[at] as (typeof chosen)[number];
        const { outcome, seconds } = await space.try(mutation, controller.signal);
        if (controller.signal.aborted) return;
        outcomes.push(outcome);
        const place = `${String(outcomes.length).padStart(String(chosen.length).length)}/${chosen.length}`;
        console.log(
          `${place} ${outcome.padEnd(8)} ${seconds.toFixed(0).padStart(3)} s  ${mutation.file}: ${mutation.name}`,
        );
      }
    }),
  );
  return outcomes;
}
