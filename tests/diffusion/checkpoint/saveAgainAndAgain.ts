import { saveModelFolder } from '../../../diffusion/index.node.ts';
import { linear } from '../../../nn/index.ts';
import { key, mapTree, ones } from '../../../tensor/index.ts';

/** Saves one model after another into a folder until it is killed, in one file and in shards by turns; prints each number. */
const [, , folder = ''] = process.argv;
const model = () => linear(2, 3);
for (let value = 1; ; value++) {
  const params = mapTree(model().init(key(0)), ({ shape }) => ones(shape).mul(value));
  const maxShardBytes = value % 2 === 0 ? 1 : undefined;
  await saveModelFolder(folder, { _class_name: 'Small', note: 'same' }, params, { model, maxShardBytes });
  process.stdout.write(`${value}\n`);
}
