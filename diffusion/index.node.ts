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
export { withLoras } from './lora/withLoras.node.ts';
export { type OpenFolderOptions, openPipelineFolder } from './pipeline/openPipelineFolder.node.ts';
export {
  type LoadPipelineOptions,
  loadPipeline,
  loadPipelineFolder,
  type SavePipelineOptions,
  savePipelineFolder,
  savePipelineParts,
} from './pipeline/pipelineFolder.node.ts';
export type {
  LoadPartOptions,
  Pipeline,
  PipelineDescription,
  PipelineFiles,
  PipelineSource,
} from './pipeline/pipelineSource.ts';
export { type OpenPipelineOptions, openPipeline } from './singleFile/openPipeline.node.ts';
export type { SingleFileOptions } from './singleFile/openSingleFile.node.ts';
export { type SaveSingleFileOptions, saveSingleFile, saveSingleFileParts } from './singleFile/saveSingleFile.node.ts';
export { loadTokenizerFolder, saveTokenizerFolder } from './text/tokenizerFolder.node.ts';
