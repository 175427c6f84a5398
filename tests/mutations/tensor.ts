// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the mutations' texts are source code, some of it template strings.
import type { Mutation } from './mutation.ts';
import { gradientMutations, numberMutations } from './numerics.ts';

const keys = ['tests/tensor/wasm/planKeys.test.ts'];
const inPlace = ['tests/tensor/wasm/inPlace.test.ts'];
const wasm = ['tests/tensor/wasm.test.ts'];

/** The same change in tests of one suite or subject. */
type Place = Pick<Mutation, 'tests' | 'only' | 'short'>;
const independent: Place = { tests: wasm, only: 'wasm: independence' };

/** What one plan or kernel is known by, and what a graph is told from another by. */
const planKeys: readonly Mutation[] = [
  {
    name: 'types of leaves are left out of the description of long graphs',
    file: 'tensor/compiler/reader.ts',
    find: '  for (const { dtype, shape } of leaves) addType(words, dtype, shape);\n',
    replace: '',
    tests: keys,
    short: true,
  },
  {
    name: 'types of nodes are left out of the description of long graphs',
    file: 'tensor/compiler/reader.ts',
    find: '    addType(words, tensor.dtype, tensor.shape);\n',
    replace: '',
    tests: keys,
  },
  {
    name: 'attributes are left out of the description of long graphs',
    file: 'tensor/compiler/reader.ts',
    find: "    else if (node.primitive !== 'variable' && node.primitive !== 'custom') addAttribute(words, node.attributes);\n",
    replace: '',
    tests: keys,
  },
  {
    name: 'operators are left out of the description of long graphs',
    file: 'tensor/compiler/reader.ts',
    find: '    words.add(codeOf(node.primitive));\n',
    replace: '',
    tests: keys,
  },
  {
    name: 'inputs are left out of the description of long graphs',
    file: 'tensor/compiler/reader.ts',
    find: '    for (const input of node.inputs) words.add(placeOf(input));\n',
    replace: '    for (const input of node.inputs) placeOf(input);\n',
    tests: keys,
  },
  {
    name: 'numbers of a remembered graph are those of the first',
    file: 'tensor/compiler/reader.ts',
    find: '    scalars[scalarSlots[i] as number] = value;\n',
    replace: '    scalars[scalarSlots[i] as number] ??= value;\n',
    tests: keys,
  },
  {
    name: 'types are left out of forms',
    file: 'tensor/compiler/program.ts',
    find: '    addType(forms, dtype, shape);\n',
    replace: '',
    tests: keys,
  },
  {
    name: 'attributes are left out of forms',
    file: 'tensor/compiler/program.ts',
    find: '    addAttribute(forms, attributes);\n',
    replace: '',
    tests: keys,
    short: true,
  },
  {
    name: 'minus zero is zero in keys',
    file: 'tensor/compiler/program.ts',
    find: ' && !Object.is(attribute, -0)) {',
    replace: ') {',
    tests: keys,
  },
  {
    name: 'dtypes are left out of types',
    file: 'tensor/compiler/program.ts',
    find: '  sink.add(dtypeCodes.get(dtype) as number);\n',
    replace: '',
    tests: keys,
  },
  {
    name: 'the size of a lookup is left out of a kernel’s key',
    file: 'tensor/compiler/canonicalKernel.ts',
    find: ' ${scalar.stride} ${scalar.size} ',
    replace: ' ${scalar.stride} ',
    tests: keys,
    only: 'sizes of tables',
    short: true,
  },
  {
    name: 'the stride of a lookup is left out of a kernel’s key',
    file: 'tensor/compiler/canonicalKernel.ts',
    find: ' ${scalar.stride} ${scalar.size} ',
    replace: ' ${scalar.size} ',
    tests: keys,
  },
  {
    name: 'the word of a random number is left out of a kernel’s key',
    file: 'tensor/compiler/canonicalKernel.ts',
    find: '${scalar.operator}${scalar.word} ',
    replace: '${scalar.operator} ',
    tests: keys,
  },
  {
    name: 'the sign of a zero is left out of a kernel’s key',
    file: 'tensor/compiler/canonicalKernel.ts',
    find: "${Object.is(scalar.value, -0) ? '-0' : scalar.value}",
    replace: '${scalar.value}',
    tests: keys,
  },
  {
    name: 'dtypes of results are left out of a kernel’s key',
    file: 'tensor/compiler/canonicalKernel.ts',
    find: 'const text = `${describe(scalar)} ${scalar.dtype}`;',
    replace: 'const text = describe(scalar);',
    tests: keys,
  },
  {
    name: 'conditions of masks are left out of a kernel’s key',
    file: 'tensor/compiler/canonicalKernel.ts',
    find: 'masked ${scalar.conditions.map(condition).join()} ',
    replace: 'masked ',
    tests: keys,
  },
  {
    name: 'where a kernel loads is left out of its key',
    file: 'tensor/compiler/canonicalKernel.ts',
    find: 'load ${valueOf(scalar.from)} ${position(scalar.position)}',
    replace: 'load ${valueOf(scalar.from)}',
    tests: keys,
  },
  {
    name: 'what kind of reduction a stage is is left out of a kernel’s key',
    file: 'tensor/compiler/canonicalKernel.ts',
    find: 'const text = `${kind} ${numberOf(scalar)}',
    replace: 'const text = `${numberOf(scalar)}',
    tests: keys,
  },
  {
    name: 'sizes of loops are left out of a kernel’s key',
    file: 'tensor/compiler/canonicalKernel.ts',
    find: '[`${outer.map(({ size }) => size)}|${inner.map(({ size }) => size)}`]',
    replace: '[`${outer.length}|${inner.length}`]',
    tests: keys,
  },
  {
    name: 'types of what is loaded are left out of structural ids',
    file: 'tensor/compiler/structuralId.ts',
    find: '      addTypeOf(one);\n',
    replace: '',
    tests: keys,
  },
  {
    name: 'forms are left out of structural ids',
    file: 'tensor/compiler/structuralId.ts',
    find: '    descriptions.add(one.form);\n',
    replace: '',
    tests: keys,
  },
  {
    name: 'the offset of a view is left out of a contraction’s key',
    file: 'tensor/wasm/tasks.ts',
    find: '`${shape},${strides},${offset}`',
    replace: '`${shape},${strides}`',
    tests: keys,
    only: 'operands',
    short: true,
  },
  {
    name: 'the strides of a view are left out of a contraction’s key',
    file: 'tensor/wasm/tasks.ts',
    find: '`${shape},${strides},${offset}`',
    replace: '`${shape},${offset}`',
    tests: keys,
    only: 'operands',
  },
  {
    name: 'the form is left out of a contraction’s key',
    file: 'tensor/wasm/tasks.ts',
    find: 'const key = `${value.form} ${',
    replace: 'const key = `${value.primitive} ${',
    tests: keys,
    only: 'convolutions|attention',
  },
];

