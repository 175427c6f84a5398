export {
  type FileAccess,
  fromFile,
  openSafetensorsFile,
  openSafetensorsIndex,
  openSafetensorsPath,
  saveSafetensors,
} from './file.node.ts';
