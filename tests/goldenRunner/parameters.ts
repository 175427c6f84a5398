import { mapTree, type Tensor, treeLeaves, typeOf } from '../../tensor/index.ts';

/** A tree of parameters with its tensors replaced by stored ones of the same names; throws where names or shapes differ. */
export function fillParameters<T>(template: T, stored: ReadonlyMap<string, Tensor>): T {
  const used = new Set<string>();
  const filled = mapTree(template, (wanted, path) => {
    const found = stored.get(path);
    if (found === undefined) throw new Error(`there is no parameter '${path}'`);
    if (found.shape.join() !== wanted.shape.join())
      throw new Error(`the parameter '${path}' is ${typeOf(found)}, the layer has ${typeOf(wanted)}`);
    used.add(path);
    return found;
  });
  const unused = [...stored.keys()].filter((name) => !used.has(name));
  if (unused.length > 0) throw new Error(`the layer has no parameters ${unused.join(', ')}`);
  if (treeLeaves(filled).length !== stored.size) throw new Error('parameters are shared');
  return filled;
}