/** Writing over what is given up, and what is stored for what. */
const hazards: readonly Mutation[] = [
  {
    name: 'what is read elsewhere than it is written is written over',
    file: 'tensor/compiler/bufferAliasing.ts',
    find: " && load.kind === 'load' && keyOf(load.position) === keyOf(store)),",
    replace: " && load.kind === 'load'),",
    tests: inPlace,
    short: true,
  },
  {
    name: 'what a later stage reads is written over',
    file: 'tensor/compiler/bufferAliasing.ts',
    find: '(i <= storing && load.kind',
    replace: '(load.kind',
    tests: inPlace,
  },
  {
    name: 'what a later walk reads is written over',
    file: 'tensor/compiler/bufferAliasing.ts',
    find: 'kernel === undefined || kernel.stages.some(({ pass }) => pass > 0)',
    replace: 'kernel === undefined',
    tests: inPlace,
  },
  {
    name: 'what the same step reads is written over',
    file: 'tensor/compiler/bufferAliasing.ts',
    find: '        read < written ||\n',
    replace: '        read <= written ||\n',
    tests: inPlace,
    short: true,
  },
  {
    name: 'one buffer is given to two results',
    file: 'tensor/compiler/bufferAliasing.ts',
    find: '      free.delete(slot);\n',
    replace: '',
    tests: inPlace,
  },
  {
    name: 'what contractions read does not go before them',
    file: 'tensor/compiler/schedule.ts',
    find: 'operands.length > 0 ? [...value.inputs, ...operands.map(({ from }) => from)] : value.inputs',
    replace: 'value.inputs',
    ...independent,
  },
  {
    name: 'views that are results are read where they are stored',
    file: 'tensor/compiler/stridedViews.ts',
    find: '    ? value.inputs.map((input) => operandView(widening ? unwidened(input, hasBuffer) : input))',
    replace:
      '    ? value.inputs.map((input) => operandView(widening ? unwidened(input, hasBuffer) : input)).map((view, i) => (hasBuffer(value.inputs[i] as Value) ? { from: value.inputs[i] as Value, strides: wholeStrides((value.inputs[i] as Value).shape), offset: 0 } : view))',
    ...independent,
  },
  {
    name: 'places in the arena are shared by what lives at the same time',
    file: 'tensor/compiler/memoryPlanner.ts',
    find: '(placed[k + 2] as number) <= to && (placed[k + 3] as number) >= from',
    replace: '(placed[k + 2] as number) < to && (placed[k + 3] as number) > from',
    tests: inPlace,
  },
];

/** Compiler, executors, operators and gradients. */
export const tensorMutations: readonly Mutation[] = [...planKeys, ...hazards, ...numberMutations, ...gradientMutations];
