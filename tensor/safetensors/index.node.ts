export { existingPath } from './existingPath.node.ts';
export {
  type FileAccess,
  fromFile,
  openSafetensorsFile,
  openSafetensorsIndex,
  openSafetensorsPath,
  saveSafetensors,
} from './file.node.ts';
export { makeFolder } from './makeFolder.node.ts';
export { readWhole, readWholeIfThere, regularFile } from './readWhole.node.ts';
export { removedAtExit } from './removedAtExit.node.ts';
export { replaceFile, replaceText, syncFolder } from './replaceFile.node.ts';
export { fateOf, ownProcess } from './runningProcess.node.ts';
export { attempt } from './systemError.node.ts';
export { removeLeftovers } from './temporaryFiles.node.ts';
