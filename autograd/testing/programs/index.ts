export {
  formatProgram,
  type Program,
  type ProgramInput,
  type ProgramStep,
  programInputs,
  programOperators,
  runProgram,
} from './program.ts';
export { type ProgramOptions, programs } from './programs.ts';
