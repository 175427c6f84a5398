import { spawn } from 'node:child_process';
import { swiftShaderEnvironment } from './swiftshader.ts';

/**
 * Runs a program so that it finds a driver for WebGPU: `tsx tests/webgpu/start.ts PROGRAM ARGUMENT…`. The variables that
 * name a driver count only if they are set before Node starts, so a second Node is started.
 */
const child = spawn(process.execPath, [...process.execArgv, ...process.argv.slice(2)], {
  stdio: 'inherit',
  env: { ...process.env, ...swiftShaderEnvironment() },
});
child.on('exit', (code, signal) => {
  process.exitCode = code ?? (signal === 'SIGINT' ? 130 : 1);
});
