/** What `dpo` has for Node: files. */
export { plottingLibrary, writeReport } from './evaluate/report/writeReport.node.ts';
