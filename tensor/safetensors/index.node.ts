export {
  type FileAccess,
  fromFile,
  openSafetensorsFile,
  openSafetensorsIndex,
  openSafetensorsPath,
  saveSafetensors,
  syncFolder,
} from './file.node.ts';
export { attempt } from './systemError.node.ts';
