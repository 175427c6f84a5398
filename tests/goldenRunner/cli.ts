import { relative } from 'node:path';
import { parseArgs } from 'node:util';
import { openDevice } from '../../tensor/index.ts';
import { describeComparison } from './compare.ts';
import { type CaseReport, messageOf, passed, type Settings } from './families/family.ts';
import { type Report, runGolden, succeeded } from './run.ts';

const usage = 'usage: npm run golden -- FOLDER... [--device reference|wasm|webgpu] [--dtype f32|f64] [--json]';

interface Command {
  readonly paths: readonly string[];
  readonly settings: Settings;
  readonly json: boolean;
}

async function readCommand(args: readonly string[]): Promise<Command> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      device: { type: 'string', default: 'reference' },
      dtype: { type: 'string' },
      json: { type: 'boolean', default: false },
    },
  });
  if (positionals.length === 0) throw new Error('name at least one folder with golden data');
  const dtype = values.dtype ?? (values.device === 'reference' ? 'f64' : 'f32');
  if (dtype !== 'f32' && dtype !== 'f64') throw new Error(`--dtype is f32 or f64, not '${dtype}'`);
  // The device itself knows which kinds there are, and says so.
  const device = await openDevice(values.device as Parameters<typeof openDevice>[0]);
  if (!device.dtypes.has(dtype)) throw new Error(`the device ${device.name} cannot compute in ${dtype}`);
  return { paths: positionals, settings: { device, dtype }, json: values.json };
}

function describeFailure({ file, name, problems, comparisons }: CaseReport): string {
  const wrong = comparisons.filter((comparison) => !comparison.passed).map(describeComparison);
  return `FAILED ${relative('', file)} ${name}: ${[...wrong, ...problems].join('; ')}`;
}

function print(report: Report): void {
  for (const one of report.cases) if (!passed(one)) console.log(describeFailure(one));
  for (const { file, name, reason, tensors } of report.leftOut) {
    const count = tensors === 0 ? '' : ` (${tensors} tensors)`;
    console.log(`left out ${relative('', file)} ${name}: ${reason}${count}`);
  }
  if (report.leftOut.length > 0) console.log(`${report.leftOut.length} left out`);
  console.log(`${report.expectedTensors} expected tensors, ${report.comparedTensors} compared`);
  console.log(`${report.passed} passed, ${report.failed} failed`);
}

/** Runs the command and gives its exit status: 0 when all passed, 1 when something failed, 2 when it made no sense. */
async function main(args: readonly string[]): Promise<number> {
  try {
    const { paths, settings, json } = await readCommand(args);
    const report = await runGolden(paths, settings);
    if (json) console.log(JSON.stringify({ device: settings.device.name, dtype: settings.dtype, ...report }, null, 2));
    else print(report);
    return succeeded(report) ? 0 : 1;
  } catch (error) {
    console.error(`golden: ${messageOf(error)}\n${usage}`);
    return 2;
  }
}

process.exitCode = await main(process.argv.slice(2));
