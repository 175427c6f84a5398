/** What needs Node: folders of models. */
export {
  type LoadedModel,
  type LoadModelOptions,
  loadModelFolder,
  type SaveModelOptions,
  saveModelFolder,
} from './checkpoint/modelFolder.node.ts';
