/** What needs Node: folders of models, and files that are replaced together. */
export {
  type LoadedModel,
  type LoadModelOptions,
  loadModelFolder,
  type SaveModelOptions,
  saveModelFolder,
} from './checkpoint/modelFolder.node.ts';
export { readObject } from './checkpoint/readObject.node.ts';
export { finishReplacing, removeUnfinishedSaves, replaceFiles, writeText } from './checkpoint/replaceFiles.node.ts';
export {
  type LoadPartOptions,
  type LoadPipelineOptions,
  loadPipeline,
  loadPipelineFolder,
  openPipelineFolder,
  type Pipeline,
  type PipelineDescription,
  type PipelineFiles,
  type PipelineSource,
  type SavePipelineOptions,
  savePipelineFolder,
  savePipelineParts,
} from './pipeline/pipelineFolder.node.ts';
export { type OpenPipelineOptions, openPipeline } from './singleFile/openPipeline.node.ts';
export type { SingleFileOptions } from './singleFile/openSingleFile.node.ts';
export { type SaveSingleFileOptions, saveSingleFile, saveSingleFileParts } from './singleFile/saveSingleFile.node.ts';
export { loadTokenizerFolder, saveTokenizerFolder } from './text/tokenizerFolder.node.ts';
