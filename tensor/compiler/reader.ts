import type { Run } from '../device.ts';
import { sourceOf, type Tensor } from '../tensor.ts';
import { NumbersByTensor } from '../tensorIds.ts';
import type { IsComposed } from './compositions.ts';
import { WordList } from './interner.ts';
import { addAttribute, addType, codeOf, type Program, readGraph } from './program.ts';

type Graph = Pick<Run, 'order' | 'outputs'>;

/** Reading a graph of fewer nodes takes less time than comparing it. */
const fewNodes = 64;
/** The number of graphs that are remembered; the least recently used is dropped. */
const mostRecords = 16;

/** A graph as words, which are equal for graphs with equal programs, and the parts that differ between such graphs. */
interface Description {
  readonly words: WordList;
  /** In the order in which nodes use them. */
  readonly leaves: readonly Tensor[];
  /** In the order of the nodes. */
  readonly constants: readonly { readonly tensor: Tensor; readonly value: number }[];
}

/** A remembered graph, without its tensors. */
interface GraphRecord {
  readonly words: WordList;
  readonly program: Omit<Program, 'leaves'>;
  /** For each leaf of the description, its slot in the program, if the program uses it. */
  readonly leafSlots: readonly (number | undefined)[];
  /** For each constant of the description, its slot in the program. */
  readonly scalarSlots: readonly number[];
}

/**
 * Reads the programs of runs. A run that was prepared is recognized by its list of pending tensors. A graph that equals an
 * earlier one but for its leaves and constants, as in every step of a training, is only described and compared.
 */
export class ProgramReader {
  readonly #isComposed: IsComposed | undefined;
  readonly #known = new WeakMap<readonly Tensor[], Program>();
  #records: readonly GraphRecord[] = [];

  constructor(isComposed?: IsComposed) {
    this.#isComposed = isComposed;
  }

  of(graph: Graph): Program {
    const known = this.#known.get(graph.order);
    if (known !== undefined) return known;
    const program =
      graph.order.length < fewNodes
        ? readGraph(graph.order, graph.outputs, this.#isComposed).program
        : this.#recall(graph);
    this.#known.set(graph.order, program);
    return program;
  }

  #recall(graph: Graph): Program {
    const description = describeGraph(graph);
    const known = this.#records.find(({ words }) => words.equals(description.words));
    if (known !== undefined) {
      this.#records = [known, ...this.#records.filter((other) => other !== known)];
      return programLike(known, description);
    }
    const { program, constants } = readGraph(graph.order, graph.outputs, this.#isComposed);
    this.#records = [recordOf(description, program, constants), ...this.#records].slice(0, mostRecords);
    return program;
  }
}

/** Describes a graph: its operators and their inputs. Nodes are numbered 0, 1, …, leaves −1, −2, …. */
function describeGraph({ order, outputs }: Graph): Description {
  const words = new WordList();
  const leaves: Tensor[] = [];
  const constants: { tensor: Tensor; value: number }[] = [];
  const places = new NumbersByTensor(order);
  const placeOf = (tensor: Tensor): number => {
    const known = places.get(tensor);
    if (known !== undefined) return known;
    const place = -leaves.push(tensor);
    places.set(tensor, place);
    return place;
  };
  for (let i = 0; i < order.length; i++) {
    const tensor = order[i] as Tensor;
    const source = sourceOf(tensor);
    if (source.kind !== 'pending') throw new Error(`tensor #${tensor.id} is not pending`);
    const { node } = source;
    words.add(codeOf(node.primitive));
    addType(words, tensor.dtype, tensor.shape);
    words.add(node.inputs.length);
    for (const input of node.inputs) words.add(placeOf(input));
    if (node.primitive === 'constant') constants.push({ tensor, value: node.attributes.value });
    // Programs contain neither variables nor custom gradients.
    else if (node.primitive !== 'variable' && node.primitive !== 'custom') addAttribute(words, node.attributes);
    places.set(tensor, i);
  }
  words.add(outputs.length);
  for (const output of outputs) words.add(placeOf(output));
  for (const { dtype, shape } of leaves) addType(words, dtype, shape);
  return { words, leaves, constants };
}

function recordOf({ words, leaves, constants }: Description, program: Program, read: readonly Tensor[]): GraphRecord {
  const { leaves: programLeaves, ...rest } = program;
  const leafSlots = new Map(programLeaves.map((leaf, slot) => [leaf, slot]));
  const scalarSlots = new Map(read.map((constant, slot) => [constant, slot]));
  return {
    words,
    program: rest,
    leafSlots: leaves.map((leaf) => leafSlots.get(leaf)),
    scalarSlots: constants.map(({ tensor }) => scalarSlots.get(tensor) as number),
  };
}

/** The program of a record, with the leaves and constants of another graph. */
function programLike({ program, leafSlots, scalarSlots }: GraphRecord, { leaves, constants }: Description): Program {
  const scalars = [...program.scalars];
  constants.forEach(({ value }, i) => {
    scalars[scalarSlots[i] as number] = value;
  });
  const inSlots: Tensor[] = [];
  leafSlots.forEach((slot, i) => {
    if (slot !== undefined) inSlots[slot] = leaves[i] as Tensor;
  });
  return { ...program, leaves: inSlots, scalars };
}
